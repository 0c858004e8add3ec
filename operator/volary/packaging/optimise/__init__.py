"""Make a model smaller or faster, and prove what it costs.

from volary.packaging.optimise import Limits, Options, Quantise, Trial, optimise

wanted = Options(simplify=True, quantise=Quantise.STATIC)
optimise(Path("model.onnx"), wanted, output=Path("small.onnx"), trial=Trial(samples=x, labels=y), limits=Limits(accuracy_drop=0.01))
"""

from volary.packaging.optimise.options import Limits, Options, Quantise, Trial
from volary.packaging.optimise.pipeline import optimise

__all__ = ["Limits", "Options", "Quantise", "Trial", "optimise"]
