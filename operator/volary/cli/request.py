"""`volary promote|pause|resume|skip|approve|abort|retry|rollback NAME`: asks the operator for something and waits for its answer.

The wish is an annotation, so it needs no more rights than editing the ModelDeployment, is seen in
its audit log, and survives a restart of the operator. It names the revision that was on the
screen: one that comes late cannot hit another canary.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Mapping
from types import MappingProxyType

from volary.adapters.cluster import MODEL_DEPLOYMENTS
from volary.api.v1alpha1 import ModelDeployment, Phase, RequestStatus
from volary.cli import kube
from volary.common.errors import Refused, Transient
from volary.common.names import REQUEST_ANNOTATION
from volary.common.reasons import Reason

NAME = "request"
HELP = "ask the operator to move a rollout on, to hold it or to take it back"

_POLL = 0.25  # seconds between two looks
_DONE = "Done"
_CANARY_VERBS = frozenset({"promote", "pause", "resume", "skip", "approve", "abort"})
_ENDS = frozenset({Phase.SERVING, Phase.ROLLED_BACK, Phase.REFUSED, Phase.FAILED, Phase.PAUSED})  # nothing goes on by itself
_GOALS: Mapping[str, frozenset[Phase]] = MappingProxyType(
    {
        "promote": frozenset({Phase.SERVING}),
        "retry": frozenset({Phase.SERVING}),
        "pause": frozenset({Phase.PAUSED}),
        "abort": frozenset({Phase.ROLLED_BACK, Phase.FAILED}),
        "rollback": frozenset({Phase.ROLLED_BACK, Phase.SERVING}),
    }
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags; which verb it is, the dispatcher tells `run` in `args.verb`."""
    parser.add_argument("name", metavar="NAME")
    kube.configure(parser)
    if parser.prog.endswith(" rollback"):
        parser.add_argument("--to", metavar="REVISION|VERSION", help="which kept revision; the one before stable, if absent")
    if parser.prog.rpartition(" ")[2] in _GOALS:
        parser.add_argument("--wait", type=float, metavar="SECONDS", help="wait so long until what was asked for has happened")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long to wait for the answer (default 60)")


def run(args: argparse.Namespace) -> int:
    """0 when it was done, 1 when it was refused, not answered in time, or (with `--wait`) came to another end."""
    return kube.run(args, lambda place: _ask(place, args))


async def _ask(place: kube.Place, args: argparse.Namespace) -> int:
    value = wish(args.verb, kube.parse(await place.get(args.name)), getattr(args, "to", None), secrets.token_hex(4))
    annotation = {"metadata": {"annotations": {REQUEST_ANNOTATION: value}}}
    await place.cluster.patch(MODEL_DEPLOYMENTS, place.namespace, args.name, annotation)
    answer = await _answer(place, args.name, value, args.timeout)
    if answer is None:
        text = f"no answer within {args.timeout:g} s; the request stays and is acted on as soon as the operator can"
        sys.stderr.write(f"volary {args.verb}: {text}\n")
        return 1
    message = f": {answer.message}" if answer.message else ""
    stream = sys.stdout if answer.outcome == _DONE else sys.stderr
    stream.write(f"{args.verb} {args.name}: {answer.outcome.lower()}{message}\n")
    if answer.outcome != _DONE:
        return 1
    return 0 if getattr(args, "wait", None) is None else await _end(place, args)


async def _end(place: kube.Place, args: argparse.Namespace) -> int:
    """What became of the rollout, on stderr: it is no data."""
    found: ModelDeployment | None = None
    try:
        async with asyncio.timeout(args.wait):
            while found is None or found.status.phase not in _ENDS:
                await asyncio.sleep(_POLL)
                found = await _resource(place, args.name) or found
    except TimeoutError:
        phase = found.status.phase.value if found else "unknown"
        sys.stderr.write(f"volary {args.verb}: not at an end within {args.wait:g} s, it is {phase}\n")
        return 1
    sys.stderr.write(f"{args.name}: {found.status.phase.value}: {found.status.message}\n")
    return 0 if found.status.phase in _GOALS[args.verb] else 1


def wish(verb: str, found: ModelDeployment, to: str | None, nonce: str) -> str:
    """`ACTION[:REVISION]@NONCE`. Raises Refused where there is nothing to ask for."""
    if verb in _CANARY_VERBS:
        if found.status.canary is None:
            raise Refused(Reason.REQUEST_REFUSED, f"{found.metadata.name} has no canary under way: it is {found.status.phase.value}")
        to = found.status.canary.revision
    return f"{verb}{f':{to}' if to else ''}@{nonce}"


async def _answer(place: kube.Place, name: str, value: str, timeout: float) -> RequestStatus | None:  # noqa: ASYNC109 -- None, not an error
    """What the operator recorded of this very request."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                found = await _resource(place, name)
                if found is not None and found.status.request is not None and found.status.request.value == value:
                    return found.status.request
                await asyncio.sleep(_POLL)
    except TimeoutError:
        return None


async def _resource(place: kube.Place, name: str) -> ModelDeployment | None:
    """None while the API server stumbles."""
    try:
        return kube.parse(await place.get(name))
    except Transient:
        return None
