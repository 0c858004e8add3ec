"""`volary explain`: the status of simulated rollouts, told to people."""

import argparse
import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.world.specs import spec
from volary.adapters.cluster import MODEL_DEPLOYMENTS
from volary.adapters.cluster_fake import FakeCluster
from volary.api.v1alpha1 import ModelDeployment
from volary.cli import explain, explanation, explanation_page, kube
from volary.cli.explanation import Explanation
from volary.common.reasons import Reason
from volary.simulation.bundles import REFUSED
from volary.simulation.trial import Scenario
from volary.simulation.world import World

STEPS = [{"weight": 25, "duration": "1m"}, {"weight": 50, "duration": "1m"}]


def world(errors: float = 0.0, canary: float = 0.0, rps: float = 40, seconds: float = 600, **rollout: Any) -> World:
    """So long after version 2.0.0 was asked for."""
    wanted = spec("2.0.0", rollout={"steps": STEPS, "analysis": {"interval": "5s"}} | rollout)
    found = Scenario(spec=wanted, rps=rps, errors=errors, canary_errors=canary).world(1)
    found.edit(model=wanted.model.model_dump(by_alias=True))
    found.run(timedelta(seconds=seconds))
    return found


def deployed(found: World) -> dict[str, Any]:
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud", "namespace": "shop", "generation": found.generation},
        "spec": found.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": {key: value for key, value in found.stored.items() if value is not None},
    }


def told(found: World) -> Explanation:
    return explanation.explain(ModelDeployment.model_validate(deployed(found)), found.cluster.now)


def drawn(found: Explanation) -> str:
    console = Console(width=160, record=True, file=StringIO())
    console.print(explain.render(found))
    return console.export_text()


# ---- rollouts that are over -----------------------------------------------------------------------


def test_a_rollback_is_explained_long_after_it_happened() -> None:
    found = told(world(canary=0.5))
    assert (found.outcome, found.version, found.beside) == ("RolledBack", "2.0.0", "before")
    text = drawn(found)
    assert "proved worse" in text
    assert "of 0 " not in text
    assert "ErrorRateTooHigh" in text
    assert "the spec still asks for version 2.0.0; it is not tried again by itself" in text
    assert "volary retry fraud -n shop" in text
    assert found.findings[0].against == 100
    assert (found.stages[-1].step, found.stages[-1].weight) == (1, 25)


def test_a_promotion_is_explained_step_by_step() -> None:
    found = told(world())
    assert found.outcome == "Promoted"
    assert [stage.step for stage in found.stages] == [0, 1, 2, 3]
    assert [stage.verdict for stage in found.stages[1:3]] == ["Pass", "Pass"]
    assert found.stages[1].lasted >= timedelta(minutes=1)
    assert sum(stage.requests for stage in found.stages) == found.findings[0].canary_requests
    text = drawn(found)
    assert "proved good enough" in text
    assert "volary rollback fraud -n shop --to before" in text
    assert "volary retry" not in text


def test_an_abort_is_explained() -> None:
    found = world(seconds=40)
    found.request = "abort"
    found.run(timedelta(seconds=60))
    text = drawn(told(found))
    assert "RolledBack" in text
    assert Reason.ABORT_REQUESTED in text


def test_a_canary_that_was_superseded_is_explained() -> None:
    found = world(seconds=40)
    found.deploy("before")
    found.run(timedelta(seconds=60))
    told_of = told(found)
    assert (told_of.outcome, told_of.version) == ("Superseded", "2.0.0")
    assert "another version before this one was decided upon" in drawn(told_of)


def test_what_was_asked_for_since_is_told_too() -> None:
    found = world(canary=0.5)
    found.cluster.bundles["3.0.0"] = REFUSED
    found.deploy("3.0.0")
    found.run(timedelta(seconds=60))
    told_of = told(found)
    assert told_of.version == "2.0.0"
    assert told_of.next[0].startswith("since then version 3.0.0 was asked for: Refused, ")
    assert not [command for command in told_of.commands if "retry" in command.line]


# ---- rollouts under way ---------------------------------------------------------------------------


def test_a_step_says_what_comes_next_and_what_is_missing() -> None:
    found = told(world(rps=8, seconds=40))
    assert found.outcome == "Canary"
    text = drawn(found)
    assert "step 2 (50 %) comes in" in text
    assert "more canary requests without an error would prove it: at the pace of now that takes" in text
    assert "without proof the step goes on for up to 3m in all" in text
    assert "returns all traffic to version before at once" in text
    assert "volary promote fraud -n shop" in text


@pytest.mark.parametrize(
    ("what", "said"), [("Pause", "a person is asked"), ("Promote", "goes on all the same"), ("Rollback", "given up at the end")]
)
def test_what_comes_without_proof_is_the_specs_choice(what: str, said: str) -> None:
    found = told(world(rps=1, seconds=30, analysis={"interval": "5s", "onInconclusive": what}))
    assert any(said in text for text in found.next)


