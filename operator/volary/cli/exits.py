"""How a verb ends: exit codes that a pipeline can tell apart."""

from enum import IntEnum

from volary.common.errors import Refused
from volary.common.reasons import Reason


class Exit(IntEnum):
    """The same for every verb that talks to a cluster; `volary VERB --help` prints them."""

    DONE = 0
    FAILED = 1  # refused, rolled back, or another fault
    USAGE = 2  # the words of the command are wrong
    NOT_FOUND = 3  # there is no such ModelDeployment
    TIMED_OUT = 4  # neither done nor failed in the time given; what was asked for may still happen
    INTERRUPTED = 130  # Ctrl-C, as in a shell


HELP = "exit codes: 0 done, 1 failed or rolled back, 2 wrong usage, 3 no such ModelDeployment, 4 timed out"


class Missing(Refused):
    """What was named is not there."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.SPEC_INVALID, message)
