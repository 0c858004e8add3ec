"""scikit-learn estimators become bundles that answer alike; a pickle is opened only by who vouches for it."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans  # type: ignore[import-untyped] # it has no types
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier  # type: ignore[import-untyped] # as above
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped] # as above
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped] # as above

from tests.unit.packaging.convert import trained
from volary import packaging
from volary.bundle import golden
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import Kind, Source, factory
from volary.serving import model as serving

FACTORY = "tests.unit.packaging.convert.trained:classifier"


def prepared(estimator: Any, directory: Path, samples: Any = None) -> convert.Servable:
    return convert.prepare(convert.sklearn(estimator, samples), directory)


def test_a_classifier_of_digits_answers_in_its_bundle_as_it_did(tmp_path: Path) -> None:
    estimator, (x, _) = trained.classifier(), trained.digits()
    held_out = x[600:650]
    bundle = packaging.pack(convert.sklearn(estimator, x), name="digits", version="1.0.0", samples=held_out, output=tmp_path / "bundle")
    assert bundle.manifest.inputs == (Tensor(name="input", datatype=Datatype.FP32, shape=(-1, 64)),)
    assert [each.name for each in bundle.manifest.outputs] == ["label", "probabilities"]
    recorded = golden.parse((bundle.path / "golden.json").read_bytes(), bundle.manifest)
    assert [sample.outputs[0].data[0] for sample in recorded] == list(estimator.predict(held_out))
    np.testing.assert_allclose([each.outputs[1].data for each in recorded], estimator.predict_proba(held_out), atol=1e-5)
    facts = bundle.manifest.build
    assert facts["convert.source"] == "scikit-learn"
    assert facts["convert.framework"].startswith("scikit-learn ")
    assert facts["convert.tool"].startswith("skl2onnx ")
    assert facts["convert.parity"].endswith("50 given samples")


def test_a_converted_model_is_served_as_it_was_trained(tmp_path: Path) -> None:
    x, _ = trained.digits()
    bundle = packaging.pack(
        convert.sklearn(trained.classifier()), name="digits", version="1", samples=packaging.Auto(), output=tmp_path / "b"
    )
    assert bundle.manifest.golden is not None
    served = serving.load(bundle.path, serving.read_manifest(bundle.path), threads=1)
    answers = served.run({"input": x[600:650]}, bundle.manifest.outputs)
    assert answers[0].tolist() == trained.classifier().predict(x[600:650]).tolist()


def test_packing_an_estimator_twice_gives_the_same_digest(tmp_path: Path) -> None:
    first, second = (
        packaging.pack(convert.sklearn(trained.classifier()), name="digits", version="1", output=tmp_path / name) for name in ("a", "b")
    )
    assert first.digest == second.digest


def test_a_regressor_and_a_transformer_are_compared_too(tmp_path: Path) -> None:
    x, y = trained.digits()
    for estimator in (LinearRegression().fit(x, y), StandardScaler().fit(x)):
        made = prepared(estimator, tmp_path, x[:50])
        assert made.facts["convert.parity"].endswith("50 given samples")
        assert len(made.outputs) == 1


def test_text_labels(tmp_path: Path) -> None:
    x, y = trained.digits()
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, np.array([f"digit {label}" for label in y]))
    made = prepared(estimator, tmp_path)
    assert made.outputs[0].datatype is Datatype.BYTES
    assert made.facts["convert.parity"].startswith("max abs ")


def test_where_scores_differ_in_kind_the_labels_are_compared(tmp_path: Path) -> None:
    x, y = trained.digits()
    for estimator in (KMeans(3, n_init=1, random_state=0).fit(x[:100]), RidgeClassifier().fit(x, y)):
        assert prepared(estimator, tmp_path, x[:50]).facts["convert.parity"].endswith("50 given samples, 1 of 2 outputs")


def test_an_estimator_that_is_not_fitted(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is it fitted") as caught:
        prepared(LogisticRegression(), tmp_path)
    assert caught.value.reason is Reason.CONVERSION_FAILED


class Doubling(StandardScaler):  # type: ignore[misc] # a base without types
    """An estimator that skl2onnx does not know."""


def test_an_estimator_that_the_converter_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="skl2onnx cannot convert Doubling: ") as caught:
        prepared(Doubling().fit(trained.digits()[0]), tmp_path)
    assert caught.value.reason is Reason.CONVERSION_FAILED


class Evil:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["evil.pkl", "evil.joblib", "evil.skops", "evil.onnx"])
def test_a_pickle_is_not_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(Refused, match="opening a pickle runs whatever code is in it; give --from MODULE:FUNCTION") as caught:
        packaging.pack(tmp_path / name, name="evil", version="1", output=tmp_path / "bundle")
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".joblib"])
def test_a_pickle_of_a_person_who_vouches_for_it(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"model{suffix}").write_bytes(pickle.dumps(trained.classifier()))
    words = ["--trust-pickle", "--name", "digits", "--version", "1", "-o", str(tmp_path / "bundle")]
    assert main(["pack", str(tmp_path / f"model{suffix}"), *words]) == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [(pickle.dumps([1]), Reason.FORMAT_UNSUPPORTED), (b"\x80\x04garbage", Reason.LOAD_FAILED), (b"", Reason.LOAD_FAILED)],
)
def test_a_trusted_file_that_holds_no_estimator(content: bytes, reason: Reason, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(content)
    with pytest.raises(Refused) as caught:
        convert.prepare(Source(kind=Kind.SKLEARN, path=tmp_path / "model.pkl", trusted=True), tmp_path)
    assert caught.value.reason is reason


def test_what_training_prints_is_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained.classifier.cache_clear()
    assert main(["convert", "--from", FACTORY, "-o", str(tmp_path / "graph")]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{tmp_path / 'graph' / 'model.onnx'}: onnx, ")
    assert told.err.startswith("training\n")


def test_a_function_that_makes_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", trained.digits()[0][:3])
    words = ["--name", "digits", "--version", "1", "--golden", str(tmp_path / "x.npy"), "-o", str(tmp_path / "bundle")]
    assert main(["pack", "--from", FACTORY, *words]) == 0
    assert "parity: max abs" in capsys.readouterr().err
    assert main(["convert", "--from", FACTORY, "--samples", str(tmp_path / "x.npy"), "-o", str(tmp_path / "graph")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'graph' / 'model.onnx'}: onnx, 1 files, ")
    assert (tmp_path / "graph" / "model.onnx").read_bytes() == (tmp_path / "bundle" / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("no_such_module_here:make", "no_such_module_here cannot be imported: ModuleNotFoundError"),
        (FACTORY.replace("classifier", "nowhere"), "has no function or class 'nowhere'"),
        (FACTORY.replace("classifier", "fails"), "fails() fails: ValueError: no data"),
        (FACTORY.replace(":classifier", ""), "it is not MODULE:NAME"),
        ("os;x:make", "it is not MODULE:NAME"),
        (":make", "it is not MODULE:NAME"),
    ],
)
def test_a_function_that_makes_none(spec: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        factory.source(spec)
    assert caught.value.reason is Reason.SPEC_INVALID
    assert said in caught.value.message


def test_a_function_that_makes_something_else() -> None:
    with pytest.raises(Refused, match=r"a builtins\.NoneType cannot be converted; give a fitted scikit-learn estimator"):
        factory.source(FACTORY.replace("classifier", "nothing"))


def test_one_source_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "model.onnx", "--from", FACTORY, "--name", "m", "--version", "1", "-o", "nowhere"]) == 1
    assert "give either a file, directory or s3:// URI, or --from MODULE:FUNCTION" in capsys.readouterr().err
