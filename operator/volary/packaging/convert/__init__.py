"""From what a person trained to a graph that can be served.

from volary import packaging
from volary.packaging import convert

bundle = packaging.pack(convert.sklearn(estimator, x), name="digits", version="1.0.0", samples=x[:20], output=Path("bundle"))

Each framework is imported when a source of it is converted, and no sooner.
"""

from dataclasses import replace
from typing import Any

from volary.packaging.convert import factory
from volary.packaging.convert.detect import detect, find
from volary.packaging.convert.layout import lay_out
from volary.packaging.convert.prepare import Servable, convert, prepare
from volary.packaging.convert.source import MAX_DEVIATION, Converted, Kind, Source, Target

__all__ = [
    "MAX_DEVIATION",
    "Converted",
    "Kind",
    "Servable",
    "Source",
    "Target",
    "convert",
    "detect",
    "find",
    "lay_out",
    "live",
    "prepare",
    "sklearn",
]


def sklearn(estimator: Any, sample: Any = None) -> Source:
    """A fitted estimator of scikit-learn. `sample` is an array of shape [samples, columns], or a mapping of columns [samples, 1]."""
    return Source(kind=Kind.SKLEARN, model=estimator, samples=sample)


def live(model: Any, samples: Any = None) -> Source:
    """Any model of this process that can be converted: scikit-learn, torch.nn.Module, torch.export, Keras. Raises Refused."""
    return replace(factory.of_object(model), samples=samples)
