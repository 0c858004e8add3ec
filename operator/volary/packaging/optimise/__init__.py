"""Make a model smaller or faster, and prove what it costs.

from volary import packaging
from volary.packaging.optimise.options import Limits, Options, Quantise, Trial

wanted = Options(simplify=True, quantise=Quantise.STATIC)
packaging.optimise(Path("model.onnx"), wanted, output=Path("small.onnx"), trial=Trial(samples=x, labels=y), limits=Limits(accuracy_drop=0.01))
"""

from volary.packaging.optimise.pipeline import optimise

__all__ = ["optimise"]
