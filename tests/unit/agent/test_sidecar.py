"""A whole life of the agent: real probes, a real (fake) server over HTTP, a storage in memory."""

import asyncio
import http.client
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from typing_extensions import override

from tests.unit.agent import fake_server
from tests.unit.agent.test_fetcher import Stalled
from tests.unit.bundle import building
from volary.adapters import oip
from volary.adapters.storage import InMemory, Storage
from volary.agent.retry import Patience
from volary.agent.sidecar import Settings, Sidecar, State
from volary.agent.source import Wanted
from volary.common import outcome
from volary.common.errors import Transient
from volary.common.reasons import Reason

Story = Callable[["Life"], Awaitable[None]]


class Life:
    """An agent and how its story is told."""

    def __init__(self, tmp_path: Path, url: str, storage: Storage, *, budget: float = 60.0) -> None:
        self.models = tmp_path / "models"
        self.models.mkdir()
        self.log = tmp_path / "termination-log"
        settings = Settings(
            wanted=Wanted("1.0.0", runtime="onnxruntime"),
            directory=self.models,
            model="digits",
            host="127.0.0.1",
            port=0,
            golden_timeout=5.0,
            poll=0.01,
            watch=0.01,
            termination_log=self.log,
        )
        self.server = oip.Http(url)
        self.sidecar = Sidecar(settings, lambda: storage, self.server, Patience(budget=budget))

    def tell(self, story: Story) -> int:
        """Run the agent beside the story; its exit code."""

        async def both() -> int:
            running = asyncio.ensure_future(self.sidecar.run())
            try:
                async with asyncio.timeout(20):
                    await self.until(lambda: self.sidecar.port > 0)
                    await story(self)
                    return await running
            finally:
                running.cancel()

        try:
            return asyncio.run(both())
        finally:
            self.server.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 -- the thing looked at knows no events
            await asyncio.sleep(0.005)

    async def state(self, state: State) -> None:
        await self.until(lambda: self.sidecar.state is state)

    async def probe(self, path: str) -> int:
        return (await self.call("GET", path))[0]

    async def call(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        def ask() -> tuple[int, dict[str, object]]:
            connection = http.client.HTTPConnection("127.0.0.1", self.sidecar.port, timeout=5)
            try:
                connection.request(method, path)
                response = connection.getresponse()
                return response.status, json.loads(response.read())
            finally:
                connection.close()

        return await asyncio.to_thread(ask)

    async def probes(self) -> tuple[int, int, int]:
        return await self.probe("/startup"), await self.probe("/ready"), await self.probe("/live")

    @property
    def outcome(self) -> outcome.Outcome:
        found = outcome.parse(self.log.read_text())
        assert found is not None
        return found


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_from_nothing_to_ready_to_terminated(tmp_path: Path) -> None:
    with fake_server.running() as server:
        server.ready = False
        life = Life(tmp_path, server.url, building.stored()[0])

        async def story(life: Life) -> None:
            await life.state(State.WAITING)
            assert (life.models / "digits" / "1.0.0" / "model.onnx").read_bytes() == building.MODEL
            assert await life.probes() == (200, 503, 200)
            assert server.inferences == 0
            server.ready = True
            await life.state(State.READY)
            assert await life.probes() == (200, 200, 200)
            assert await life.probe("/other") == 404
            terminate()

        assert life.tell(story) == 0
        assert server.inferences == 2
        assert not life.log.exists()


def test_golden_samples_are_asked_again_when_somebody_wants_it(tmp_path: Path) -> None:
    with fake_server.running() as server:
        life = Life(tmp_path, server.url, building.stored()[0])

        async def story(life: Life) -> None:
            await life.state(State.READY)
            assert await life.call("GET", "/golden") == (200, {"asked": 0, "wrong": 0, "silent": 0, "message": ""})
            assert (await life.call("POST", "/golden?rate=fast&seconds=60"))[0] == 400
            assert (await life.call("POST", "/ready"))[0] == 404
            assert (await life.call("POST", "/golden?rate=50&seconds=60"))[0] == 200
            await life.until(lambda: server.inferences >= 5)
            server.factor = 3.0
            while (await life.call("GET", "/golden"))[1]["wrong"] == 0:
                pass
            said = (await life.call("GET", "/golden"))[1]
            assert str(said["message"]).startswith("golden sample")
            assert life.sidecar.state is State.READY  # clients are still answered; the operator decides
            terminate()

        assert life.tell(story) == 0


def test_the_server_starts_only_after_the_bundle_is_there(tmp_path: Path) -> None:
    storage = Stalled(building.stored()[0].objects)
    life = Life(tmp_path, "http://127.0.0.1:1", storage)

    async def story(life: Life) -> None:
        assert await life.probes() == (503, 503, 200)
        terminate()

    assert life.tell(story) == 0  # promptly, although the download stalls
    storage.release.set()


def test_a_server_that_drains_is_not_ready_and_one_that_comes_back_is_proved_again(tmp_path: Path) -> None:
    with fake_server.running() as server:
        life = Life(tmp_path, server.url, building.stored()[0])

        async def story(life: Life) -> None:
            await life.state(State.READY)
            server.ready = False
            await life.state(State.WAITING)
            assert await life.probe("/ready") == 503
            server.ready = True
            await life.state(State.READY)
            assert server.inferences == 4
            terminate()

        assert life.tell(story) == 0


def test_a_server_that_is_another_process_now_is_proved_again(tmp_path: Path) -> None:
    with ExitStack() as second_life, ExitStack() as first_life:
        first = first_life.enter_context(fake_server.running())
        life = Life(tmp_path, first.url, building.stored()[0])

        async def story(life: Life) -> None:
            await life.state(State.READY)
            await asyncio.to_thread(first_life.close)
            await life.state(State.WAITING)
            second = second_life.enter_context(fake_server.running(first.server_port))
            await life.state(State.READY)
            assert second.inferences == 2
            terminate()

        assert life.tell(story) == 0


def test_a_model_that_answers_differently_ends_it_with_the_reason(tmp_path: Path) -> None:
    with fake_server.running() as server:
        server.factor = 3.0
        life = Life(tmp_path, server.url, building.stored()[0])

        async def story(_: Life) -> None: ...

        assert life.tell(story) == 3
    assert life.outcome.reason is Reason.GOLDEN_MISMATCH
    assert life.outcome.message.startswith("golden sample 0: output 'y': index [0, 0]: expected 2.0, got 3.0")


def test_a_refused_bundle_ends_it_with_the_reason(tmp_path: Path) -> None:
    life = Life(tmp_path, "http://127.0.0.1:1", InMemory())

    async def story(_: Life) -> None: ...

    assert life.tell(story) == 3
    assert life.outcome.reason is Reason.VERSION_NOT_FOUND


def test_a_storage_that_stays_away_ends_it_as_transient(tmp_path: Path) -> None:
    class Away(InMemory):
        @override
        def read(self, key: str, limit: int) -> bytes:
            raise Transient(Reason.STORAGE_THROTTLED, f"slow down: {key} {limit}")

    life = Life(tmp_path, "http://127.0.0.1:1", Away(), budget=0.1)

    async def story(_: Life) -> None: ...

    assert life.tell(story) == 4
    assert life.outcome.reason is Reason.STORAGE_THROTTLED


def test_a_fault_of_ours_is_told_too(tmp_path: Path) -> None:
    class Broken(InMemory):
        @override
        def read(self, key: str, limit: int) -> bytes:
            raise KeyError(key, limit)

    life = Life(tmp_path, "http://127.0.0.1:1", Broken())

    async def story(_: Life) -> None: ...

    assert life.tell(story) == 4
    assert life.outcome.reason is Reason.INTERNAL_ERROR


@pytest.mark.parametrize(
    "request_",
    [b"\0\1\2\r\n\r\n", b"POST /ready HTTP/1.1\r\n\r\n", b"GET\r\n\r\n", b"x" * 20_000, b"GET /ready", b""],
    ids=["binary", "POST", "no path", "too long", "half", "nothing"],
)
def test_a_strange_request_does_no_harm(tmp_path: Path, request_: bytes) -> None:
    with fake_server.running() as server:
        life = Life(tmp_path, server.url, building.stored()[0])

        async def story(life: Life) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", life.sidecar.port)
            writer.write(request_)
            writer.write_eof()
            answer = await reader.read()
            assert not answer.startswith(b"HTTP/1.1 200")
            writer.close()
            await life.state(State.READY)
            assert await life.probe("/ready") == 200
            terminate()

        assert life.tell(story) == 0
