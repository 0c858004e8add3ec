"""`volary promote` and its kin: the wish, and the answer that is waited for."""

import argparse
import asyncio
from typing import Any

import pytest

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body, Kind
from volary.adapters.cluster_fake import FakeCluster
from volary.cli import kube, request
from volary.common.errors import Refused, Transient
from volary.common.names import PERSON, REQUEST_ANNOTATION
from volary.common.reasons import Reason
from volary.planning.requests import Verb

from .test_status import document


class Operated(FakeCluster):
    """Answers a wish at the second look."""

    def __init__(self, outcome: str = "Done", message: str = "", phases: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._phases = list(phases)  # at the looks after the answer
        self.outcome, self.message = outcome, message
        self.wishes: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        found = await super().get(kind, namespace, name)
        wish = (found or {"metadata": {}})["metadata"].get("annotations", {}).get(REQUEST_ANNOTATION)
        if found is not None and wish not in {None, *self.wishes}:
            self.wishes.append(wish)
            answer = {"value": wish, "outcome": self.outcome, "message": self.message, "at": "2026-03-01T12:00:00Z"}
            self.put({**found, "status": {**found["status"], "request": answer}})
        elif found is not None and self.wishes and self._phases:
            self.put({**found, "status": {**found["status"], "phase": self._phases.pop(0), "message": "so it is"}})
        return found


def ask(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, verb: str, *words: str) -> int:
    def run(args: argparse.Namespace, work: Any) -> int:
        return asyncio.run(work(kube.Place(cluster, "shop")))

    monkeypatch.setattr(kube, "run", run)
    monkeypatch.setattr(request, "_POLL", 0.01)
    parser = argparse.ArgumentParser(prog=f"volary {verb}")
    request.configure(parser)
    args = parser.parse_args(["fraud", *words])
    args.verb = verb
    return request.run(args)


@pytest.mark.parametrize(
    ("verb", "words", "wish"),
    [
        ("promote", [], "promote:bbbbbbbbbb@"),
        *((verb, [], f"{verb}:bbbbbbbbbb@") for verb in ("abort", "pause", "resume", "skip", "approve")),
        ("retry", [], "retry@"),
        ("rollback", [], "rollback@"),
        ("rollback", ["--to", "1.0.0"], "rollback:1.0.0@"),
    ],
)
def test_what_is_wished_for(
    verb: str, words: list[str], wish: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Operated()
    cluster.put(document())
    assert ask(cluster, monkeypatch, verb, *words) == 0
    assert cluster.wishes[0].startswith(wish)
    assert capsys.readouterr().out == f"{verb} fraud: done\n"


def test_twice_is_two_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Operated()
    cluster.put(document())
    assert [ask(cluster, monkeypatch, "retry") for _ in range(2)] == [0, 0]
    assert len(set(cluster.wishes)) == 2


def test_refused_by_the_operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Operated("Refused", "nothing has failed")
    cluster.put(document())
    assert ask(cluster, monkeypatch, "retry") == 1
    assert capsys.readouterr().err == "retry fraud: refused: nothing has failed\n"


@pytest.mark.parametrize(
    ("verb", "phases", "code"),
    [
        pytest.param("promote", ("Promoting", "Promoting", "Serving"), 0, id="it took over"),
        pytest.param("promote", ("Promoting", "RolledBack"), 1, id="it came to another end"),
        pytest.param("retry", ("Starting", "Paused"), 1, id="it waits for a person"),
        pytest.param("abort", ("RollingBack", "RolledBack"), 0, id="traffic is back"),
    ],
)
def test_waits_for_the_end(
    verb: str, phases: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Operated(phases=phases)
    cluster.put(document())
    assert ask(cluster, monkeypatch, verb, "--wait", "5") == code
    assert capsys.readouterr().err == f"fraud: {phases[-1]}: so it is\n"


def test_an_end_that_does_not_come(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Operated(phases=("Promoting",))
    cluster.put(document())
    assert ask(cluster, monkeypatch, "promote", "--wait", "0.1") == 1
    assert "not at an end within 0.1 s, it is Promoting" in capsys.readouterr().err


def test_no_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster()
    cluster.put(document())
    assert ask(cluster, monkeypatch, "retry", "--timeout", "0.05") == 1
    assert "no answer within 0.05 s; the request stays" in capsys.readouterr().err


def test_an_api_server_that_stumbles_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stumbling(Operated):
        async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = PERSON) -> Body:
            self.fail("get", MODEL_DEPLOYMENTS, Transient(Reason.API_UNAVAILABLE, "away"), times=3)
            return await super().patch(kind, namespace, name, patch, manager=manager)

    cluster = Stumbling()
    cluster.put(document())
    assert ask(cluster, monkeypatch, "retry") == 0


@pytest.mark.parametrize("verb", ["promote", "abort", "pause", "resume", "skip", "approve"])
def test_without_a_canary_nothing_is_asked(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    cluster.put(document(status={"phase": "Serving"}))
    with pytest.raises(Refused, match="has no canary under way: it is Serving"):
        ask(cluster, monkeypatch, verb)
    assert cluster.writes == ()


def test_only_rollback_takes_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        ask(FakeCluster(), monkeypatch, "promote", "--to", "x")


def test_the_verbs_are_those_of_the_operator() -> None:
    from volary.cli.main import VERBS

    ours = {name for name, verb in VERBS.items() if verb.module == "volary.cli.request"}
    assert set(Verb) <= ours
