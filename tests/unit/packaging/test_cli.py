"""The command line: exit codes, messages, and which packages a verb needs."""

import importlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import volary
from tests.unit.packaging import models
from volary.cli import main as cli
from volary.cli.main import VERBS, Verb, main


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs of pods set up the whole process's logging; this process has other tests."""
    monkeypatch.setattr("volary.common.logs.configure", lambda *_: None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    np.savez(tmp_path / "samples.npz", x=np.ones((2, 3), np.float32))
    return models.double(tmp_path / "double.onnx")


def pack(model: Path) -> int:
    golden, output = str(model.parent / "samples.npz"), str(model.parent / "bundle")
    return main(["pack", str(model), "--name", "double", "--version", "1.0.0", "--golden", golden, "-o", output])


def test_pack_and_inspect(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(model) == 0
    digest = capsys.readouterr().out.splitlines()[1]
    assert main(["inspect", str(model.parent / "bundle")]) == 0
    shown = capsys.readouterr().out
    for word in (digest, "double 1.0.0", "golden.json", "model.onnx", "FP32", "any x 3"):
        assert word in shown
    assert main(["inspect", str(model.parent / "bundle"), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digest"] == digest
    assert found["manifest"]["name"] == "double"


def test_every_option_ends_up_in_the_manifest(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "labels.json").write_text("[]")
    words = ["pack", str(model), "--name", "double", "--version", "1.0.0", "-o", str(model.parent / "bundle"), "--json"]
    golden = ["--golden", "auto", "--dim", "batch=2", "--absolute", "0.5", "--tolerance", "y=0.25,0.125", "--argmax", "y"]
    said = ["--label", "team=a", "--label", "tier=b", "--license", "MIT", "--training", "url=s3://x?a=b", "--metric", "f1=0.5"]
    said += ["--require", "opset=21", "--require", "memory=1Gi", "--require", "providers=AExecutionProvider,BExecutionProvider"]
    assert main([*words, *golden, *said, "--min-metric", "f1=0.5", "--config", str(model.parent / "labels.json")]) == 0
    found = json.loads(capsys.readouterr().out)["manifest"]
    assert found["golden"] == {
        "path": "golden.json",
        "absolute": 0.5,
        "relative": 0.001,
        "outputs": {"y": {"absolute": 0.25, "relative": 0.125, "argmax": True}},
    }
    assert found["labels"] == {"team": "a", "tier": "b"}
    assert found["license"] == "MIT"
    assert found["training"] == {"url": "s3://x?a=b"}
    assert found["metrics"] == {"f1": 0.5}
    assert found["requirements"] == {"opset": 21, "memory": 2**30, "providers": ["AExecutionProvider", "BExecutionProvider"]}
    assert [file["path"] for file in found["files"]] == ["config/labels.json", "golden.json", "model.onnx"]


@pytest.mark.parametrize(
    "words",
    [["--dim", "batch"], ["--dim", "batch=x"], ["--tolerance", "y=a"], ["--metric", "=1"], ["--label", "team"], ["--absolute", "x"]],
)
def test_an_option_that_cannot_be_read_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["pack", "model.onnx", *words])
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("need", "said"),
    [
        ("opset=new", "the command line: requirements.opset: found 'new', expected a whole number"),
        ("gpu=1", "the command line: requirements.gpu: there is no such field; there are memory, opset, providers"),
        ("memory=64MB", "the command line: requirements.memory: found '64MB', expected"),
    ],
)
def test_a_need_that_cannot_be_read(model: Path, capsys: pytest.CaptureFixture[str], need: str, said: str) -> None:
    assert main(["pack", str(model), "--require", need]) == 1
    assert said in capsys.readouterr().err


def test_what_is_refused_is_told_without_a_traceback(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack(model)
    capsys.readouterr()
    assert pack(model) == 1
    error = capsys.readouterr().err
    assert error.startswith("volary pack: ")
    assert "is not an empty directory" in error
    assert error.rstrip().endswith("(NameConflict)")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "nowhere"],
        ["inspect", "s3://models"],
        ["inspect", "s3://UPPER/x/1"],
        ["push", "nowhere", "s3://models/x"],
    ],
)
def test_user_errors_are_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_fetch_says_3_for_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "nonsense", "1.0.0"]) == 3
    assert "write it like s3://BUCKET/PREFIX" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_told(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "file").touch()
    assert main(["pack", str(model), "--name", "double", "--version", "1.0.0", "-o", str(model.parent / "file" / "bundle")]) == 1
    assert capsys.readouterr().err == f"volary pack: {model.parent / 'file'}: File exists\n"


