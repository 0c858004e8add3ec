"""A relay in front of a server: notes what clients send, and speaks TLS if it is given a certificate."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import certs
from tests.cluster.settings import NODE_IP
from tests.support import beside

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTES = 65536


class Relay:
    """Takes connections on a free port of the loopback, or where it is told to, and passes them on."""

    def __init__(self, target: tuple[str, int], context: ssl.SSLContext | None, own: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.sent = b""  # by all clients
        self.break_after: int | None = None  # bytes of an answer; then its connection ends, once
        self._target = target
        self._context = context
        self._listening = socket.create_server(own)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(client)
            try:
                if self._context is not None:
                    client = self._context.wrap_socket(client, server_side=True)
                    self._open[-1] = client
            except OSError:
                continue  # a client that does not trust us
            server = socket.create_connection(self._target)
            self._open.append(server)
            for pair in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=self._pump, args=(*pair, pair[0] is client), daemon=True))
                self._threads[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket, noted: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(_BYTES):
                if noted:
                    self.sent += data
                sink.sendall(data)
                if not noted and self.break_after is not None and (passed := passed + len(data)) > self.break_after:
                    self.break_after = None
                    sink.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def encrypting(folder: Path, target: tuple[str, int]) -> Iterator[tuple[str, str]]:
    """HTTPS in front of `target` in the network of the test cluster's node: the address, and the authority's certificate as text."""
    with beside.running("tests.support.relay", str(folder), *map(str, target)) as port:
        yield f"https://{NODE_IP}:{port}", (folder / "ca.crt").read_text("ascii")


def _encrypt(folder: Path, host: str, port: int) -> None:
    running = Relay((host, port), authority(folder, NODE_IP)[1], (NODE_IP, 0))
    sys.stdout.write(f"{running.port}\n")
    sys.stdout.flush()
    threading.Event().wait()


@contextmanager
def relay(target: tuple[str, int], context: ssl.SSLContext | None = None) -> Iterator[Relay]:
    """Run until the block ends."""
    running = Relay(target, context)
    try:
        yield running
    finally:
        running.close()


def authority(directory: Path, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """A new certificate authority's file, and what a server of this address needs to be trusted by who trusts it."""
    certs.issue_leaf(directory, certs.Leaf("server", "ca", host, hosts=(host,)), *certs.authority(directory, "ca"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    return directory / "ca.crt", context


if __name__ == "__main__":
    _encrypt(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
