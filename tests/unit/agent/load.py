"""Requests on kept connections, as fast as the answers come, until told to stop: every answer is looked at."""

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.unit.agent import versions

_HEAD = b"POST /v2/models/fraud/infer HTTP/1.1\r\nhost: fraud\r\ncontent-length: %d\r\n\r\n%s"


@dataclass
class Load:
    """`answers` counts outputs, byte for byte, with the version that gave them."""

    port: int
    clients: int = 4
    pause: float = 0.0  # seconds between two requests of a client
    answers: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)  # when the request began, seconds it took
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self.clients)))

    async def _client(self) -> None:
        body = json.dumps(versions.request()).encode()
        request = _HEAD % (len(body), body)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                writer.write(request)
                await self._answer(reader)
                self.latencies.append((began, time.monotonic() - began))
                await asyncio.sleep(self.pause)
        except (OSError, EOFError) as error:
            self.failures.append(repr(error))
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers["content-length"]))
        if status == "HTTP/1.1 200 OK":
            self.answers[json.loads(body)["model_version"], body[body.index(b'"outputs"') :]] += 1
        else:
            self.failures.append(f"{status}: {body[:200]!r}")
