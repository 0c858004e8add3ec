"""What the agent writes for TensorFlow Serving says what the server is to read."""

import pytest

from tests.tfserving import config
from volary.runtimes import tensorflow_files


def test_a_file_names_model_place_versions_and_labels() -> None:
    text = tensorflow_files.models("fraud", "/models/fraud", (42, 43), {"stable": 42, "canary": 43})
    labels = (("canary", 43), ("stable", 42))
    assert config.models(text) == [config.Model("fraud", "/models/fraud", specific=(42, 43), labels=labels)]


def test_counting_is_turned_on_where_the_operator_reads_it() -> None:
    assert config.monitoring(tensorflow_files.monitoring()) == tensorflow_files.METRICS_PATH


@pytest.mark.parametrize(
    ("name", "base", "versions", "labels"),
    [
        ('fraud" }', "/models/fraud", (1,), {}),
        ("fraud", "/models/a\nb", (1,), {}),
        ("fraud", "/models/fraud", (), {}),
        ("fraud", "/models/fraud", (1,), {"stable": 2}),
        ("fraud", "/models/fraud", (1,), {"no-dash": 1}),
    ],
)
def test_what_the_server_would_not_read_is_not_written(name: str, base: str, versions: tuple[int, ...], labels: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"cannot|can be"):
        tensorflow_files.models(name, base, versions, labels)
