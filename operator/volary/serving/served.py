"""One version that requests are answered by."""

import asyncio
import logging
from concurrent.futures import Executor
from time import perf_counter, thread_time

from volary.serving import protocol, reply
from volary.serving.metrics import Metrics
from volary.serving.model import Model, RunFailed
from volary.serving.pace import Pace
from volary.serving.protocol import Rejected, Schema
from volary.serving.reply import Reply

_log = logging.getLogger(__name__)


class Served:
    """A schema, and its model once that is loaded. All attributes belong to the event loop's thread."""

    def __init__(self, schema: Schema, revision: str, metrics: Metrics, workers: Executor) -> None:
        self.schema = schema
        self.revision = revision
        self.metrics = metrics
        self.model: Model | None = None
        self.in_flight = 0  # requests not yet answered
        self._workers = workers
        self._pace = Pace()
        metrics.declare_outputs(schema.outputs.values())

    def became_ready(self, model: Model) -> None:
        """The model is loaded: requests are answered from now on."""
        self.model = model
        self.metrics.mark_loaded(loaded=True)

    def is_quick(self, body: bytes) -> bool:
        """Whether it may be answered in the event loop."""
        return self._pace.is_quick(len(body))

    def answer(self, model: Model, body: bytes, *, counted: bool = True) -> Reply:
        """To the body of an inference request, here and now; `model` is this version's. Only a client's is `counted`."""
        answer, seconds = self._timed_work(model, body, counted)
        self._pace.learn(len(body), seconds)
        return answer

    async def answer_beside(self, model: Model, body: bytes, *, counted: bool = True) -> Reply:
        """The same, in a thread."""
        answer, seconds = await asyncio.get_running_loop().run_in_executor(self._workers, self._timed_work, model, body, counted)
        self._pace.learn(len(body), seconds)
        return answer

    def _timed_work(self, model: Model, body: bytes, counted: bool) -> tuple[Reply, float]:  # noqa: FBT001 -- an executor passes no keywords
        """The time is taken here: waiting for a thread says nothing about the request."""
        started = thread_time()
        answer = self._work(model, body, counted=counted)
        return answer, thread_time() - started

    def _work(self, model: Model, body: bytes, *, counted: bool) -> Reply:
        """From the body to the answer, in whatever thread."""
        try:
            call = protocol.read_call(body, self.schema)
            started = perf_counter()
            try:
                arrays = model.run(call.inputs, call.outputs)
            except RunFailed as failure:
                if (fault := model.disagreement(call.inputs)) is not None:
                    return reply.error(400, fault)
                _log.warning("inference failed: %s", failure)
                return reply.error(500, f"the model failed on this request: {failure}")
            if counted:
                self.metrics.observe_inference(perf_counter() - started)
                self.metrics.observe_outputs(call.outputs, arrays)
            return Reply(200, protocol.answer(self.schema, call, arrays))
        except Rejected as fault:
            return reply.error(fault.status, fault.message)
        except Exception:  # noqa: BLE001 -- a client must not see a stack trace
            _log.exception("inference failed in Volary itself")
            return reply.error(500, "internal error; the server's log has the details")
