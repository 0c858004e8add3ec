"""Which runtimes there are."""

from typing import assert_never

from volary.api.v1alpha1 import RuntimeName
from volary.runtimes import onnxruntime, tensorflow_serving
from volary.runtimes.runtime import Runtime


def find(name: RuntimeName) -> Runtime:
    """The description of `spec.runtime.name`."""
    match name:
        case RuntimeName.ONNXRUNTIME:
            return onnxruntime.RUNTIME
        case RuntimeName.TENSORFLOW_SERVING:
            return tensorflow_serving.RUNTIME
        case _:
            assert_never(name)
