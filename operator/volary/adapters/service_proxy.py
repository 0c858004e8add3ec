"""A Service of the cluster, asked through the API server: from wherever kubectl works, with the rights it has (`services/proxy`)."""

import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from volary.adapters.kubeconfig import Connection
from volary.common.errors import Transient, first_line
from volary.common.reasons import Reason


async def ask(
    connection: Connection,
    service: tuple[str, str],
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    timeout: float,  # noqa: ASYNC109 -- it is the connection's
) -> tuple[int, bytes]:
    """Status and body; `service` is its namespace and name, the port is the one named http. Raises Transient."""
    namespace, name = service
    there = f"/api/v1/namespaces/{namespace}/services/{name}:http/proxy{path}"
    client: Any = ApiClient(connection.configuration)
    try:
        serialized = await client.param_serialize(
            method,
            there,
            header_params={"Accept": "application/json", "Content-Type": "application/json", **headers},
            body=None if body is None else json.loads(body),
            auth_settings=["BearerToken"],
        )
        answer = await client.call_api(*serialized, _request_timeout=aiohttp.ClientTimeout(total=timeout))
        return answer.status, await answer.read()
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise Transient(Reason.API_UNAVAILABLE, f"{method} {there}: {first_line(error)}") from error
    finally:
        await client.close()
