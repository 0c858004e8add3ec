"""The operator is killed before and after each of its writes to a real API server: the end is that of the undisturbed run."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.controller import api
from tests.controller.lanes import Lane, difference, lanes, renamed
from tests.crashes import ends
from tests.crashes.live import Id
from tests.crashes.scenarios import NAME

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LANES = 6  # operators at the same time
SPARE = 8  # writes more or less from run to run: a slow machine writes the status more often
EVERYDAY = ("canary", "delete")
STORIES = (
    EVERYDAY
    if os.environ.get("HYPOTHESIS_PROFILE") != "thorough"  # as `make test-thorough` sets it: a minute or two a story
    else (*EVERYDAY, "create", "rollback by errors", "rollback by crash", "retry", "rollback request, one of two", "abort")
)  # the others differ in what `plan` decides, not in how it is carried out: they are told in memory


async def enumerate_all(story: str, folder: Path) -> int:
    """Every moment of a story; how many there were."""
    failures: list[str] = []
    async with lanes(LANES, folder) as found:
        first = (found[0].namespace, f"{NAME}-first")
        await found[0].tell(story, first[1], None)
        expected, moments = renamed(await found[0].rest(first), first[1]), found[0].fuse.passed
        points = iter(range(moments))

        async def work(lane: Lane) -> None:
            for moment in points:  # of all lanes together
                model = (lane.namespace, f"{NAME}-{moment}")
                try:
                    await lane.tell(story, model[1], moment)
                    await lane.until(model, f"the end of {story}", lambda model=model: bool(_end(lane, model) == expected))
                except AssertionError as error:
                    failures.append(f"moment {moment}: {error}; {difference(_end(lane, model), expected)}")
                failures.extend(f"moment {moment}: {text}" for text in lane.nodes.broken[model][:1])
                await lane.remove(model)

        await asyncio.gather(*(work(lane) for lane in found))
        assert not failures, f"{len(failures)} of {moments}:\n" + "\n".join(failures)
        # A status is written once more or once less as samples fall: the last moments of one run another may not have.
        assert moments - SPARE <= sum(lane.fuse.deaths for lane in found) <= moments
    return moments


def _end(lane: Lane, model: Id) -> ends.End:
    return renamed(lane.nodes.end(model), model[1])


@pytest.mark.parametrize("story", STORIES)
def test_a_death_at_any_moment_changes_nothing(story: str, tmp_path: Path) -> None:
    api.install_definition()
    began = time.monotonic()
    moments = asyncio.run(enumerate_all(story, tmp_path))
    print(f"{story}: {moments} deaths in {time.monotonic() - began:.0f} s")
