"""Ask the running server the golden samples and compare: is it the model that was packed?"""

from collections.abc import Sequence
from http import HTTPStatus

from volary.adapters.exchange import TooSlow, Unreachable
from volary.adapters.oip import Answer, Server
from volary.agent.retry import Patience
from volary.bundle import golden
from volary.bundle.golden import Sample
from volary.bundle.manifest import Golden
from volary.common.errors import Refused
from volary.common.reasons import Reason


def replay(
    server: Server, model: str, version: str, samples: Sequence[Sample], tolerance: Golden, *, timeout: float, patience: Patience
) -> None:
    """Return when every sample is answered as recorded.

    `timeout` is for one sample, in seconds. Raises Refused (GoldenMismatch, GoldenTimeout), or
    Unreachable when the server goes away meanwhile: that says nothing of the model.
    """
    for number, sample in enumerate(samples):
        patience.check()
        try:
            ask(server, model, version, number, sample, tolerance, timeout=timeout)
        except TooSlow:
            raise Refused(Reason.GOLDEN_TIMEOUT, f"golden sample {number}: no answer within {timeout:g} s") from None


def ask(server: Server, model: str, version: str, number: int, sample: Sample, tolerance: Golden, *, timeout: float) -> None:
    """One sample. Raises Refused (GoldenMismatch), Unreachable or TooSlow."""
    answer = server.infer(model, version, [tensor.model_dump(mode="json") for tensor in sample.inputs], timeout)
    text = _judge(answer, sample, version, tolerance)
    if text is not None:
        raise Refused(Reason.GOLDEN_MISMATCH, f"golden sample {number}: {text}")


def _judge(answer: Answer, sample: Sample, version: str, tolerance: Golden) -> str | None:
    """None where the answer is right, else what is wrong with it."""
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise Unreachable("the server answers 503")
    if answer.status != HTTPStatus.OK:
        return f"the server answers {answer.status}: {answer.error}"
    if answer.version is not None and answer.version != version:
        return f"version {answer.version!r} answered, asked was {version!r}"
    difference = golden.compare(sample.outputs, answer.outputs, tolerance)
    return None if difference is None else str(difference)
