"""What the verbs that talk to a cluster share: flags like kubectl's, one connection, one loop."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body, Cluster, Forbidden, NotFound
from volary.adapters.kubeconfig import connect
from volary.api.v1alpha1 import ModelDeployment
from volary.cli.exits import HELP, Missing
from volary.common.errors import Refused
from volary.common.reasons import Reason


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster and a namespace in it."""

    cluster: Cluster
    namespace: str

    async def get(self, name: str) -> Body:
        """One ModelDeployment. Raises Missing where there is none."""
        body = await self.cluster.get(MODEL_DEPLOYMENTS, self.namespace, name)
        if body is None:
            raise Missing(f"there is no ModelDeployment {name} in the namespace {self.namespace}")
        return body


Work = Callable[[Place], Awaitable[int]]


def configure(parser: argparse.ArgumentParser) -> None:
    """`-n`, `--context` and `--kubeconfig`, as kubectl has them; KUBECONFIG is honoured too."""
    parser.add_argument("-n", "--namespace", help="namespace; that of the context, if absent")
    parser.add_argument("--context", help="context of the kubeconfig; the current one, if absent")
    parser.add_argument("--kubeconfig", metavar="FILE", help="in place of KUBECONFIG and ~/.kube/config")
    parser.epilog = HELP


def configure_all(parser: argparse.ArgumentParser) -> None:
    """`-A`, where several are shown."""
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")


@asynccontextmanager
async def opened(args: argparse.Namespace) -> AsyncIterator[Place]:
    """The place the flags name."""
    connection = await connect(args.context, args.kubeconfig)
    cluster = connection.cluster()
    try:
        yield Place(cluster, args.namespace or connection.namespace)
    finally:
        await cluster.close()


def run(args: argparse.Namespace, work: Work) -> int:
    """Runs a verb's work at the place its flags name; its exit code."""

    async def there() -> int:
        async with opened(args) as place:
            try:
                return await work(place)
            except NotFound as error:
                raise Refused(error.reason, f"{error.message}; is Volary installed in this cluster? `volary doctor` looks") from error
            except Forbidden as error:
                raise Refused(error.reason, f"{error.message}; `volary doctor` tells what you may do") from error

    return asyncio.run(there())


def parse(body: Body) -> ModelDeployment:
    """A ModelDeployment to show. Raises Refused for one that this version of the command cannot read."""
    try:
        return ModelDeployment.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(Reason.SPEC_INVALID, f"{body['metadata']['name']}: {where}: {first['msg']}") from error
