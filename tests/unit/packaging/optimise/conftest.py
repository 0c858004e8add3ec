"""Two models that are worth optimising: a trained one of scikit-learn, and convolutions."""

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from tests.support import networks
from tests.unit.packaging.optimise.given import Given


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Handwritten digits; it is right for 19 of 20 that it has not seen."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    trained = MLPClassifier((32,), random_state=0, learning_rate_init=5e-3, tol=5e-3, n_iter_no_change=3).fit(x[:1200], y[:1200])
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    path.write_bytes(to_onnx(trained, x[:1], options={"zipmap": False}, target_opset=21).SerializeToString())
    return Given(path, x[1200:1500], y[1200:1500])


@pytest.fixture(scope="session")
def convolutions(tmp_path_factory: pytest.TempPathFactory) -> Given:
    path = networks.small(tmp_path_factory.mktemp("convolutions") / "convolutions.onnx")
    return Given(path, np.random.default_rng(1).standard_normal((12, 1, 8, 8)).astype(np.float32))
