"""`volary set-version`: one value changes, all else stays byte for byte, and what is not there is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from volary.cli import manifest_text, set_version
from volary.cli.main import main
from volary.cli.manifest_text import Pin
from volary.common.errors import Refused
from volary.common.reasons import Reason

EXAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "examples"
OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'a' * 64}"
HEAD = "apiVersion: serving.volary.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: fraud}\n"
OTHER = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

# Before, version, digest (None: none is left), after; all behind HEAD.
CASES: dict[str, tuple[str, str, str | None, str]] = {
    "a plain line and its comment": (
        "spec:\n  model:\n    version:   1.4.0   # keep\n    uri: s3://m/f\n",
        "1.5.0",
        None,
        "spec:\n  model:\n    version:   1.5.0   # keep\n    uri: s3://m/f\n",
    ),
    "in quotes": ("spec: {model: {version: '1.4.0'}}\n", "1.5.0", None, "spec: {model: {version: '1.5.0'}}\n"),
    "quotes where it would be a number": ("spec:\n  model:\n    version: 1.4.0\n", "1.5", None, 'spec:\n  model:\n    version: "1.5"\n'),
    "quotes where it would be a date": (
        "spec:\n  model:\n    version: 1.4.0\n",
        "2026-03-01",
        None,
        'spec:\n  model:\n    version: "2026-03-01"\n',
    ),
    "a number becomes a word": ("spec:\n  model:\n    version: 1.4\n", "1.4", None, 'spec:\n  model:\n    version: "1.4"\n'),
    "a digest comes": (
        "spec:\n  model:\n    version: 1.4.0 # v\n    uri: s3://m/f\n",
        "1.5.0",
        NEW,
        f"spec:\n  model:\n    version: 1.5.0 # v\n    digest: {NEW}\n    uri: s3://m/f\n",
    ),
    "a digest comes on the last line": (
        "spec:\n  model:\n    version: 1.4.0",
        "1.5.0",
        NEW,
        f"spec:\n  model:\n    version: 1.5.0\n    digest: {NEW}",
    ),
    "a digest comes with the other kind of line ends": (
        "spec:\r\n  model:\r\n    version: 1.4.0\r\n    uri: s3://m/f\r\n",
        "1.5.0",
        NEW,
        f"spec:\r\n  model:\r\n    version: 1.5.0\r\n    digest: {NEW}\r\n    uri: s3://m/f\r\n",
    ),
    "a digest comes in braces": (
        "spec: {model: {version: 1.4.0, uri: s3://m/f}}\n",
        "1.5.0",
        NEW,
        f"spec: {{model: {{version: 1.5.0, digest: {NEW}, uri: s3://m/f}}}}\n",
    ),
    "a digest is another": (
        f"spec:\n  model:\n    digest: {OLD} # pinned\n    version: 1.4.0\n",
        "1.5.0",
        NEW,
        f"spec:\n  model:\n    digest: {NEW} # pinned\n    version: 1.5.0\n",
    ),
    "a digest goes": (
        f"spec:\n  model:\n    digest: {OLD} # pinned\n    version: 1.4.0\n",
        "1.5.0",
        None,
        "spec:\n  model:\n    version: 1.5.0\n",
    ),
    "a digest goes from the last line": (
        f"spec:\n  model:\n    version: 1.4.0\n    digest: {OLD}",
        "1.5.0",
        None,
        "spec:\n  model:\n    version: 1.5.0\n",
    ),
    "a digest goes from braces": (
        f"spec: {{model: {{version: 1.4.0, digest: {OLD}, uri: s3://m/f}}}}\n",
        "1.5.0",
        None,
        "spec: {model: {version: 1.5.0, uri: s3://m/f}}\n",
    ),
    "a digest goes from the front of braces": (
        f"spec: {{model: {{digest: {OLD}, version: 1.4.0}}}}\n",
        "1.5.0",
        None,
        "spec: {model: {version: 1.5.0}}\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_value_changes_and_nothing_else(case: str) -> None:
    before, version, digest, after = CASES[case]
    text = f"{HEAD}{before}"
    changed = manifest_text.replaced(text, manifest_text.find(text, None), Pin(version=version, digest=digest))
    assert changed == f"{HEAD}{after}"


def test_json_stays_json() -> None:
    model = {"apiVersion": "serving.volary.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "fraud"}}
    text = json.dumps(model | {"spec": {"model": {"uri": "s3://m/f", "version": "1.4.0"}}}, indent=2)
    changed = manifest_text.replaced(text, manifest_text.find(text, None), Pin(version="1.5.0", digest=NEW))
    assert json.loads(changed)["spec"]["model"] == {"uri": "s3://m/f", "version": "1.5.0", "digest": NEW}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_in_every_example_only_the_version_line_differs(path: Path) -> None:
    text = path.read_text("utf-8")
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(text) if each and each.get("kind") == "ModelDeployment"]
    for name in names:
        changed = manifest_text.replaced(text, found := manifest_text.find(text, name), Pin(version="9.9.9", digest=found.pin.digest))
        lines = [(a, b) for a, b in zip(text.splitlines(), changed.splitlines(), strict=True) if a != b]
        assert [b for _, b in lines] == [a.replace(found.pin.version, "9.9.9") for a, _ in lines]
        assert len(lines) == 1


@given(version=st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?\Z"), pinned=st.booleans(), flow=st.booleans())
def test_any_version_is_read_back_as_the_word_it_is(version: str, pinned: bool, flow: bool) -> None:
    text = HEAD + ("spec: {model: {version: 1.4.0}}\n" if flow else "spec:\n  model:\n    version: 1.4.0 # x\n")
    changed = manifest_text.replaced(text, manifest_text.find(text, None), Pin(version=version, digest=NEW if pinned else None))
    assert yaml.safe_load(changed)["spec"]["model"] == {"version": version} | ({"digest": NEW} if pinned else {})
    assert manifest_text.find(changed, None).pin == Pin(version=version, digest=NEW if pinned else None)


MODEL = "spec:\n  model:\n    version: 1.4.0\n"
REFUSED = {
    "nothing": ("", None, "no ModelDeployment with a spec.model.version; there are: none"),
    "others only": (OTHER, None, "there are: none"),
    "no version": (f"{HEAD}spec: {{model: {{uri: s3://m/f}}}}\n", None, "there are: none"),
    "another group": (HEAD.replace("volary", "other") + MODEL, None, "there are: none"),
    "another name": (HEAD + MODEL, "spam", "no ModelDeployment spam with a spec.model.version; there are: fraud"),
    "two": (f"{HEAD}{MODEL}---\n{HEAD.replace('fraud', 'spam')}{MODEL}", None, r"2 ModelDeployments \(fraud, spam\): choose one by --name"),
    "two of one name": (f"{HEAD}{MODEL}---\n{HEAD}{MODEL}", "fraud", "all have that name"),
    "a template": (f"{HEAD}spec: {{{{ .Values.spec }}}}\n  x\n", None, "templates are no YAML"),
    "a template's value": (f"{HEAD}spec:\n  model:\n    version: {{{{ .Values.version }}}}\n", None, "no YAML|templates"),
    "a block": (f"{HEAD}spec:\n  model:\n    version: |\n      1.4.0\n", None, "not a plain word"),
    "an anchor": (f"{HEAD}spec:\n  model:\n    version: &v 1.4.0\n  other: *v\n", None, "not a plain word"),
    "merged": (f"x: &m {{model: {{version: 1.4.0}}}}\n{HEAD}spec:\n  <<: *m\n", None, "by an anchor"),
    "twice": (f"{HEAD}spec:\n  model:\n    version: 1.4.0\n    version: 1.4.1\n", None, "2 times"),
    "a tag": (f"{HEAD}spec:\n  model:\n    version: !!str 1.4.0\n", None, "not a plain word"),
    "shared": (f"{HEAD}spec:\n  other: &m {{version: 1.4.0}}\n  model: *m\n", None, "without changing more"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_there_or_not_this_places_alone_is_refused(case: str) -> None:
    text, name, says = REFUSED[case]
    with pytest.raises(Refused, match=says):
        manifest_text.replaced(text, manifest_text.find(text, name), Pin(version="1.5.0", digest=None))


# ---- the verb -------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.yaml"
    path.write_text(f"{OTHER}---\n{HEAD}spec:\n  model:\n    uri: s3://models/fraud\n    version: 1.4.0\n    digest: {OLD}\n")
    path.chmod(0o640)
    return path


def test_it_prints_the_difference_and_keeps_the_mode(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set-version", str(file), "1.5.0", "--digest", NEW]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
        "-    version: 1.4.0",
        f"-    digest: {OLD}",
        "+    version: 1.5.0",
        f"+    digest: {NEW}",
    ]
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_it_says_so_when_there_is_nothing_to_do(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file.read_bytes(), file.stat().st_mtime_ns
    assert main(["set-version", str(file), "1.4.0", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert main(["set-version", str(file), "1.4.0"]) == 0
    assert "asks for 1.4.0 already" in capsys.readouterr().err
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_a_dry_run_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file.read_bytes()
    assert main(["set-version", str(file), "1.5.0", "--unpin", "--dry-run", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "name": "fraud",
        "changed": True,
        "before": {"version": "1.4.0", "digest": OLD},
        "after": {"version": "1.5.0", "digest": None},
    }
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["1.5.0"], "spec.model.digest pins version 1.4.0"),
        (["1.5.0", "--digest", "sha256:12"], "is no digest"),
        (["../x", "--unpin"], "is not a version|version"),
        (["1.5.0", "--unpin", "--name", "spam"], "there are: fraud"),
    ],
)
def test_refusals_end_with_1_and_leave_the_file(file: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = file.read_bytes()
    assert main(["set-version", str(file), *arguments]) == 1
    said = capsys.readouterr()
    assert any(part in said.err for part in says.split("|"))
    assert said.out == ""
    assert file.read_bytes() == before


@pytest.mark.parametrize(("arguments", "asked"), [(["--from"], "s3://models/fraud"), (["--from", "s3://eu/fraud"], "s3://eu/fraud")])
def test_the_digest_comes_from_the_storage(file: Path, arguments: list[str], asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Found:
        digest = NEW

    def find(place: Any, wanted: Any) -> Found:
        seen.append((place, wanted.uri, wanted.version))
        return Found()

    monkeypatch.setattr(set_version.storage, "connect", lambda args, uri: uri)
    monkeypatch.setattr(set_version.storage, "find", find)
    assert main(["set-version", str(file), "1.5.0", *arguments]) == 0
    assert seen == [(asked, asked, "1.5.0")]
    assert f"version: 1.5.0\n    digest: {NEW}\n" in file.read_text()


def test_a_version_that_was_not_pushed_is_not_written(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(*_: Any) -> Any:
        raise Refused(Reason.VERSION_NOT_FOUND, "there is no version 1.5.0")

    before = file.read_bytes()
    monkeypatch.setattr(set_version.storage, "connect", lambda args, uri: uri)
    monkeypatch.setattr(set_version.storage, "find", find)
    assert main(["set-version", str(file), "1.5.0", "--from"]) == 1
    assert "VersionNotFound" in capsys.readouterr().err
    assert file.read_bytes() == before
