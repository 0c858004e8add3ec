"""A stand-in for the cluster's DNS, which the test cluster has none of: names of Services become their addresses.

Knows A records of Services of one namespace by the first label of a name; everything else does not exist.
Run in the node's network as `python -m tests.support.names KUBECONFIG NAMESPACE`; says "ready" once it answers.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.settings import NODE_IP
from tests.support import beside
from tests.support.kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

_PORT = 53
_A, _IN = 1, 1
_ANSWERED, _NO_SUCH_NAME = 0x8580, 0x8583  # flags of RFC 1035: an authoritative answer
_SECONDS = 5  # an answer may be kept for


@contextmanager
def resolved(kubeconfig: Path, namespace: str) -> Iterator[None]:
    """Pods of the cluster find the Services of this namespace by name."""
    with beside.running("tests.support.names", str(kubeconfig), namespace) as said:
        assert said == "ready"
        yield


def answer(query: bytes, addresses: dict[str, str]) -> bytes:
    """RFC 1035, one question."""
    identity, _, questions = struct.unpack_from("!HHH", query)
    end = query.index(b"\0", 12)
    label = query[13 : 13 + query[12]].decode("ascii", "replace").lower()
    (kind,) = struct.unpack_from("!H", query, end + 1)
    question, address = query[12 : end + 5], addresses.get(label)
    found = address is not None and kind == _A
    head = struct.pack("!HHHHHH", identity, _ANSWERED if address else _NO_SUCH_NAME, questions, int(found), 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, _A, _IN, _SECONDS, 4) + socket.inet_aton(address or "0.0.0.0")
    return head + question + (record if found else b"")


def _addresses(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    services = kubectl.list("Service", namespace)
    return {body["metadata"]["name"]: body["spec"]["clusterIP"] for body in services}


def main(kubeconfig: str, namespace: str) -> None:
    kubectl = Kubectl(Path(kubeconfig))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((NODE_IP, _PORT))
        print("ready", flush=True)
        while True:
            query, client = server.recvfrom(512)
            server.sendto(answer(query, _addresses(kubectl, namespace)), client)


if __name__ == "__main__":
    main(*sys.argv[1:])
