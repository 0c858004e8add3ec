"""What becomes of a pushed version: the answers of its preflight, the life of its pods, the errors of its server."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.planning.model import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One version."""

    answers: tuple[Outcome, ...] = ()  # of the first preflights; after them it passes
    start: timedelta = timedelta(seconds=4)  # from the start of a pod until it is ready, or meets its fate
    fate: Problem | None = None  # what its pods meet instead of getting ready
    errors: float = 0.0  # share of requests that fail with 5xx
    slow: float = 0.02  # share of requests that take longer than 50 ms
    odd: float = 0.1  # share of answers of class 1; the others are of class 0
    wrong: bool = False  # golden samples are answered otherwise, once it has served for a while


GOOD = Bundle()
REFUSED = Bundle(answers=(Outcome(reason=Reason.DIGEST_MISMATCH, message="model.onnx is not what was packed"),) * 1000)
FLAKY = Bundle(answers=(Outcome(reason=Reason.STORAGE_UNREACHABLE, message="s3.storage:9000 refuses connections"),) * 2)
MISMATCH = Bundle(fate=Problem(reason=Reason.GOLDEN_MISMATCH, message="sample 3: output 'y'[0] is 0.91, packed was 0.34"))
HUNGRY = Bundle(fate=Problem(reason=Reason.OUT_OF_MEMORY, message="container server needed more memory than its limit of 1Gi"))
NO_IMAGE = Bundle(fate=Problem(reason=Reason.IMAGE_PULL_FAILED, message="image mine:2 of container server: not found"))
SILENT = Bundle(start=timedelta(days=365))  # never ready, never says why
FAILING = Bundle(errors=0.2)
SLOW = Bundle(slow=0.6)
DRIFTED = Bundle(odd=0.4)
FLAWED = Bundle(errors=0.004)  # below the tolerance of 1 %


def digest(version: str) -> str:
    """Of the manifest; follows from the version, as in a bucket where versions never change."""
    return "sha256:" + hashlib.sha256(version.encode()).hexdigest()


def passed(version: str) -> Outcome:
    """The answer of a preflight that found nothing wrong."""
    return Outcome(reason=Reason.PREFLIGHT_PASSED, digest=digest(version), version=version, format="onnx", size=4096, golden=8)
