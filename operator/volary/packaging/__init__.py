"""From a trained model to a version in the storage: inspect, record golden samples, score, pack, push.

    from pathlib import Path

    import numpy as np

    from volary import packaging
    from volary.packaging import Rule

    x = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)  # inputs whose answers are recorded


    def spread(predict):
        return float(np.ptp(predict({"x": x})["probabilities"]))


    bundle = packaging.pack(
        Path("model.onnx"),
        name="iris",
        version="1.0.0",
        output=Path("bundle"),
        samples=x,  # or packaging.Auto(): made up from the model's inputs
        tolerances={"probabilities": Rule(absolute=1e-4, relative=1e-3, argmax=True)},
        labels={"team": "botany"},
        license="Apache-2.0",
        training={"data": "iris"},
        evaluate=spread,
        minimums={"spread": 0.1},
    )
    print(bundle.digest, bundle.manifest.metrics)

`packaging.make(Recipe(...))` does the same with a value that can be kept, and
`packaging.push(bundle.path, "s3://models/iris")` makes the bundle a version that never changes.
Whatever the user must change is `volary.common.errors.Refused`: a reason and a message.
"""

from volary.bundle.manifest import Rule
from volary.bundle.metadata import Requirements
from volary.packaging.bundle import Bundle, load
from volary.packaging.pack import make, pack
from volary.packaging.push import Pushed, push
from volary.packaging.recipe import Auto, Recipe

__all__ = ["Auto", "Bundle", "Pushed", "Recipe", "Requirements", "Rule", "load", "make", "pack", "push"]
