"""Pods go away under load, and no request fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.serving import another_revision, uids
from volary.common.names import REVISION_LABEL

if TYPE_CHECKING:
    from tests.e2e.serving import Serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def test_pods_deleted_one_after_the_other(undisturbed: Serving) -> None:
    for pod in undisturbed.pods():
        undisturbed.stage.kubectl.delete("Pod", undisturbed.watch.namespace, pod["metadata"]["name"], "--wait=false")
        undisturbed.until_replaced(uids([pod]), 2)


def test_fewer_replicas_then_more(undisturbed: Serving) -> None:
    undisturbed.change(replicas=1)
    undisturbed.until_serving("1.0.0")
    undisturbed.until_replaced(set(), 1)
    undisturbed.change(replicas=3)
    undisturbed.until_serving("1.0.0")
    undisturbed.until_replaced(set(), 3)


def test_a_pod_of_each_side_deleted_during_a_canary(undisturbed: Serving) -> None:
    undisturbed.change("2.0.0", **another_revision("drain"))
    undisturbed.until_canary("2.0.0")
    for pod in {pod["metadata"]["labels"][REVISION_LABEL]: pod for pod in undisturbed.pods()}.values():
        undisturbed.stage.kubectl.delete("Pod", undisturbed.watch.namespace, pod["metadata"]["name"], "--wait=false")
    undisturbed.until_serving("2.0.0")
