"""The ASGI application: routes, status codes, and what is counted. No framework, for speed."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from time import perf_counter

from volary.serving import headers, metrics, protocol, reply, rotation
from volary.serving.encoding import inflate
from volary.serving.headers import PIN, Headers
from volary.serving.metrics import Registry
from volary.serving.protocol import Call, Rejected, Schema
from volary.serving.reply import OCTETS, ClientGone, Message, Receive, Reply, Send
from volary.serving.served import Served
from volary.serving.tensors import Array, show

Pick = Callable[[Headers], Served | None]


class App:
    """The versions of one model: either the only one, or those of a split. `draining` is set once, by SIGTERM.

    All attributes belong to the event loop's thread.
    """

    def __init__(self, model: str, body_limit: int) -> None:
        self.draining = False
        self.in_flight = 0  # inference requests not yet answered
        self.arrived = 0  # inference requests ever
        self.timeout = math.inf  # seconds a request may wait for its turn, where it does not say
        self.metrics = Registry(lambda: self.in_flight)
        self._model = model
        self._path = f"/v2/models/{model}"
        self._body_limit = body_limit
        self._versions: dict[str, Served] = {}  # by version, the one with the largest share first
        self._pinnable: dict[bytes, Served] = {}  # by revision and by version
        self._carrying: list[tuple[Served, int]] = []  # those that get requests which name no version, and their weights
        self._take: Callable[[], Served | None] = _nobody  # the next of them
        self._picks: dict[str, Pick] = {}  # by the path of an inference request
        self.offer([])

    def serve(self, only: Served) -> None:
        """Serve this version, for as long as the process lives; it may still be loading."""
        self._versions = {only.schema.version: only}
        self._carrying = [(only, 1)]
        self._picks = {f"{self._path}/infer": _only(only), f"{self._path}/versions/{only.schema.version}/infer": _only(only)}

    def offer(self, shares: Sequence[tuple[Served, int]]) -> None:
        """Serve these from now on; requests that name no version are shared out by the weights, exactly."""
        ranked = [served for served, _ in sorted(shares, key=lambda share: share[1])]
        self._versions = {served.schema.version: served for served in ranked}  # of two alike, the larger
        self._versions = dict(reversed(self._versions.items()))
        self._pinnable = {name.encode(): served for served in ranked for name in (served.schema.version, served.revision)}
        carrying = [(served, weight) for served, weight in shares if weight > 0]
        if carrying != self._carrying:  # else the turn goes on, so that the shares stay exact
            self._carrying = carrying
            self._take = (
                cycle([carrying[index][0] for index in rotation.order([weight for _, weight in carrying])]).__next__
                if carrying
                else _nobody
            )
        self._picks = {f"{self._path}/versions/{version}/infer": _only(served) for version, served in self._versions.items()}
        self._picks[f"{self._path}/infer"] = self._pick_in_turn()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request; uvicorn is told to send nothing else."""
        pick = self._picks.get(scope["path"])
        if pick is None:
            await self._send(send, self._route(scope["method"], scope["path"]))
        elif scope["method"] != "POST":
            await self._send(send, reply.not_allowed(b"POST"))
        elif (served := pick(scope["headers"])) is None:
            await self._send(send, reply.rejected(self._not_picked(scope["headers"])))
        else:
            await self._answer_inference(served, scope, receive, send)

    def pick(self, model: str, version: str, headers: Headers) -> Served:
        """Which version answers a request, by whatever protocol it came; no `version`: by headers, or the next in turn. Raises Rejected."""
        if model != self._model:
            raise reply.no_model(model, self._model)
        pick = self._picks.get(f"{self._path}/versions/{version}/infer" if version else f"{self._path}/infer")
        if pick is None:
            raise self._no_version(version)
        served = pick(headers)
        if served is None:
            raise self._not_picked(headers)
        return served

    def described(self, model: str, version: str) -> tuple[Served, list[str]]:
        """Whose metadata is asked for, and the versions there are; no `version`: of the one with the largest share. Raises Rejected."""
        if model != self._model:
            raise reply.no_model(model, self._model)
        served = self._versions.get(version) if version else next(iter(self._versions.values()), None)
        if served is None:
            raise self._no_version(version or None)
        return served, [version] if version else list(self._versions)

    def is_ready(self, model: str, version: str) -> bool:
        """Whether a model, or one version of it, can be asked. Raises Rejected where there is none of that name."""
        if model == self._model and not version:
            return self.ready
        return self.described(model, version)[0].model is not None and not self.draining

    def index(self) -> list[tuple[Schema, str]]:
        """Each version and its state."""
        return [(served.schema, "UNAVAILABLE" if served.model is None else protocol.READY) for served in self._versions.values()]

    @property
    def ready(self) -> bool:
        """Whether new clients should come."""
        return not self.draining and bool(self._carrying) and all(served.model is not None for served, _ in self._carrying)

    async def _answer_inference(self, served: Served, scope: Message, receive: Receive, send: Send) -> None:
        started = perf_counter()
        self.in_flight += 1
        served.in_flight += 1
        self.arrived += 1
        try:
            synthetic = headers.is_synthetic(scope)
            fault: Rejected | None = None
            try:
                answer = await self._infer(served, scope, receive, counted=not synthetic)
            except Rejected as raised:
                fault, answer = raised, reply.rejected(raised)
            served.finished(answer.status, perf_counter() - started, fault=fault, synthetic=synthetic)
            await answer.send(send, closing=self.draining)
        except ClientGone:
            pass
        finally:
            self.in_flight -= 1
            served.in_flight -= 1

    async def _infer(self, served: Served, scope: Message, receive: Receive, *, counted: bool) -> Reply:
        encoding, deadline, json_length = headers.check(scope["headers"], self._body_limit, self.timeout)
        if deadline < math.inf:
            deadline += asyncio.get_running_loop().time()
        served.admit(deadline)
        body = await reply.body(receive, self._body_limit)
        schema = served.schema

        def read() -> Call:
            return protocol.read_call(inflate(body, encoding, self._body_limit) if encoding else body, schema, json_length)

        def write(call: Call, arrays: Sequence[Array]) -> Reply:
            if call.binary:
                length, whole = protocol.binary_answer(schema, call, arrays)
                return Reply(200, whole, OCTETS, json_length=length)
            return Reply(200, protocol.answer(schema, call, arrays))

        def gone() -> Awaitable[None]:
            return reply.gone(receive)

        size = None if encoding else len(body)
        return await served.infer(size, read, write, counted=counted, deadline=deadline, gone=gone)

    def _pick_in_turn(self) -> Pick:
        pinnable, take = self._pinnable, self._take

        def pick(headers: Headers) -> Served | None:
            for name, value in headers:
                if name == PIN:
                    return pinnable.get(value)
            return take()

        return pick

    def _not_picked(self, headers: Headers) -> Rejected:
        wanted = next((value.decode("latin-1") for name, value in headers if name == PIN), None)
        if wanted is None:
            return Rejected(503, f"no version of the model {show(self._model)} is loaded yet")
        loaded = ", ".join(f"{show(version)} as {show(served.revision)}" for version, served in self._versions.items())
        return Rejected(404, f"{PIN.decode()}: found {show(wanted)}; this server has loaded {loaded or 'nothing yet'}")

    def _route(self, method: str, path: str) -> Reply:
        match path.split("/"):
            case ["", "v2"]:
                answer = Reply(200, protocol.server_metadata())
            case ["", "v2", "health", "live"]:
                answer = Reply(200, b'{"live":true}')
            case ["", "v2", "health", "ready"]:
                answer = Reply(200, b'{"ready":true}') if self.ready else Reply(503, b'{"ready":false}')
            case ["", "v2", "models", model, "versions", version, *rest]:
                answer = self._route_model(model, version, rest) or reply.no_path(path)
            case ["", "v2", "models", model, *rest]:
                answer = self._route_model(model, None, rest) or reply.no_path(path)
            case ["", "v2", "repository", "index"]:
                return Reply(200, protocol.repository_index(self.index())) if method == "POST" else reply.not_allowed(b"POST")
            case ["", "metrics"]:
                answer = Reply(200, self.metrics.render(), metrics.CONTENT_TYPE)
            case _:
                answer = reply.no_path(path)
        return answer if method in ("GET", "HEAD") or answer.status == 404 else reply.not_allowed(b"GET, HEAD")

    def _route_model(self, model: str, version: str | None, rest: list[str]) -> Reply | None:
        if model != self._model:
            return reply.rejected(reply.no_model(model, self._model))
        served = next(iter(self._versions.values()), None) if version is None else self._versions.get(version)
        if served is None:
            return reply.rejected(self._no_version(version))
        match rest:
            case []:
                versions = self._versions if version is None else [version]
                return Reply(200, protocol.model_metadata(served.schema, versions))
            case ["ready"]:
                ready = self.ready if version is None else not self.draining and served.model is not None
                return Reply(200 if ready else 503, protocol.model_ready(served.schema, ready=ready))
            case _:
                return None

    def _no_version(self, version: str | None) -> Rejected:
        model = show(self._model)
        if version is None:
            return Rejected(503, f"no version of the model {model} is loaded yet")
        loaded = ", ".join(map(show, self._versions)) or "no version of it yet"
        return Rejected(404, f"there is no version {show(version)} of {model}; this server serves {loaded}")

    async def _send(self, send: Send, answer: Reply) -> None:
        # When draining: a kept connection would outlive the Service's endpoint.
        await answer.send(send, closing=self.draining)


def _only(served: Served) -> Pick:
    return lambda _: served


def _nobody() -> None:
    return None
