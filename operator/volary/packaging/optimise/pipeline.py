"""From a model to a smaller one: the steps in their order, both measured, and kept only where the guards hold."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.optimise import guards
from volary.packaging.optimise import options as asked
from volary.packaging.optimise.options import Limits, Options, Quantise, Trial, invalid
from volary.packaging.optimise.result import Layer, Measured, Optimised

if TYPE_CHECKING:
    from volary.packaging.onnx import Inspected
    from volary.packaging.samples import Array, Inputs

Shown = Callable[[Optimised], object]
Told = Callable[[str], object]

_PLAIN = Trial()
_ANYTHING = Limits()


def optimise(
    model: Path,
    wanted: Options,
    *,
    output: Path,
    trial: Trial = _PLAIN,
    limits: Limits = _ANYTHING,
    show: Shown = lambda _: None,
    tell: Told = lambda _: None,
) -> Optimised:
    """Write `output`, which must not exist; weights beside the model stay beside, in `<output>.data`. Raises Refused.

    `show` is called with the figures before the guards decide, `tell` with each step before it starts. Where anything
    is refused no file is left. The same model and options give the same bytes with the same versions of the tools.
    """
    from volary.packaging import onnx
    from volary.packaging.optimise import graph
    from volary.packaging.optimise import trial as trials

    _check(output, wanted, trial, limits)
    inspected = onnx.inspect(model)
    inputs = trials.inputs(trial.samples, inspected.inputs)
    labels = None if trial.labels is None else trials.labels(trial.labels, len(inputs))
    original = graph.load(model)
    face, before = graph.face(original), graph.lineage(original)
    steps = asked.steps(wanted, before)
    changed, layers = _changed(original, wanted, inputs, tell)
    graph.finish(changed, face, _facts(before, steps))
    with _workshop(output) as work:
        graph.save(changed, work / output.name, beside=bool(inspected.data) or graph.is_large(changed))
        made = _check_made(work / output.name, inspected)
        tell("measuring")
        measured = _measured((model, inspected), (work / output.name, made), inputs, labels, trial)
        found = _judged(Optimised(model, output, steps, layers, measured, None), limits, show)
        for name in (*made.data, output.name):  # the model last: it is whole when it is there
            (work / name).rename(output.parent / name)
    return found


def _changed(model: Any, wanted: Options, inputs: "Sequence[Inputs]", tell: Told) -> tuple[Any, tuple[Layer, ...]]:
    from volary.packaging.optimise.half import half
    from volary.packaging.optimise.prune import prune
    from volary.packaging.optimise.quantise import quantise
    from volary.packaging.optimise.simplify import simplify

    layers: tuple[Layer, ...] = ()
    if wanted.simplify:
        tell("simplifying")
        model = simplify(model)
    if wanted.prune is not None:
        tell("pruning")
        layers = prune(model, wanted.prune, per_layer=wanted.per_layer)
    if wanted.fp16:
        tell("converting to 16 bits")
        model = half(model)
    if wanted.quantise is not None:
        tell("quantising")
        model = quantise(model, wanted.quantise, inputs, reduce_range=wanted.reduce_range)
    return model, layers


def _measured(
    before: "tuple[Path, Inspected]", after: "tuple[Path, Inspected]", inputs: "Sequence[Inputs]", labels: "Array | None", trial: Trial
) -> Measured:
    from volary.packaging.optimise import measure

    one, other = ((path, *(path.parent / name for name in inspected.data)) for path, inspected in (before, after))
    return measure.measure(
        (one, other), before[1].outputs, inputs, labels, random=trial.samples is None, runs=trial.runs, threads=trial.threads
    )


def _judged(found: Optimised, limits: Limits, show: Shown) -> Optimised:
    refusal = guards.broken(found.measured, limits)
    show(found if refusal is None else replace(found, refusal=refusal[1]))
    if refusal is not None:
        raise Refused(*refusal)
    return found


@contextmanager
def _workshop(output: Path) -> Iterator[Path]:
    """A directory beside the output: what is done is renamed, what is not is gone."""
    output.parent.mkdir(parents=True, exist_ok=True)
    work = output.parent / f".{output.name}.{secrets.token_hex(4)}"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check(output: Path, wanted: Options, trial: Trial, limits: Limits) -> None:
    asked.steps(wanted)
    for path in (output, output.with_name(f"{output.name}.data")):
        if path.exists():
            raise Refused(Reason.NAME_CONFLICT, f"{path} exists; choose another --output or remove it")
    if wanted.quantise is Quantise.STATIC and trial.samples is None:
        invalid("--quantise static measures the ranges of activations on your samples; give some with --samples")
    if trial.labels is not None and trial.samples is None:
        invalid("--labels are those of your samples; give them with --samples")
    for option, limit in (("--max-accuracy-drop", limits.accuracy_drop), ("--max-deviation", limits.deviation)):
        if limit is not None and not limit >= 0:  # NaN too: nothing would ever be above it
            invalid(f"{option} is 0 or more; found {limit:g}")
    if limits.accuracy_drop is not None and trial.labels is None:
        invalid("--max-accuracy-drop needs the right answers of your samples; give them with --labels")


def _check_made(path: Path, before: "Inspected") -> "Inspected":
    """What the tools made must be valid and have the schema it had."""
    from volary.packaging import onnx

    made = onnx.inspect(path)
    if (made.inputs, made.outputs) != (before.inputs, before.outputs):
        raise Refused(Reason.FORMAT_UNSUPPORTED, "the steps would change the inputs or outputs of the model; leave some of them out")
    return made


def _facts(before: tuple[str, ...], steps: tuple[str, ...]) -> dict[str, str]:
    tools = ", ".join(f"{name} {version_of(name)}" for name in ("onnx", "onnxruntime"))
    return {asked.LINEAGE: ",".join((*before, *steps)), asked.TOOLS: tools}
