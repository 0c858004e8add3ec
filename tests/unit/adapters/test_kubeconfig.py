"""Which cluster and namespace a list of kubeconfig files means: what kubectl would take."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from volary.adapters import kubeconfig
from volary.common.errors import Refused


def file(path: Path, name: str, *, current: bool = True) -> str:
    context: dict[str, Any] = {"cluster": name, "user": name, "namespace": f"ns-{name}"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.invalid"}}],
        "users": [{"name": name, "user": {"token": name}}],
        "contexts": [{"name": name, "context": context}],
        **({"current-context": name} if current else {}),
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def connected(*paths: str, context: str | None = None) -> tuple[str, str, str]:
    found = asyncio.run(kubeconfig.connect(context, ":".join(paths)))
    return found.context, found.namespace, found.configuration.host


def test_the_first_file_that_names_a_current_context_decides(tmp_path: Path) -> None:
    one, two, three = (file(tmp_path / name, name, current=name != "one") for name in ("one", "two", "three"))
    assert connected(one, two, three) == ("two", "ns-two", "http://two.invalid")
    assert connected(one, two, three, context="three") == ("three", "ns-three", "http://three.invalid")


def test_a_file_of_the_list_that_is_missing_is_skipped(tmp_path: Path) -> None:
    assert connected(str(tmp_path / "none"), file(tmp_path / "one", "one"))[0] == "one"


def test_no_file_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no Kubernetes cluster to talk to"):
        connected(str(tmp_path / "none"))


def test_the_flag_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", file(tmp_path / "one", "one"))
    assert connected(file(tmp_path / "two", "two"))[0] == "two"
    assert kubeconfig.contexts() == ("one",)
