"""The real client against a server that misbehaves."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config

from volary.adapters import cluster as module
from volary.adapters.cluster import PODS, SERVICES, KubernetesCluster, Throttled
from volary.adapters.kubeconfig import connect
from volary.common.errors import Refused, Transient

_LONG_AGO = dt.datetime(2000, 1, 1)  # noqa: DTZ001 -- the client compares it with a naive time

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(answer: Answer, story: Callable[[KubernetesCluster], Awaitable[None]], **configuration: Any) -> list[tuple[str, str, str]]:
    """Runs the story against a server that answers everything with `answer`; gives what was counted."""
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    counted: list[tuple[str, str, str]] = []
    made: Any = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}", **configuration)
    cluster = KubernetesCluster(ApiClient(made), lambda *what: counted.append(what))
    try:
        await story(cluster)
    finally:
        await cluster.close()
        await runner.cleanup()
    return counted


def respond(status: int, text: str, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (200, "{{{", "GET Pod: 200"),
        (200, "[]", "GET Pod: 200"),
        (503, "etcd leader changed", "503 etcd leader changed"),
        (302, "", "GET Pod: 302"),
        (500, '{"kind":"Status","message":"boom\\nboom"}', "500 boom boom"),
    ],
)
def test_trouble_is_transient_and_short(status: int, text: str, message: str) -> None:
    async def story(cluster: KubernetesCluster) -> None:
        with pytest.raises(Transient, match=message):
            await cluster.get(PODS, "shop", "fraud")

    assert asyncio.run(serve(respond(status, text), story)) == [("get", "pods", str(status))]


def test_patience_is_passed_on() -> None:
    async def story(cluster: KubernetesCluster) -> None:
        with pytest.raises(Throttled) as error:
            await cluster.list(PODS, "shop")
        assert error.value.after == 7

    asyncio.run(serve(respond(429, "slow", Retry_After="7"), story))


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    over = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async def story(cluster: KubernetesCluster) -> None:
        with pytest.raises(Transient, match=r"GET pods: .*[Tt]imeout"):
            await cluster.get(PODS, "shop", "fraud")
        over.set()

    assert asyncio.run(serve(silent, story)) == [("get", "pods", "error")]


def test_nobody_listens() -> None:
    async def story() -> None:
        made: Any = Configuration(host="http://127.0.0.1:9")
        cluster = KubernetesCluster(ApiClient(made))
        with pytest.raises(Transient, match="Cannot connect"):
            await cluster.get(PODS, "shop", "fraud")
        await cluster.close()

    asyncio.run(story())


def test_lists_are_read_page_by_page() -> None:
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        first = "continue" not in request.query
        items = [{"metadata": {"name": "a" if first else "b"}}]
        return web.json_response({"items": items, "metadata": {"continue": "next"} if first else {}})

    async def story(cluster: KubernetesCluster) -> None:
        found = await cluster.list(SERVICES, "shop", {"model": "fraud"})
        assert [(body["kind"], body["metadata"]["name"]) for body in found] == [("Service", "a"), ("Service", "b")]

    asyncio.run(serve(answer, story))
    assert asked == [
        {"limit": "200", "labelSelector": "model=fraud"},
        {"limit": "200", "labelSelector": "model=fraud", "continue": "next"},
    ]


def test_applying_says_who_and_how() -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.path, dict(request.query), request.headers["Content-Type"], await request.json()))
        return web.json_response({})

    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud", "namespace": "shop"}}

    async def story(cluster: KubernetesCluster) -> None:
        await cluster.apply(body)
        await cluster.delete(SERVICES, "shop", "fraud", "uid-1")

    asyncio.run(serve(answer, story))
    manager = {"fieldManager": "volary", "force": "true", "fieldValidation": "Strict"}
    path = "/api/v1/namespaces/shop/services/fraud"
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": "uid-1"}}
    assert seen == [("PATCH", path, manager, "application/apply-patch+yaml", body), ("DELETE", path, {}, "application/json", options)]


# ---- how it is reached ------------------------------------------------------------------------


def test_a_rotated_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for name, text in (("token", "first"), ("ca.crt", "a certificate"), ("namespace", "volary-system")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))

    async def story() -> None:
        connection = await connect()
        assert connection.namespace == "volary-system"
        assert connection.configuration.host == "https://10.96.0.1:443"
        assert await connection.token() == "first"
        (tmp_path / "token").write_text("second\n")
        loader = connection.configuration.refresh_api_key_hook.__closure__
        next(cell.cell_contents for cell in loader if hasattr(cell.cell_contents, "token_expires_at")).token_expires_at = _LONG_AGO
        assert await connection.token() == "second"

    asyncio.run(story())


def test_contexts_of_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))

    async def story() -> None:
        here, there = await connect(), await connect("there")
        assert (here.configuration.host, here.namespace, await here.token()) == ("http://here:1", "shop", "t1")
        assert (there.configuration.host, there.namespace, await there.token()) == ("http://there:2", "default", None)
        with pytest.raises(Refused, match="nowhere"):
            await connect("nowhere")

    asyncio.run(story())


def test_no_cluster_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Refused, match="set KUBECONFIG or run inside a pod"):
        asyncio.run(connect())


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: here, user: me, namespace: shop}}
- {name: there, context: {cluster: there, user: nobody}}
clusters:
- {name: here, cluster: {server: "http://here:1"}}
- {name: there, cluster: {server: "http://there:2"}}
users:
- {name: me, user: {token: t1}}
- {name: nobody, user: {}}
"""
