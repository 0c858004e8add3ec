"""The ASGI application: routes, status codes, and what is counted. No framework, for speed."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from time import perf_counter

from volary.serving import headers, metrics, openapi, protocol, reply, rotation, tf_paths, tf_rest
from volary.serving.encoding import inflate
from volary.serving.forms import OPEN_INFERENCE, TENSORFLOW, Form
from volary.serving.headers import PIN, Headers
from volary.serving.metrics import Registry
from volary.serving.protocol import Call, Rejected, Schema
from volary.serving.reply import ClientGone, Message, Receive, Reply, Send
from volary.serving.served import Served
from volary.serving.tensors import Array, show
from volary.serving.tf_paths import Asked

Pick = Callable[[Headers], Served | None]

STABLE, CANARY = "stable", "canary"  # the labels there are


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
        self._predicts: dict[str, Pick] = {}  # the same, of TensorFlow Serving's REST API
        self._labels: dict[str, Served] = {}
        self._stable = ""  # the revision that was the only one to carry requests, last
        self.offer([])

    def serve(self, only: Served) -> None:
        """Serve this version, for as long as the process lives; it may still be loading."""
        self._versions = {only.schema.version: only}
        self._carrying = [(only, 1)]
        self._labels = {STABLE: only}
        self._pinnable = {name.encode(): only for name in (only.revision, only.schema.version)}
        self._name(_only(only))

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
        self._labels = self._labelled()
        self._name(self._pick_in_turn())

    def _name(self, in_turn: Pick) -> None:
        """Which paths are for inference."""
        self._picks = {f"{self._path}/versions/{version}/infer": _only(served) for version, served in self._versions.items()}
        self._picks[f"{self._path}/infer"] = in_turn
        path = tf_paths.model(self._model)
        self._predicts = {f"{path}/versions/{name.decode()}:predict": _only(served) for name, served in self._pinnable.items()}
        self._predicts |= {f"{path}/labels/{label}:predict": _only(served) for label, served in self._labels.items()}
        self._predicts[f"{path}:predict"] = in_turn

    def _labelled(self) -> dict[str, Served]:
        """Stable is whoever carried all requests last; where this process saw nobody do so, who has the largest share."""
        carrying = [served for served, _ in self._carrying]
        if len(carrying) == 1:
            self._stable = carrying[0].revision
        if not carrying:
            return {}
        largest = max(self._carrying, key=lambda share: share[1])[0]
        stable = next((served for served in carrying if served.revision == self._stable), largest)
        canary = next((served for served in carrying if served is not stable), None)
        return {STABLE: stable} if canary is None else {STABLE: stable, CANARY: canary}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request; uvicorn is told to send nothing else."""
        pick, form = self._picks.get(scope["path"]), OPEN_INFERENCE
        if pick is None:
            pick, form = self._predicts.get(scope["path"]), TENSORFLOW
        if pick is None:
            await self._send(send, self._route(scope["method"], scope["path"]))
        elif scope["method"] != "POST":
            await self._send(send, reply.not_allowed(b"POST"))
        elif (served := pick(scope["headers"])) is None:
            await self._send(send, reply.rejected(self._not_picked(scope["headers"])))
        else:
            await self._answer_inference(served, form, scope, receive, send)

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

    async def _answer_inference(self, served: Served, form: Form, scope: Message, receive: Receive, send: Send) -> None:
        started = perf_counter()
        self.in_flight += 1
        served.in_flight += 1
        self.arrived += 1
        try:
            synthetic = headers.is_synthetic(scope)
            fault: Rejected | None = None
            try:
                answer = await self._infer(served, form, scope, receive, counted=not synthetic)
            except Rejected as raised:
                fault, answer = raised, reply.rejected(raised)
            served.finished(answer.status, perf_counter() - started, fault=fault, synthetic=synthetic)
            await answer.send(send, closing=self.draining)
        except ClientGone:
            pass
        finally:
            self.in_flight -= 1
            served.in_flight -= 1

    async def _infer(self, served: Served, form: Form, scope: Message, receive: Receive, *, counted: bool) -> Reply:
        encoding, deadline, json_length = headers.check(scope["headers"], self._body_limit, self.timeout)
        if deadline < math.inf:
            deadline += asyncio.get_running_loop().time()
        served.admit(deadline)
        body = await reply.body(receive, self._body_limit)
        schema = served.schema

        def read() -> Call:
            return form.read(inflate(body, encoding, self._body_limit) if encoding else body, schema, json_length)

        def write(call: Call, arrays: Sequence[Array]) -> Reply:
            return form.write(schema, call, arrays)

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
            case ["", "v1", "models", *rest]:
                answer = self._route_tensorflow(tf_paths.parse(rest)) or reply.no_path(path)
            case ["", "openapi.json" | "docs"]:
                answer = self._describe(path)
            case ["", "metrics"]:
                answer = Reply(200, self.metrics.render(), metrics.CONTENT_TYPE)
            case _:
                answer = reply.no_path(path)
        return answer if method in ("GET", "HEAD") or answer.status in (400, 404) else reply.not_allowed(b"GET, HEAD")

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

    def _describe(self, path: str) -> Reply:
        try:
            schema = self.described(self._model, "")[0].schema
        except Rejected as fault:
            return reply.rejected(fault)
        return Reply(200, openapi.document(schema)) if path == "/openapi.json" else Reply(200, openapi.page(schema), openapi.HTML)

    def _route_tensorflow(self, asked: Asked | None) -> Reply | None:
        """A question about the model, or an inference request that names what is not here."""
        if asked is None:
            return None
        try:
            served = self._asked(asked)
        except Rejected as fault:
            return reply.rejected(fault)
        if asked.verb:
            return reply.error(400, f"found {show(asked.verb)}, expected predict: this server has no other method")
        if asked.metadata:
            return Reply(200, tf_rest.metadata(served.schema))
        shown = [served] if asked.version or asked.label else self._versions.values()
        return Reply(200, tf_rest.status((each.schema.version, each.model is not None) for each in shown))

    def _asked(self, asked: Asked) -> Served:
        """Raises Rejected, with the codes of TensorFlow Serving."""
        if asked.label and asked.model == self._model:
            labelled = self._labels.get(asked.label)
            if labelled is None:
                known = ", ".join(map(show, self._labels)) or "none"
                raise Rejected(400, f"there is no label {show(asked.label)} of {show(self._model)} now; there is {known}")
            return labelled
        pinned = self._pinnable.get(asked.version.encode()) if asked.model == self._model else None
        return pinned or self.described(asked.model, asked.version)[0]

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
