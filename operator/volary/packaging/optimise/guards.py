"""What must not get worse."""

from volary.common.reasons import Reason
from volary.packaging.optimise.options import Limits
from volary.packaging.optimise.result import Deviation, Measured

_SLACK = 1e-9  # 0.97 - 0.96 is 0.010000000000000009


def broken(measured: Measured, limits: Limits) -> tuple[Reason, str] | None:
    """The first guard that does not hold, with the measured figure."""
    before, after = measured.before.accuracy, measured.after.accuracy
    if limits.accuracy_drop is not None and before is not None and after is not None:
        drop = before - after
        if drop > limits.accuracy_drop + _SLACK:
            return Reason.ACCURACY_TOO_LOW, (
                f"the accuracy falls by {drop:.4f}, from {before:.4f} to {after:.4f} on {measured.samples} samples; "
                f"--max-accuracy-drop is {limits.accuracy_drop:g}"
            )
    if limits.deviation is not None:
        worst = max(measured.deviations, key=_figure)
        if _figure(worst) > limits.deviation:
            return Reason.DEVIATION_TOO_HIGH, f"{_told(worst)} on {measured.samples} samples; --max-deviation is {limits.deviation:g}"
    return None


def _figure(each: Deviation) -> float:
    """Floats by their largest difference, classes by the share of samples that get another one."""
    return each.changed if each.absolute is None else each.absolute


def _told(each: Deviation) -> str:
    if each.absolute is None:
        return f"output {each.output!r} is another one for {each.changed:.2%} of the answers"
    return f"output {each.output!r} is off by up to {each.absolute:.4g}"
