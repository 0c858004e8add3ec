"""`volary simulate` as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from volary.cli import main as cli
from volary.cli import simulate

MODEL = {
    "apiVersion": "serving.volary.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "fraud"},
    "spec": {
        "model": {"uri": "s3://models/fraud", "version": "2.0.0"},
        "runtime": {"name": "onnxruntime"},
        "replicas": 3,
        "rollout": {"steps": [{"weight": 25, "duration": "20s"}, {"weight": 50, "duration": "20s"}]},
    },
}


def written(path: Path, *bodies: dict[str, Any]) -> str:
    file = path / "md.yaml"
    file.write_text(yaml.safe_dump_all(bodies), "utf-8")
    return str(file)


def test_the_story_and_the_odds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, {"kind": "Secret"}, MODEL)
    words = ["simulate", "-f", file, "--rps", "50", "--error-rate", "0.1%", "--canary-error-rate", "0.5", "--runs", "5"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "t+0s" in text
    assert "ErrorRateTooHigh" in text
    assert "5 rollouts each" in text
    assert "rolled back: proved worse" in text
    assert "100.0 % (47.8 .. 100.0)" in text


def test_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "-f", written(tmp_path, MODEL), "--rps", "50", "--replicas", "4", "--runs", "2", "-o", "json"]
    assert cli.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scenario"]["replicas"] == 4
    assert told["equal"]["promoted"]["runs"] == 2
    assert told["outcome"] == "Promoted"
    assert "canary" not in told, "without another rate there is nothing to compare"


def test_an_interruption_leaves_what_was_played_so_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    played = []
    real = simulate.play

    def play(*args: Any) -> Any:
        played.append(args)
        if len(played) > 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(simulate, "play", play)
    assert cli.main(["simulate", "-f", written(tmp_path, MODEL), "--rps", "50"]) == 130
    assert "3 rollouts each" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bodies", "words", "said"),
    [
        ([], [], "holds no ModelDeployment"),
        ([MODEL, MODEL | {"metadata": {"name": "b"}}], [], "holds fraud, b; say which one by --name"),
        ([MODEL], ["--name", "c"], "holds fraud; say which one"),
        ([MODEL | {"spec": {**MODEL["spec"], "replicas": 0}}], [], "spec.replicas"),  # type: ignore[dict-item]
    ],
)
def test_a_file_that_does_not_do_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bodies: list[dict[str, Any]], words: list[str], said: str
) -> None:
    assert cli.main(["simulate", "-f", written(tmp_path, *bodies), "--rps", "50", *words]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--rps", "0"], ["--rps", "x"], ["--error-rate", "1.5"], ["--error-rate", "200%"], ["--runs", "0"]])
def test_a_figure_that_makes_no_sense_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["simulate", "-f", written(tmp_path, MODEL), "--rps", "5", *words])


def test_a_pause_in_the_spec_is_played_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec: Any = MODEL["spec"]
    paused = MODEL | {"spec": {**spec, "rollout": {**spec["rollout"], "paused": True}}}
    assert cli.main(["simulate", "-f", written(tmp_path, paused), "--rps", "50", "--runs", "1"]) == 0
    told = capsys.readouterr()
    assert "people are at hand" in told.err
    assert "Promoted" in told.out


@pytest.mark.parametrize(("words", "replicas"), [([], 2), (["--replicas", "5"], 5)])
def test_where_the_load_decides_the_fewest_pods_are_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], replicas: int
) -> None:
    spec: Any = {key: value for key, value in MODEL["spec"].items() if key != "replicas"}  # type: ignore[attr-defined]
    scaled = MODEL | {"spec": spec | {"autoscaling": {"minReplicas": 2, "maxReplicas": 6, "requestsPerSecond": 50}}}
    assert cli.main(["simulate", "-f", written(tmp_path, scaled), "--rps", "50", "--runs", "1", "-o", "json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["scenario"]["replicas"] == replicas
