"""What a person asks for: which steps, how they are measured, what must not get worse. No numpy in here: the CLI starts with it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from volary.common.errors import Refused
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from volary.packaging.samples import Array, Given

RUNS = 100  # of each model: the 99th percentile is the second slowest, so one hiccup of the machine is no news
LINEAGE = "volary.optimised"  # key in the model's metadata: the steps it went through, such as `simplify,int8-static`
TOOLS = "volary.optimised.with"  # ... and the versions of what did it


class Quantise(StrEnum):
    """How weights become 8-bit integers."""

    DYNAMIC = "dynamic"  # activations get their ranges in every call
    STATIC = "static"  # activations have ranges measured once, on samples


@dataclass(frozen=True, slots=True)
class Options:
    """The steps. Their order is fixed: simplify, prune, then fp16 or quantise."""

    simplify: bool = False
    prune: float | None = None  # share of the weights that become 0
    per_layer: bool = False  # prune every layer to that share, not the smallest weights of the whole model
    fp16: bool = False
    quantise: Quantise | None = None
    reduce_range: bool = False  # 7-bit weights: a CPU without VNNI adds pairs of 8-bit products in 16 bits, which overflow


@dataclass(frozen=True, slots=True)
class Trial:
    """What both models are measured with."""

    samples: "Given | None" = None  # as `volary.packaging.samples` reads them
    labels: "Array | Path | None" = None  # the right answer of each sample
    runs: int = RUNS
    threads: int = 1  # more of them make two models in one process disturb each other


@dataclass(frozen=True, slots=True)
class Limits:
    """What may get worse, and how much. None: anything goes."""

    accuracy_drop: float | None = None  # 0.01 is one percentage point
    deviation: float | None = None


def steps(options: Options, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The steps in their order, as the lineage names them. Raises Refused (OptionInvalid).

    `before` is what the model went through earlier: an int8 model asked for fp16 is refused as the pair would be.
    """
    if options.prune is not None and not 0 < options.prune < 1:
        invalid(f"--prune is the share of weights that become 0, more than 0 and less than 1; found {options.prune:g}")
    if options.reduce_range and options.quantise is None:
        invalid("--reduce-range is about --quantise, which is not asked for")
    if options.per_layer and options.prune is None:
        invalid("--per-layer is about --prune, which is not asked for")
    found = (
        *(("simplify",) if options.simplify else ()),
        *((f"prune-{options.prune:g}",) if options.prune is not None else ()),
        *(("fp16",) if options.fp16 else ()),
        *((f"int8-{options.quantise}",) if options.quantise is not None else ()),
    )
    if not found:
        invalid("no step is asked for; give at least one of --simplify, --prune, --fp16, --quantise")
    _check_precision(before, found)
    return found


def _check_precision(before: tuple[str, ...], found: tuple[str, ...]) -> None:
    lowered = [word for word in (*before, *found) if word == "fp16" or word.startswith("int8-")]
    if len(lowered) > 1:
        told = f"the model is {lowered[0]} already" if lowered[0] in before else "both are asked for"
        invalid(
            f"{lowered[0]} and {lowered[1]} both replace the weights' 32-bit floats, and the second would work on what the first "
            f"left of them: {told}; choose one and start from the model in 32 bits"
        )
    if lowered and lowered[0] in before and any(word.startswith("prune") for word in found):
        invalid(f"the model is {lowered[0]} already: prune the model in 32 bits, then lower its precision")


def invalid(message: str) -> NoReturn:
    """Raise Refused (OptionInvalid)."""
    raise Refused(Reason.OPTION_INVALID, message)
