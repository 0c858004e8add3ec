"""One version that requests are answered by, whatever protocol they came in."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from time import perf_counter, thread_time
from typing import TypeVar

from volary.serving.metrics import Metrics
from volary.serving.model import Model, RunFailed
from volary.serving.pace import Pace
from volary.serving.protocol import Call, Rejected, Schema
from volary.serving.refusal import Internal, ModelFailed
from volary.serving.tensors import Array, show

Answer = TypeVar("Answer")
Read = Callable[[], Call]
Write = Callable[[Call, Sequence[Array]], Answer]
Gone = Callable[[], Awaitable[None]]  # returns once nobody waits for the answer any more

_log = logging.getLogger(__name__)


class Served:
    """A schema, and its model once that is loaded. All attributes belong to the event loop's thread."""

    def __init__(self, schema: Schema, revision: str, metrics: Metrics, workers: Executor) -> None:
        self.schema = schema
        self.revision = revision
        self.metrics = metrics
        self.model: Model | None = None
        self.in_flight = 0  # requests not yet answered: whoever takes one adds it, so that the model is not unloaded meanwhile
        self._workers = workers
        self._pace = Pace()
        metrics.declare_outputs(schema.outputs.values())

    def became_ready(self, model: Model) -> None:
        """The model is loaded: requests are answered from now on."""
        self.model = model
        self.metrics.mark_loaded(loaded=True)

    def admit(self) -> None:
        """Whether a request has a chance, asked before its body is read. Raises Rejected (503)."""
        if self.model is None:
            raise Rejected(503, f"the model {show(self.schema.model)} is still loading")

    async def infer(
        self,
        size: int | None,
        read: Read,
        write: Write[Answer],
        *,
        counted: bool = True,
        deadline: float = math.inf,
        gone: Gone | None = None,
    ) -> Answer:
        """Read a request, run the model, write the answer: here or in a thread, alone or joined with others.

        `size` in bytes stands for the work there is; None: unknown, never to be done in the event loop. `deadline` on
        the loop's clock. `gone` is only asked of a request that must wait for its turn. Raises Rejected, of which
        `refusal` has the kinds, or what `gone` raises once that has come to pass.
        """
        self.admit()
        model = self.model
        assert model is not None  # noqa: S101 -- for mypy
        if size is not None and self._pace.is_quick(size):
            answer, seconds = self._timed(model, read, write, counted)
        else:
            answer, seconds = await asyncio.get_running_loop().run_in_executor(self._workers, self._timed, model, read, write, counted)
        if size is not None:
            self._pace.learn(size, seconds)
        if isinstance(answer, Rejected):
            raise answer
        return answer

    def finished(self, status: int, seconds: float, *, fault: Rejected | None = None, synthetic: bool = False) -> None:
        """Count a request that was answered, whatever with; `seconds` from its first byte."""
        if synthetic:
            self.metrics.count_synthetic(status)
            return
        self.metrics.count(status)
        self.metrics.observe_request(seconds)
        del fault

    def _timed(self, model: Model, read: Read, write: Write[Answer], counted: bool) -> tuple[Answer | Rejected, float]:  # noqa: FBT001 -- an executor passes no keywords
        """The time is taken here: waiting for a thread says nothing about the request."""
        started = thread_time()
        try:
            answer: Answer | Rejected = self._work(model, read, write, counted=counted)
        except Rejected as fault:
            answer = fault
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            _log.exception("inference failed in Volary itself")
            answer = Internal()
        return answer, thread_time() - started

    def _work(self, model: Model, read: Read, write: Write[Answer], *, counted: bool) -> Answer:
        """From the request to the answer, in whatever thread."""
        call = read()
        started = perf_counter()
        try:
            arrays = model.run(call.inputs, call.outputs)
        except RunFailed as failure:
            if (disagreement := model.disagreement(call.inputs)) is not None:
                raise Rejected(400, disagreement) from failure
            _log.warning("inference failed: %s", failure)
            raise ModelFailed(str(failure)) from failure
        if counted:
            self.metrics.observe_inference(perf_counter() - started)
            self.metrics.observe_outputs(call.outputs, arrays)
        return write(call, arrays)
