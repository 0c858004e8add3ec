"""The last words of a container: an Outcome in the termination message, and the exit code."""

import logging
from pathlib import Path

from volary.common import logs
from volary.common.errors import Refused, VolaryError
from volary.common.outcome import Outcome
from volary.common.reasons import Reason

_log = logging.getLogger(__name__)

PATH = Path("/dev/termination-log")
REFUSED = 3  # the bundle or the spec is bad and stays bad
FAILED = 4  # a neighbour failed, or we did; later it may work


def write(outcome: Outcome, path: Path) -> None:
    """Leave the outcome where the kubelet picks it up; without such a file the log has to do."""
    text = outcome.dump()
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        _log.warning("cannot write the termination message", extra=logs.fields(path=str(path), cause=str(error)))
    _log.info(outcome.message, extra=logs.fields(reason=outcome.reason))


def report(error: BaseException | None, path: Path) -> int:
    """Write what ended us; the exit code."""
    match error:
        case Refused():
            write(Outcome(reason=error.reason, message=error.message), path)
            return REFUSED
        case VolaryError():
            write(Outcome(reason=error.reason, message=error.message), path)
            return FAILED
        case _:
            _log.error("a fault in Volary", exc_info=error)
            write(Outcome(reason=Reason.INTERNAL_ERROR, message=f"{type(error).__name__}: {error}"), path)
            return FAILED
