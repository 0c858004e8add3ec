"""The load of `load.py`, over gRPC alone: `python -m tests.support.grpc_load --url grpc://10.96.1.2:8001/digits`.

Half of the workers keep their channel for some requests, half make one for every request; none shares a connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from typing import Any
from urllib.parse import urlsplit

import grpc.aio  # type: ignore[import-untyped]
from typing_extensions import override

from tests.support.load import RATE, TIMEOUT, Load, Sender, Target, bodies, follow
from volary.serving import proto

_METHOD = f"/{proto.SERVICE}/ModelInfer"
_OWN = (("grpc.use_local_subchannel_pool", 1),)


class Channel:
    """One, with a connection of its own."""

    def __init__(self, target: Target) -> None:
        self._channel = grpc.aio.insecure_channel(f"{target.host}:{target.port}", _OWN)
        self._closing: asyncio.Task[None] | None = None

    async def infer(self, request: bytes) -> Any:
        """A ModelInferResponse. Raises grpc.aio.AioRpcError."""
        return proto.ModelInferResponse.FromString(await self._channel.unary_unary(_METHOD)(request, timeout=TIMEOUT))

    def close(self) -> None:
        """Soon."""
        self._closing = asyncio.get_running_loop().create_task(self._channel.close())


class GrpcSender(Sender):
    """The same workers and totals."""

    @override
    async def _once(self, kept: Channel | None, number: int, *, keep: bool) -> Channel | None:  # type: ignore[override]
        self.totals.sent += 1
        channel = kept or Channel(self._target)
        started = time.monotonic()
        try:
            answer = await channel.infer(self._target.bodies[number % len(self._target.bodies)])
        except grpc.aio.AioRpcError as error:
            status = 500 if error.code() is grpc.StatusCode.INTERNAL else 0
            self.judge(
                status, {"error": error.details()}, f"{error.code()} {error.details()}, {time.monotonic() - started:.2f} s after it began"
            )
        else:
            self.judge(200, _read(answer), str(answer)[:200])
        self._latencies.append(time.monotonic() - started)
        self._answered.append(time.monotonic())
        if keep:
            return channel
        channel.close()
        return None


class GrpcLoad(Load):
    """A running load over gRPC."""

    module = "tests.support.grpc_load"


def _read(answer: Any) -> dict[str, Any]:
    """As the protocol's REST would have it."""
    outputs = []
    for tensor in answer.outputs:
        found = tensor.contents.fp32_contents or tensor.contents.int64_contents
        outputs.append({"name": tensor.name, "data": list(found)})
    return {"model_version": answer.model_version, "outputs": outputs}


def _request(model: str, body: bytes) -> bytes:
    message = proto.ModelInferRequest(model_name=model)
    for tensor in json.loads(body)["inputs"]:
        contents = {"fp32_contents": tensor["data"]}
        message.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"], contents=contents)
    return bytes(message.SerializeToString())


async def _main(url: str, rate: float, thinnest: int) -> None:
    parts = urlsplit(url)
    model = parts.path.strip("/")
    requests = [_request(model, body) for body in bodies(thinnest)]
    await follow(GrpcSender(Target(parts.hostname or "", parts.port or 0, model, requests), rate))


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="gRPC load on a model until standard input ends")
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--thinnest", type=int, default=100)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(options.url, options.rate, options.thinnest))


if __name__ == "__main__":
    main()
