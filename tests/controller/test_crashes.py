"""The operator is killed before and after each of its writes to a real API server: the end is that of the undisturbed run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.controller import api
from tests.controller.lanes import Lane, difference, lanes, renamed
from tests.crashes import ends

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LANES = 6  # operators at the same time
TOLD = (
    tuple(__import__("os").environ["PROOF_ONE"].split(";"))
    if __import__("os").environ.get("PROOF_ONE")
    else (
        *("create", "canary", "rollback by errors", "rollback by crash", "retry"),
        *("rollback request, one of two", "abort", "delete"),
    )
)  # the others differ in what `plan` decides, not in how it is carried out: they are told in memory


async def enumerate_all(folder: Path) -> dict[str, int]:
    """Every moment of every story; how many there were."""
    points: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()
    undisturbed: dict[str, ends.End] = {}
    counts: dict[str, int] = {}
    failures: list[str] = []
    number = 0

    async def point(lane: Lane, story: str, moment: int | None) -> None:
        nonlocal number
        number += 1
        model = (lane.namespace, f"fraud-{number}")
        try:
            await lane.tell(story, model[1], moment)
            if moment is None:
                undisturbed[story], counts[story] = renamed(await lane.rest(model), model[1]), lane.fuse.passed
                for one in range(lane.fuse.passed):
                    points.put_nowait((story, one))
            else:
                await lane.until(model, f"the end of {story}", lambda: renamed(lane.nodes.end(model), model[1]) == undisturbed[story], 20)
        except AssertionError as error:
            failures.append(
                f"{story}, moment {moment}: {error}; {difference(renamed(lane.nodes.end(model), model[1]), undisturbed.get(story, {}))}"
            )
        failures.extend(f"{story}, moment {moment}: {text}" for text in lane.nodes.broken[model][:1])
        await lane.remove(model)

    async def work(lane: Lane) -> None:
        while True:
            story, moment = await points.get()
            await point(lane, story, moment)
            points.task_done()

    for story in TOLD:
        points.put_nowait((story, None))
    async with lanes(LANES, folder) as found:
        workers = [asyncio.create_task(work(lane)) for lane in found]
        joined = asyncio.create_task(points.join())
        await asyncio.wait([joined, *workers], return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            if worker.done():
                worker.result()
            worker.cancel()
        deaths = sum(lane.fuse.deaths for lane in found)
    assert not failures, f"{len(failures)} of {sum(counts.values())}:\n" + "\n".join(failures)
    assert deaths == sum(counts.values())
    return counts


def test_a_death_at_any_moment_changes_nothing(tmp_path: Path) -> None:
    api.install_definition()
    began = time.monotonic()
    counts = asyncio.run(enumerate_all(tmp_path))
    print(f"{sum(counts.values())} deaths in {time.monotonic() - began:.0f} s: {counts}")
