"""Scores by a function of the user's: what it is given, what it may return, what is said when it fails."""

import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.packaging import models
from volary import packaging
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Bundle

X = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.classifier(tmp_path / "model.onnx")


@pytest.fixture(autouse=True)
def fresh_modules() -> Iterator[None]:
    """Each test imports its own `scoring.py`, and leaves no trace of it."""
    before = list(sys.path)
    yield
    sys.modules.pop("scoring", None)
    assert sys.path == before


def pack(model: Path, evaluate: Any, **more: Any) -> Bundle:
    return packaging.pack(model, name="m", version="1", output=model.parent / "bundle", evaluate=evaluate, **more)


def refusal(model: Path, evaluate: Any, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        pack(model, evaluate, **more)
    assert not (model.parent / "bundle").exists()
    return caught.value


def accuracy(predict: Callable[..., Any]) -> Any:
    return np.mean(predict({"x": X})["label"] == [0, 1, 1])


def test_a_number_is_called_like_the_function(model: Path) -> None:
    assert pack(model, accuracy).manifest.metrics == {"accuracy": pytest.approx(2 / 3)}


def test_several_numbers_have_names_of_their_own(model: Path) -> None:
    found = pack(model, lambda predict: {"rows": len(predict({"x": X})["label"]), "top": np.float32(0.5)}, metrics={"known": 7.0})
    assert found.manifest.metrics == {"rows": 3.0, "top": 0.5, "known": 7.0}


def test_the_model_is_given_arrays_by_name_and_answers_so(model: Path) -> None:
    def look(predict: Callable[..., dict[str, Any]]) -> float:
        answer = predict({"x": X.astype(np.float64)})  # float64, as numpy makes: converted
        assert list(answer) == ["label", "probabilities"]
        assert answer["probabilities"].shape == (3, 3)
        return 1.0

    assert pack(model, look).manifest.metrics == {"look": 1.0}


def test_a_model_that_reaches_its_minimum_is_packed(model: Path) -> None:
    assert pack(model, accuracy, minimums={"accuracy": 2 / 3}).manifest.metrics == {"accuracy": pytest.approx(2 / 3)}


def test_a_model_below_its_minimum_is_not_packed(model: Path) -> None:
    found = refusal(model, accuracy, minimums={"accuracy": 0.95})
    assert (found.reason, found.message) == (
        Reason.METRIC_TOO_LOW,
        "accuracy is 0.666667, it must be 0.95 or more; nothing was packed",
    )


@pytest.mark.parametrize(
    ("minimums", "said"),
    [
        ({"f1": 0.5}, "there is a minimum for 'f1', which is not among the metrics ['accuracy']"),
        ({"accuracy": float("nan")}, "must be nan"),
    ],
)
def test_a_minimum_of_nothing(model: Path, minimums: dict[str, float], said: str) -> None:
    assert said in refusal(model, accuracy, minimums=minimums).message


def test_a_minimum_without_metrics(model: Path) -> None:
    assert "add --evaluate MODULE:FUNCTION" in refusal(model, None, minimums={"accuracy": 0.5}).message


RETURNED: dict[str, tuple[Any, str]] = {
    "nothing": (None, "returned None for 'f'"),
    "NaN": (float("nan"), "returned nan for 'f'"),
    "text": ("0.9", "returned '0.9' for 'f'"),
    "beyond any float": (10**400, "it must return a finite number"),
    "an array": (np.zeros(2), "it must return a finite number"),
    "no metrics": ({}, "returned no metrics"),
    "a number for a name": ({1: 0.5}, "returned 0.5 for 1"),
    "nothing for a name": ({"a": None}, "returned None for 'a'"),
    "a name of two words": ({"my accuracy": 0.5}, "metrics.my accuracy: found 'my accuracy'"),
}


@pytest.mark.parametrize(("value", "said"), RETURNED.values(), ids=RETURNED)
def test_what_it_may_not_return(model: Path, value: Any, said: str) -> None:
    def f(_: object) -> Any:
        return value

    found = refusal(model, f)
    assert said in found.message


WRITTEN: dict[str, tuple[str, str, str]] = {
    "no module": ("", "nowhere:f", "nowhere:f failed: ModuleNotFoundError: No module named 'nowhere'"),
    "no function": ("", "scoring:f", "scoring:f failed: AttributeError: module 'scoring' has no attribute 'f'"),
    "no function but a number": ("f = 1", "scoring:f", "scoring:f is int, not a function"),
    "no syntax": ("def f(:", "scoring:f", "scoring:f failed: SyntaxError: invalid syntax"),
    "an exception": ("def f(predict): raise KeyError('rows')", "scoring:f", "scoring:f failed: KeyError: 'rows'"),
    "an exception of two lines": ("def f(predict): raise ValueError('a\\nb')", "scoring:f", "scoring:f failed: ValueError: a"),
    "an end of the process": ("def f(predict): raise SystemExit(3)", "scoring:f", "scoring:f failed: SystemExit: 3"),
    "another input": (
        "def f(predict): return predict({'y': 1})",
        "scoring:f",
        "scoring:f failed: ValueError: predict was given ['y'], the model has the inputs ['x']",
    ),
    "text for numbers": ("def f(predict): return predict({'x': [['a']]})", "scoring:f", "scoring:f failed: TypeError: Cannot cast"),
    "a shape of its own": ("def f(predict): return predict({'x': [[1.0]]})", "scoring:f", "scoring:f failed: ValueError: "),
    "no colon": ("", "scoring", "evaluate is 'scoring'; write it like MODULE:FUNCTION"),
}


@pytest.mark.parametrize(("source", "name", "said"), WRITTEN.values(), ids=WRITTEN)
def test_a_function_that_fails_is_named_with_its_error(model: Path, source: str, name: str, said: str) -> None:
    (model.parent / "scoring.py").write_text(source)
    found = refusal(model, name, home=model.parent)
    assert found.message.startswith(said)
    assert "\n" not in found.message
    assert found.reason in (Reason.EVALUATION_FAILED, Reason.SPEC_INVALID)


def test_a_function_without_a_name(model: Path) -> None:
    assert pack(model, functools.partial(accuracy)).manifest.metrics == {"partial": pytest.approx(2 / 3)}


def test_what_a_function_prints_is_no_data(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "scoring.py").write_text("def f(predict):\n    print('scoring ...')\n    return 1\n")
    monkeypatch.chdir(model.parent)
    assert main(["pack", "model.onnx", "--name", "m", "--version", "1", "-o", "bundle", "--evaluate", "scoring:f", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["manifest"]["metrics"] == {"f": 1.0}
    assert "scoring ..." in shown.err


def test_the_trace_is_shown_only_when_asked_for(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "scoring.py").write_text("def inner():\n    raise KeyError('rows')\n\n\ndef f(predict):\n    inner()\n")
    monkeypatch.chdir(model.parent)
    words = ["pack", "model.onnx", "--name", "m", "--version", "1", "-o", "bundle", "--evaluate", "scoring:f"]
    assert main(words) == 1
    assert capsys.readouterr().err == "volary pack: scoring:f failed: KeyError: 'rows' (EvaluationFailed)\n"
    assert main([*words, "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "in inner" in shown
    assert shown.endswith("volary pack: scoring:f failed: KeyError: 'rows' (EvaluationFailed)\n")