def test_the_agent_leaves_its_last_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["agent", "--uri", "s3://m", "--version", "1", "--model", "m", "--runtime", "onnxruntime", "--directory", str(tmp_path)]
        listen = ["--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--server", "http://127.0.0.1:1"]
        assert main([*words, *listen, "--termination-log", str(tmp_path / "log")]) == 4
    assert json.loads((tmp_path / "log").read_text())["reason"] == "InternalError"


def test_preflight_leaves_its_last_words(tmp_path: Path) -> None:
    words = ["preflight", "--uri", "s3://m", "--version", "1", "--model", "m", "--runtime", "onnxruntime"]
    assert main([*words, "--termination-log", str(tmp_path / "log")]) == 3
    assert json.loads((tmp_path / "log").read_text())["reason"] == "SpecInvalid"


@pytest.mark.parametrize("words", [[], ["--nonsense"], ["nonsense"], ["push"], ["pack", "x", "--nonsense"], ["pack", "--dim", "batch"]])
def test_usage_errors_are_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"volary {volary.__version__}" in shown
    assert all(verb in shown for verb in VERBS)


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("volary.cli.pack"), "run", interrupt)
    assert pack(model) == 130


@pytest.mark.parametrize("at", ["import", "run"])
def test_a_missing_package_is_told_with_its_extra(
    at: str, monkeypatch: pytest.MonkeyPatch, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> int:
        raise ModuleNotFoundError("No module named 'onnx.checker'", name="onnx.checker")

    if at == "import":
        monkeypatch.setattr("volary.cli.main.importlib.import_module", missing)
    else:
        monkeypatch.setattr(importlib.import_module("volary.cli.pack"), "run", missing)
    assert pack(model) == 1
    assert capsys.readouterr().err == "volary pack: needs the package onnx.checker; install it with: pip install 'volary[cli]'\n"


def test_a_missing_module_of_ours_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.__dict__, "VERBS", {"x": Verb("volary.cli.no_such_verb", "test")})
    with pytest.raises(ModuleNotFoundError):
        main(["x"])


@pytest.mark.parametrize("verb", [name for name, verb in VERBS.items() if importlib.util.find_spec(verb.module)])
def test_each_verb_has_its_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"usage: volary {verb}" in capsys.readouterr().out


HEAVY = (
    "boto3",
    "botocore",
    "cryptography",
    "model_signing",
    "sklearn",
    "skl2onnx",
    "torch",
    "tensorflow",
    "onnx",
    "onnxruntime",
    "numpy",
    "kubernetes",
    "kopf",
    "aiohttp",
    "rich",
    "uvicorn",
)
ALLOWED = {"agent": (), "preflight": (), "fetch": (), "inspect": ("rich",), "push": ("rich",), "pack": (), "optimise": (), "convert": ()}
ALLOWED |= {"sign": (), "alias": ()} | dict.fromkeys(("verify", "export", "import", "gc", "diff", "history"), ("rich",))


@pytest.mark.parametrize("verb", ALLOWED)
def test_a_verb_starts_without_the_packages_of_others(verb: str) -> None:
    """The agent's image has neither numpy nor onnx; and what is imported at start is time at start."""
    script = (
        f"import sys\nfrom volary.cli import main\nsys.argv = ['volary', '{verb}', '--help']\n"
        "try:\n    main.main()\nexcept SystemExit:\n    pass\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stderr.split()
    assert set(found) <= set(ALLOWED[verb])
