"""One cluster with the operator in it for the whole session, and one model that serves under load all the time."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.demo import stage as stages
from tests.e2e.serving import QUICK, Serving
from tests.support import wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

ENOUGH = 20  # answers after a test's end


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Cluster, images, definition, operator, bundles. What is up already is used again, and the cluster stays up."""
    found = stages.prepare()
    yield found
    found.kubectl.close()


@pytest.fixture(scope="session")
def session() -> str:
    """Ends the names of namespaces: those of an earlier session may still be on their way out."""
    return secrets.token_hex(2)


@pytest.fixture
def namespace(stage: Stage, session: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own under the restricted pod security standard."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50]
    name = stage.namespace(f"{name}-{session}")
    yield name
    stage.leave(name)


@pytest.fixture(scope="session")
def serving(stage: Stage, session: str) -> Iterator[Serving]:
    """A model that serves 1.0.0 with two pods; tests ask of it that it never fails a request."""
    name = stage.namespace(f"e2e-serving-{session}")
    with Serving.begin(stage, name, "good", replicas=2, rollout=QUICK) as found:
        yield found
    stage.leave(name)


@pytest.fixture
def undisturbed(serving: Serving) -> Iterator[Serving]:
    """`serving`, with proof afterwards that no request failed and that clients are answered."""
    serving.back_to_first()  # whatever a failed test left
    before = serving.load.totals
    yield serving
    ended = serving.load.totals.ok
    wait.until("clients are answered still", lambda: serving.load.totals.ok > ended + ENOUGH, 30)
    after = serving.load.totals
    assert after.failures[len(before.failures) :] == []
    assert after.failed == before.failed
    assert after.model_errors == before.model_errors
