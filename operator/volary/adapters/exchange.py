"""One request to a neighbour in the pod, over a connection of its own.

Only the standard library: the agent's image carries no HTTP client. May be used by several threads.
"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

_JSON = MappingProxyType({"Content-Type": "application/json"})


class Unreachable(Exception):
    """No server answers: it is starting, restarting or ending."""


class TooSlow(Exception):
    """The server took the request and did not answer in time."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where it listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, url: str, what: str, example: str) -> "Address":
        """Of a URL such as http://127.0.0.1:8080. Raises ValueError, which says `what` has an address like `example`."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"{url!r} is not the URL of {what}; write it like {example}")
        return cls(parts.hostname, parts.port or 80)

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """One that is not open yet; `timeout` in seconds between two bytes."""
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(
        self, method: str, path: str, body: bytes | None, *, timeout: float, limit: int, headers: Mapping[str, str] = _JSON
    ) -> tuple[int, bytes]:
        """Status and body of the answer, of which at most `limit` bytes are read. Raises Unreachable or TooSlow."""
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(limit)
        except TimeoutError:
            raise TooSlow from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(type(error).__name__) from None
        finally:
            connection.close()
