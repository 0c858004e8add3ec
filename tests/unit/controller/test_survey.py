"""A glance instead of a look: only where nothing is to be done, only once, and never past news."""

from tests.unit.controller.world import KEY, SETTINGS, World, play
from volary.adapters.cluster import DEPLOYMENTS, MODEL_DEPLOYMENTS, Body, Kind
from volary.controller.observe import SURVEYED, Observer
from volary.controller.reconcile import Reconciler
from volary.controller.survey import AGE, Survey


class Surveyed(World):
    """A second operator that starts beside the first."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.survey = Survey(self.cluster, SURVEYED, (), lambda: self.seconds)
        observer = Observer(self.cluster, self.scraper, SETTINGS, self.agents, survey=self.survey)
        self.second = Reconciler(self.cluster, observer, self.events, lambda: self.now)

    async def begin(self) -> None:
        """Everything serves, and was surveyed."""
        await self.serve()
        for _ in range(2):
            await self.turn()
        assert await self.survey.take() == [KEY]
        self.cluster.requests.clear()

    def told(self, kind: Kind, body: Body) -> bool:
        metadata = body["metadata"]
        return self.survey.news(kind, metadata["namespace"], metadata["name"], metadata["resourceVersion"], KEY)


def test_what_rests_costs_no_request_of_its_own() -> None:
    async def story() -> None:
        world = Surveyed()
        await world.begin()
        turn = await world.second.turn(KEY)
        assert world.cluster.requests == []
        assert (turn.failure, turn.facts, turn.generation) == (None, (), 1)
        await world.second.turn(KEY)
        assert len(world.cluster.requests) >= 6, "the next one is a live look"

    play(story())


def test_what_is_to_be_done_is_decided_on_a_live_look() -> None:
    async def story() -> None:
        world = Surveyed()
        await world.begin()
        await world.edit("2.0.0")
        await world.survey.take()
        await world.edit("1.0.0")  # since then
        world.cluster.requests.clear()
        await world.second.turn(KEY)
        assert [verb for verb, kind, _ in world.cluster.writes if kind == "jobs"] == [], "the survey alone would have started a preflight"
        assert len(world.cluster.requests) >= 6

    play(story())


def test_what_was_deleted_by_hand_is_no_rest() -> None:
    async def story() -> None:
        world = Surveyed()
        await world.begin()
        (deployment,) = await world.all(DEPLOYMENTS)
        await world.cluster.delete(DEPLOYMENTS, "shop", deployment["metadata"]["name"], deployment["metadata"]["uid"])
        await world.survey.take()
        await world.second.turn(KEY)
        assert len(await world.all(DEPLOYMENTS)) == 1

    play(story())


def test_news_ends_it_and_what_was_seen_is_no_news() -> None:
    async def story() -> None:
        world = Surveyed()
        await world.begin()
        assert not world.told(MODEL_DEPLOYMENTS, await world.md())
        await world.edit("2.0.0")
        assert world.told(MODEL_DEPLOYMENTS, await world.md())
        assert world.survey.claim(KEY) is None

    play(story())


def test_it_grows_old() -> None:
    async def story() -> None:
        world = Surveyed()
        await world.begin()
        world.seconds = AGE + 1
        assert world.survey.claim(KEY) is None

    play(story())
