"""From a trained model to a version in the storage: inspect, record golden samples, pack, push.

from volary import packaging

bundle = packaging.pack(Path("model.onnx"), name="digits", version="1.0.0", samples=x, output=Path("bundle"))
pushed = packaging.push(bundle.path, "s3://models/digits")
"""

from volary.packaging.bundle import Bundle, load
from volary.packaging.pack import pack
from volary.packaging.push import Pushed, push

__all__ = ["Bundle", "Pushed", "load", "pack", "push"]
