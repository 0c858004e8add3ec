"""scikit-learn on tables of words and numbers, and skops files: what the everyday tests have no packages for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volary import packaging
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import Kind, Source

pytestmark = [pytest.mark.convert, pytest.mark.timeout(600)]


def table() -> Any:
    import pandas as pd

    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": random.normal(100, 50, 200).astype(np.float32),
            "country": random.choice(["DE", "FR", "IT"], 200).astype(object),
        }
    )


def classifier(frame: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer([("words", OneHotEncoder(), ["country"]), ("numbers", StandardScaler(), ["amount"])])
    fraud = (frame["amount"] > 120) ^ (frame["country"] == "IT")
    return make_pipeline(columns, LogisticRegression()).fit(frame, fraud.astype(int))


@pytest.mark.parametrize("given", ["a data frame", "a mapping"])
def test_a_table_has_an_input_a_column(given: str, tmp_path: Path) -> None:
    frame = table()
    estimator = classifier(frame)
    columns = {name: frame[[name]].to_numpy() for name in frame.columns}
    source = convert.sklearn(estimator, frame if given == "a data frame" else columns)
    some = {name: array[:20] for name, array in columns.items()}
    bundle = packaging.pack(source, name="fraud", version="1", samples=some, output=tmp_path / "bundle")
    assert bundle.manifest.inputs == (
        Tensor(name="amount", datatype=Datatype.FP32, shape=(-1, 1)),
        Tensor(name="country", datatype=Datatype.BYTES, shape=(-1, 1)),
    )
    golden = json.loads((bundle.path / "golden.json").read_bytes())["samples"]
    assert [each["outputs"][0]["data"][0] for each in golden] == estimator.predict(frame[:20]).tolist()
    assert bundle.manifest.build["convert.parity"].endswith("20 given samples")


def test_a_skops_file_of_a_person_who_vouches_for_it(tmp_path: Path) -> None:
    import skops.io  # type: ignore[import-not-found] # only in the environment of these tests
    from sklearn.preprocessing import StandardScaler

    skops.io.dump(StandardScaler().fit(np.eye(3)), tmp_path / "scaler.skops")
    source = convert.find(tmp_path / "scaler.skops")
    with pytest.raises(Refused, match="--trust-pickle") as caught:
        convert.prepare(source, tmp_path)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    made = convert.prepare(Source(kind=Kind.SKLEARN, path=source.path, trusted=True), tmp_path)
    assert [each.shape for each in made.inputs] == [(-1, 3)]
