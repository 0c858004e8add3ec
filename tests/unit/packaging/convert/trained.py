"""What `--from` names in these tests."""

import functools
import sys
from typing import Any

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped] # it has no types
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped] # as above
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped] # as above
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped] # as above


@functools.cache
def digits() -> tuple[Any, Any]:
    """Images as [1797, 64] in 32 bits, as a server gets them, and what they show."""
    found = load_digits()
    return found.data.astype(np.float32), found.target


@functools.cache
def classifier() -> Any:
    x, y = digits()
    sys.stdout.write("training\n")
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=50, tol=0.1)).fit(x[:600], y[:600])


def nothing() -> None:
    """No model."""


def fails() -> None:
    raise ValueError("no data\nand more")
