"""Versions that change while the pod runs: a real server process, real probes, a storage in memory."""

import asyncio
import http.client
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from tests.unit.agent import versions
from tests.unit.serving.process import Server, running_split
from volary.adapters import control, oip
from volary.adapters.storage import InMemory, Storage
from volary.agent import holding
from volary.agent.holding import Holding, State
from volary.agent.inplace import InPlace, Settings
from volary.agent.retry import Patience
from volary.bundle.split import Share
from volary.common.errors import Transient
from volary.common.reasons import Reason

Story = Callable[["Life"], Awaitable[None]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for many tests; each brings bundles of its own."""
    with running_split(tmp_path_factory.mktemp("server")) as found:
        yield found


class Life:
    """An agent and how its story is told."""

    def __init__(self, tmp_path: Path, server: Server, storage: Storage, *, budget: float = 60.0) -> None:
        self.path = tmp_path
        self.file = tmp_path / "revisions.json"
        self.server = server
        settings = Settings(
            revisions=self.file,
            directory=tmp_path / "models",
            model="fraud",
            host="127.0.0.1",
            port=0,
            look=0.01,
            wait=0.02,
            watch=0.1,
            termination_log=tmp_path / "termination-log",
        )
        settings.directory.mkdir(exist_ok=True)
        urls = [f"http://127.0.0.1:{port}" for port in (server.control_port, server.port)]
        self.models = settings.directory / "fraud"
        self.agent = InPlace(settings, lambda uri: storage, control.Http(urls[0]), oip.Http(urls[1]), Patience(budget=budget))

    def tell(self, story: Story) -> None:
        """Run the agent beside the story; it ends by SIGTERM with 0."""

        async def both() -> int:
            running = asyncio.ensure_future(self.agent.run())
            try:
                async with asyncio.timeout(30):
                    await self.until(lambda: self.agent.port > 0)
                    await story(self)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return await running
            finally:
                running.cancel()

        assert asyncio.run(both()) == 0

    def write(self, generation: int, *shares: Share) -> None:
        versions.write(self.file, generation, *shares)

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            while not condition():  # noqa: ASYNC110 -- the thing looked at knows no events
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            raise AssertionError(f"it did not happen in time; the agent says {self.agent.said()}") from None

    async def in_effect(self, generation: int) -> None:
        await self.until(lambda: self.agent.said()["generation"] == generation)

    def of(self, version: str) -> dict[str, Any]:
        found: Any = self.agent.said()["revisions"]
        return next((each for each in found if each["version"] == version), {"state": "absent"})

    async def state(self, version: str, state: str) -> None:
        await self.until(lambda: self.of(version)["state"] == state)

    async def get(self, path: str) -> tuple[int, Any]:
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.agent.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    async def answers(self, count: int) -> Counter[tuple[str, float]]:
        """(version, factor) of the next answers."""

        def ask() -> Counter[tuple[str, float]]:
            found: Counter[tuple[str, float]] = Counter()
            for _ in range(count):
                status, said = self.server.request("POST", "/v2/models/fraud/infer", versions.request())
                assert status == 200, said
                found[said["model_version"], said["outputs"][0]["data"][0]] += 1
            return found

        return await asyncio.to_thread(ask)


def test_from_the_file_to_exact_shares(tmp_path: Path, shared: Server) -> None:
    storage = InMemory()
    one, two = versions.store(storage, 2, "1"), versions.store(storage, 3, "2")
    life = Life(tmp_path, shared, storage)

    async def story(life: Life) -> None:
        assert (await life.get("/ready"))[0] == 503
        assert (await life.get("/startup"))[0] == 200  # the server needs nothing to start
        life.write(1, versions.share("1", one, 100))
        await life.in_effect(1)
        assert (await life.get("/ready"))[0] == 200
        assert await life.answers(3) == {("1", 2): 3}
        life.write(2, versions.share("1", one, 100), versions.share("2", two, 0))
        await life.in_effect(2)
        assert await life.answers(3) == {("1", 2): 3}
        life.write(3, versions.share("1", one, 90), versions.share("2", two, 10))
        await life.in_effect(3)
        assert await life.answers(100) == {("1", 2): 90, ("2", 3): 10}
        assert await life.get("/revisions") == (
            200,
            {
                "generation": 3,
                "seen": 3,
                "revisions": [
                    {"revision": "r1", "version": "1", "digest": one, "state": "ready", "weight": 90, "reason": "", "message": ""},
                    {"revision": "r2", "version": "2", "digest": two, "state": "ready", "weight": 10, "reason": "", "message": ""},
                ],
            },
        )
        assert sorted(path.name for path in life.models.iterdir()) == ["1", "2"]
        life.write(4, versions.share("2", two, 100))
        await life.in_effect(4)
        assert await life.answers(3) == {("2", 3): 3}
        assert [path.name for path in life.models.iterdir()] == ["2"]
        assert {blob.name for blob in (life.path / "models/.store/sha256").iterdir()} == _blobs(life.models / "2")

    life.tell(story)


def _blobs(bundle: Path) -> set[str]:
    files = json.loads((bundle / "manifest.json").read_bytes())["files"]
    return {file["sha256"] for file in files} | {versions.manifests.digest((bundle / "manifest.json").read_bytes()).removeprefix("sha256:")}


def test_a_revision_whose_samples_are_answered_otherwise_changes_nothing(tmp_path: Path, shared: Server) -> None:
    storage = InMemory()
    good, bad = versions.store(storage, 2, "1"), versions.store(storage, 3, "2", said=4)
    life = Life(tmp_path, shared, storage)

    async def story(life: Life) -> None:
        life.write(1, versions.share("1", good, 100))
        await life.in_effect(1)
        life.write(2, versions.share("2", bad, 100))
        await life.state("2", "failed")
        assert (life.of("2")["reason"], life.of("2")["weight"]) == ("GoldenMismatch", 0)
        assert (life.of("1")["state"], life.of("1")["weight"]) == ("ready", 100)
        assert (await life.get("/ready"))[0] == 200
        said = (await life.get("/revisions"))[1]
        assert (said["generation"], said["seen"]) == (1, 2)
        assert await life.answers(3) == {("1", 2): 3}
        # Not even by its own path: what failed is unloaded.
        await life.until(lambda: life.server.request("GET", "/v2/models/fraud/versions/2")[0] == 404)

    life.tell(story)


def test_a_version_that_is_not_there_fails_with_its_reason_and_is_tried_again_with_the_next_list(tmp_path: Path, shared: Server) -> None:
    storage = InMemory()
    one = versions.store(storage, 2, "1")
    elsewhere = InMemory()
    late = versions.store(elsewhere, 3, "2")
    life = Life(tmp_path, shared, storage)

    async def story(life: Life) -> None:
        life.write(1, versions.share("1", one, 100), versions.share("2", late, 0))
        await life.state("2", "failed")
        assert life.of("2")["reason"] == "VersionNotFound"
        await life.until(lambda: life.of("1")["weight"] == 100)  # it does not wait for the other
        storage.objects |= elsewhere.objects
        life.write(2, versions.share("1", one, 100), versions.share("2", late, 0))
        await life.in_effect(2)

    life.tell(story)


class Away(InMemory):
    """Unreachable until it is `back`."""

    back = False

    @override
    def read(self, key: str, limit: int) -> bytes:
        if not self.back:
            raise Transient(Reason.STORAGE_UNREACHABLE, "no route to memory")
        return super().read(key, limit)


def test_a_storage_that_is_away_is_waited_for_beyond_any_budget(tmp_path: Path, shared: Server) -> None:
    storage = Away()
    one = versions.store(storage, 2, "1")
    life = Life(tmp_path, shared, storage, budget=0.01)

    async def story(life: Life) -> None:
        life.write(1, versions.share("1", one, 100))
        await life.until(lambda: life.of("1").get("reason") == "StorageUnreachable")
        assert life.of("1")["state"] == "fetching"
        storage.back = True
        await life.in_effect(1)
        assert life.of("1")["reason"] == ""

    life.tell(story)


@pytest.mark.parametrize(
    "broken", [b"", b'{"generation": 2, "revisi', b'{"generation":2,"revisions":[]}'], ids=["empty", "half", "invalid"]
)
def test_a_file_that_is_none_keeps_the_last_good_one(tmp_path: Path, shared: Server, broken: bytes) -> None:
    storage = InMemory()
    one, two = versions.store(storage, 2, "1"), versions.store(storage, 3, "2")
    life = Life(tmp_path, shared, storage)

    async def story(life: Life) -> None:
        life.write(1, versions.share("1", one, 100))
        await life.in_effect(1)
        versions.replace(life.file, broken)
        await life.until(lambda: "reason" in life.agent.said())
        said = (await life.get("/revisions"))[1]
        assert (said["generation"], said["seen"], said["reason"]) == (1, 1, "SpecInvalid")
        assert (await life.get("/ready"))[0] == 200
        life.file.unlink()
        await life.until(lambda: "cannot read" in str(life.agent.said().get("message")))
        life.write(2, versions.share("2", two, 100))
        await life.in_effect(2)
        assert "reason" not in life.agent.said()

    life.tell(story)


class Stalling(InMemory):
    """Sends nothing of some blobs for as long as they are `held`."""

    held: frozenset[str] = frozenset()

    @override
    @contextmanager
    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        with super().stream(key, start, stop) as pieces:

            def held() -> Iterator[bytes]:
                while key in self.held:
                    yield b""
                yield from pieces

            yield held()


def test_a_file_that_flips_back_in_the_middle_of_a_fetch_ends_it(tmp_path: Path, shared: Server) -> None:
    storage = Stalling()
    one = versions.store(storage, 2, "1")
    before = frozenset(storage.objects)
    two = versions.store(storage, 3, "2")
    storage.held = frozenset(storage.objects) - before
    life = Life(tmp_path, shared, storage)

    async def story(life: Life) -> None:
        life.write(1, versions.share("1", one, 100))
        await life.in_effect(1)
        life.write(2, versions.share("1", one, 50), versions.share("2", two, 50))
        await life.state("2", "fetching")
        life.write(3, versions.share("1", one, 100))
        await life.in_effect(3)
        assert life.of("2")["state"] == "absent"
        assert await life.answers(2) == {("1", 2): 2}
        life.write(4, versions.share("1", one, 50), versions.share("2", two, 50))
        await life.state("2", "fetching")
        storage.held = frozenset()
        await life.in_effect(4)
        assert await life.answers(4) == {("1", 2): 2, ("2", 3): 2}

    life.tell(story)


def test_a_stop_in_the_middle_of_a_fetch_is_prompt(tmp_path: Path, shared: Server) -> None:
    storage = Stalling()
    one = versions.store(storage, 2, "1")
    storage.held = frozenset(storage.objects)
    life = Life(tmp_path, shared, storage)

    async def story(life: Life) -> None:
        life.write(1, versions.share("1", one, 100))
        await life.state("1", "fetching")

    life.tell(story)


def test_a_server_that_comes_back_empty_is_told_all_again(tmp_path: Path) -> None:
    storage = InMemory()
    one, bad = versions.store(storage, 2, "1"), versions.store(storage, 3, "2", said=4)
    with running_split(tmp_path) as server:
        life = Life(tmp_path, server, storage)

        async def story(life: Life) -> None:
            life.write(1, versions.share("1", one, 100))
            await life.in_effect(1)
            life.write(2, versions.share("2", bad, 100))
            await life.state("2", "failed")
            server.process.kill()
            await life.until(lambda: not life.agent.ready)
            assert (await life.get("/ready"))[0] == 503
            with await asyncio.to_thread(_again, tmp_path, server) as second:
                await life.until(lambda: life.agent.ready)
                assert life.of("1")["weight"] == 100  # what was good before, although the list has only what failed
                life.server = second
                assert await life.answers(2) == {("1", 2): 2}

        life.tell(story)


def _again(directory: Path, server: Server) -> Any:
    server.process.wait(10)
    made = running_split(directory, port=server.port, control=server.control_port)
    return _Entered(made, made.__enter__())


class _Entered:
    """A context that was entered in a thread: starting a process takes a second."""

    def __init__(self, made: Any, found: Server) -> None:
        self._made, self._found = made, found

    def __enter__(self) -> Server:
        return self._found

    def __exit__(self, *error: object) -> None:
        self._made.__exit__(None, None, None)


def test_an_agent_that_comes_back_needs_no_storage_and_disturbs_nothing(tmp_path: Path, shared: Server) -> None:
    storage = InMemory()
    one, two = versions.store(storage, 2, "1"), versions.store(storage, 3, "2")
    first = Life(tmp_path, shared, storage)

    async def begin(life: Life) -> None:
        life.write(1, versions.share("1", one, 90), versions.share("2", two, 10))
        await life.in_effect(1)

    first.tell(begin)
    second = Life(tmp_path, shared, InMemory())

    async def go_on(life: Life) -> None:
        await life.in_effect(1)
        assert await life.answers(100) == {("1", 2): 90, ("2", 3): 10}

    second.tell(go_on)


def test_an_agent_that_comes_back_to_a_list_it_cannot_hold_keeps_what_serves(tmp_path: Path, shared: Server) -> None:
    storage = InMemory()
    one, bad = versions.store(storage, 2, "1"), versions.store(storage, 3, "2", said=4)
    first = Life(tmp_path, shared, storage)

    async def begin(life: Life) -> None:
        life.write(1, versions.share("1", one, 100))
        await life.in_effect(1)

    first.tell(begin)
    second = Life(tmp_path, shared, storage)

    async def go_on(life: Life) -> None:
        life.write(2, versions.share("2", bad, 100))
        await life.state("2", "failed")
        await life.until(lambda: life.agent.ready)
        assert (life.of("1")["state"], life.of("1")["weight"], life.of("1")["digest"]) == ("ready", 100, one)
        assert await life.answers(2) == {("1", 2): 2}

    second.tell(go_on)


def test_a_pod_that_starts_with_a_bad_canary_serves_the_rest(tmp_path: Path) -> None:
    storage = InMemory()
    one, bad = versions.store(storage, 2, "1"), versions.store(storage, 3, "2", said=4)
    with running_split(tmp_path) as server:
        life = Life(tmp_path, server, storage)

        async def story(life: Life) -> None:
            life.write(1, versions.share("1", one, 90), versions.share("2", bad, 10))
            await life.state("2", "failed")
            await life.until(lambda: life.agent.ready)
            assert (life.of("1")["weight"], life.of("2")["weight"]) == (100, 0)
            assert life.agent.said()["generation"] == 0

        life.tell(story)


_STATES = st.sampled_from(list(State))


@given(
    states=st.lists(_STATES, min_size=3, max_size=3), cut=st.integers(1, 99), before=st.sampled_from([{}, {"c": 100}, {"a": 60, "c": 40}])
)
def test_no_share_is_ever_given_to_what_is_not_proved(states: list[State], cut: int, before: dict[str, int]) -> None:
    holdings = {name: Holding(versions.share(name, "sha256:" + "0" * 64, 0), state) for name, state in zip("abc", states, strict=True)}
    found = holding.in_effect({"a": cut, "b": 100 - cut}, before, holdings)
    assert all(holdings[revision].state is State.READY for revision in found)
    assert sum(found.values()) in (0, 100)
    if all(holdings[revision].state is State.READY for revision in "ab"):
        assert found == {"a": cut, "b": 100 - cut}


def test_what_was_to_have_the_smaller_part_never_gets_all() -> None:
    holdings = {
        "a": Holding(versions.share("a", "sha256:" + "0" * 64, 90), State.FAILED),
        "b": Holding(versions.share("b", "sha256:" + "0" * 64, 10), State.READY),
    }
    assert holding.in_effect({"a": 90, "b": 10}, {}, holdings) == {}
    assert holding.in_effect({"a": 10, "b": 90}, {}, holdings) == {"b": 100}
