"""Trouble as exceptions: only where a value cannot do.

Trouble a user must mend, and waiting, are *values* in plans, termination messages and conditions.
Exceptions exist at the edges only:

    VolaryError
    +-- Refused         the input is bad; carries the Reason and a message for its author
    +-- Transient       try again with back-off; carries the Reason
"""

from volary.common.reasons import Reason


class VolaryError(Exception):
    """Base of all that Volary raises; `str()` of it is safe to show."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Refused(VolaryError):
    """The input is bad and stays bad: say what was found, what was expected, what to do."""


class Transient(VolaryError):
    """A neighbour failed; the same call may succeed later."""


def first_line(error: BaseException, limit: int = 300) -> str:
    """What a foreign error says, on one line of at most `limit` characters, fit for a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:limit]
