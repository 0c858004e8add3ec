"""The test cluster's own network: what the other tests' figures rest on."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.settings import SERVICE_NETWORK

if TYPE_CHECKING:
    from tests.demo.stage import Stage

pytestmark = pytest.mark.cluster


def test_an_address_without_a_service_refuses_at_once(stage: Stage) -> None:
    if not stage.cluster.own:
        pytest.skip("a brought cluster's network is its owner's")
    began = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(SERVICE_NETWORK[-2]), 80), timeout=10)
    assert time.monotonic() - began < 1