def test_a_pause_by_the_spec_is_told_with_its_remedy() -> None:
    found = told(world(seconds=40, paused=True))
    assert found.outcome == "Paused"
    assert '{"spec":{"rollout":{"paused":false}}}' in found.commands[0].line


def test_an_approval_that_is_awaited_is_told_with_its_command() -> None:
    steps = [{"weight": 25, "duration": "20s", "approval": True}, {"weight": 50, "duration": "1m"}]
    found = told(world(seconds=120, steps=steps))
    assert found.outcome == "Paused"
    assert "step 2 (50 %) comes as soon as a person approves" in found.next
    assert found.commands[0].line == "volary approve fraud -n shop"


def test_blue_green_has_no_steps_to_tell_of() -> None:
    found = told(world(steps=[], strategy="BlueGreen", analysis={}))
    assert (found.outcome, found.steps) == ("Promoted", 0)
    assert "proved good enough" not in drawn(found), "nothing was asked of it"


def test_pods_that_start_are_told_of() -> None:
    assert "progressDeadline" in told(world(seconds=5)).next[0]


# ---- nothing to explain ---------------------------------------------------------------------------


def test_a_status_without_a_rollout_is_told_as_it_is() -> None:
    found = world()
    found.stored["lastRollout"] = None
    text = drawn(told(found))
    assert "Serving" in text
    assert "the next change of the spec starts a rollout" in text
    empty = deployed(found) | {"status": {}}
    assert "said nothing" in drawn(explanation.explain(ModelDeployment.model_validate(empty), datetime.now(UTC)))


def test_a_metric_that_only_reports_says_so_in_its_own_words() -> None:
    found = told(world(seconds=40))
    extra = found.findings[0].model_copy(update={"metric": "queries/p99", "message": "p99 is 3 s, at most 1 s was wanted", "dry_run": True})
    more = replace(found, findings=(*found.findings, extra))
    assert "queries/p99  p99 is 3 s, at most 1 s was wanted" in drawn(more)
    assert "(reports only)" in drawn(more)
    assert "(reports only)" in explanation_page.render(more)


# ---- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("percent", "odds"), [(0, 1), (50, 10), (99, 95), (100, 100)])
def test_percent_of_a_proof_as_odds(percent: int, odds: int) -> None:
    assert explanation.odds(percent, 100) == odds


@pytest.mark.parametrize("percent", range(-100, 101, 10))
def test_words_are_no_surer_than_the_figures(percent: int) -> None:
    assert ("proved" in explanation.against_in_words(percent)) == (percent == 100)
    assert ("proved" in explanation.in_favour_in_words(percent)) == (percent == 100)


# ---- the page -------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Counts what is in it; every element that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.mark.parametrize(("canary", "seconds"), [(0.0, 600), (0.5, 600), (0.0, 40)])
def test_the_page_stands_alone(canary: float, seconds: float) -> None:
    text = explanation_page.render(told(world(canary=canary, seconds=seconds)))
    page = Page(text)
    assert page.seen.count("svg") == 3
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.seen)
    assert not [name for name, _ in page.attributes if name in {"src", "href"} or name.startswith("on")]
    assert "url(" not in text
    assert text.count("http") == 0


def test_the_page_shows_no_markup_of_others() -> None:
    found = told(world(seconds=40))
    bad = replace(found, why=("<script>alert(1)</script>",))
    assert "<script" not in explanation_page.render(bad)


def test_every_point_lies_in_its_picture() -> None:
    page = Page(explanation_page.render(told(world(errors=0.02, canary=0.05))))
    lines = [value for name, value in page.attributes if name == "points" and value]
    assert len(lines) == 6
    for line in lines:
        for pair in line.split():
            x, y = (float(part) for part in pair.split(","))
            assert 0 <= x <= 760
            assert 0 <= y <= 150


# ---- the verb -------------------------------------------------------------------------------------


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The verb talks to a fake."""
    cluster = FakeCluster()

    def run(args: argparse.Namespace, work: Any) -> int:
        return asyncio.run(work(kube.Place(cluster, args.namespace or "shop")))

    monkeypatch.setattr(kube, "run", run)
    return cluster


def call(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="volary explain")
    explain.configure(parser)
    return explain.run(parser.parse_args(words))


def test_json_holds_the_same_facts(place: FakeCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    place.put(deployed(world(canary=0.5)))
    page = tmp_path / "out.html"
    assert call("fraud", "-o", "json", "--html", str(page)) == 0
    captured = capsys.readouterr()
    body = json.loads(captured.out)
    assert body["outcome"] == "RolledBack"
    assert body["findings"][0]["against"] == 100
    assert body["course"][-1]["verdict"] == "Fail"
    assert str(page) in captured.err
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_words_for_people(place: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(deployed(world(seconds=40)))
    assert call("fraud") == 0
    assert "shop/fraud: version 2.0.0 beside before" in capsys.readouterr().out
