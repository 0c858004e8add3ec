from pathlib import Path

import pytest

from volary.agent import termination
from volary.common import outcome
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Refused(Reason.DIGEST_MISMATCH, "m"), 3, Reason.DIGEST_MISMATCH),
        (Transient(Reason.STORAGE_THROTTLED, "m"), 4, Reason.STORAGE_THROTTLED),
        (KeyError("m"), 4, Reason.INTERNAL_ERROR),
    ],
)
def test_last_words(tmp_path: Path, error: Exception, code: int, reason: Reason) -> None:
    assert termination.report(error, tmp_path / "log") == code
    found = outcome.parse((tmp_path / "log").read_text())
    assert found is not None
    assert found.reason is reason
    assert "m" in found.message


def test_without_a_termination_log_the_code_is_the_same(tmp_path: Path) -> None:
    assert termination.report(Refused(Reason.DISK_FULL, "m"), tmp_path / "no" / "log") == 3
