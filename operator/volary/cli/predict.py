"""`volary predict`: ask a model, wherever it serves.

Exit codes: 0 answered; 1 refused, or something to change; 3 nobody answers, or not yet; 4 an answer is not
the one recorded in the bundle.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from volary.bundle import golden
from volary.bundle.manifest import Manifest
from volary.cli import asking, kube, laptop
from volary.cli.asking import ANSWERED, DIFFERENT, SILENT, Question, Server, Unanswered
from volary.common import durations
from volary.common.names import GRPC_PORT, SERVICE_GRPC_PORT

NAME = "predict"
HELP = "ask a model, by its address or by its name in the cluster"

_ADDRESS = re.compile(r"(https?|grpcs?)://|.*:\d+$|localhost$")
_SHOWN = 12  # elements of an output


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and the answer that was recorded for it."""

    label: str
    body: dict[str, Any]
    expected: tuple[golden.Values, ...] = ()


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    parser.add_argument("target", metavar="URL|NAME", help="such as http://127.0.0.1:8080 or 127.0.0.1:8001, or a ModelDeployment")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-d", "--data", metavar="JSON|@FILE", help="the request, as JSON; @- reads standard input")
    what.add_argument("--samples", type=Path, metavar="BUNDLE", help="ask the golden samples of a bundle, and compare the answers")
    parser.add_argument("--model", metavar="NAME", help="(default: the only one there)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", help="ask this version; else the server chooses")
    which.add_argument("--revision", help="ask this revision or version of a split, by a header")
    parser.add_argument("--grpc", action="store_true", help="speak gRPC")
    parser.add_argument(
        "--protocol", choices=("oip", "tensorflow"), default="oip", help="of HTTP (default: oip, the Open Inference Protocol)"
    )
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="TIME", help="for one answer (default: 30s)")
    parser.add_argument("-o", "--output", choices=("json",), help="the whole answer; one line for each sample")
    kube.configure(parser)


def run(args: argparse.Namespace) -> int:
    """See the module's docstring."""
    try:
        about = None if args.samples is None else laptop.manifest(args.samples)
        requests = list(_requests(args, about))
        server, model = _server(args, about)
        worst = ANSWERED
        for each in requests:
            answer = server.infer(Question(model, args.version, args.revision, each.body))
            worst = max(worst, _show(args, about, each, answer))
    except Unanswered as error:
        sys.stderr.write(f"volary predict: {error}\n")
        return error.code
    return worst


# ---- what is asked


def _requests(args: argparse.Namespace, about: Manifest | None) -> Iterator[_Asked]:
    if about is None:
        yield _Asked("", _parsed(args.data))
        return
    recorded = laptop.samples(args.samples)
    if not recorded:
        raise Unanswered(f"the bundle in {args.samples} has no golden samples; give the request with -d")
    for number, sample in enumerate(recorded, start=1):
        yield _Asked(f"sample {number}", {"inputs": [each.model_dump(mode="json") for each in sample.inputs]}, sample.outputs)


def _parsed(data: str) -> dict[str, Any]:
    name = data[1:] if data.startswith("@") else None
    text = data if name is None else sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    where = "-d" if name is None else "standard input" if name == "-" else name
    try:
        found = json.loads(text)
    except ValueError as error:
        hint = f"; to read the file, write -d @{data}" if name is None and Path(data).exists() else ""
        raise Unanswered(f"{where} is not JSON: {error}{hint}") from None
    if not isinstance(found, dict):
        raise Unanswered(f'{where}: found {type(found).__name__}, expected an object such as {{"inputs": [...]}}')
    return found


# ---- who is asked


def _server(args: argparse.Namespace, about: Manifest | None) -> tuple[Server, str]:
    """And the name of the model."""
    if args.grpc and args.protocol != "oip":
        raise Unanswered("--grpc speaks the Open Inference Protocol alone; leave --protocol out")
    if not _ADDRESS.match(args.target):
        return _in_cluster(args)
    url, named = _split(args.target)
    server = _at(args, url)
    return server, args.model or named or _only(server, about)


def _at(args: argparse.Namespace, url: str) -> Server:
    parts = urlsplit(url)
    if args.grpc or parts.scheme in {"grpc", "grpcs"}:
        tls = parts.scheme in {"grpcs", "https"}
        return asking.Grpc(f"{parts.hostname}:{parts.port or (443 if tls else GRPC_PORT)}", args.timeout, tls=tls)
    send = asking.direct(url, args.timeout)
    return asking.TensorFlow(send) if args.protocol == "tensorflow" else asking.Rest(send)


def _split(target: str) -> tuple[str, str | None]:
    """The address, and the model where the path of a request was pasted: http://HOST/v2/models/M/infer."""
    url = target if "://" in target else f"http://{target}"
    found = re.fullmatch(r"(?P<before>[^?#]*?)/v[12]/models/(?P<model>[^/:]+)(?:[/:].*)?", url)
    return (found["before"], found["model"]) if found else (url, None)


def _only(server: Server, about: Manifest | None) -> str:
    models = server.models()
    if len(models) == 1:
        return models[0]
    if about is not None and (not models or about.name in models):
        return about.name
    raise Unanswered(f"which model? the server tells of {', '.join(models) or 'none'}; choose with --model NAME")


def _in_cluster(args: argparse.Namespace) -> tuple[Server, str]:
    from volary.adapters.kubeconfig import connect

    connection = asyncio.run(connect(args.context))
    namespace = args.namespace or connection.namespace
    found: list[tuple[str, str | None]] = []

    async def look(place: kube.Place) -> int:
        from volary.adapters.cluster import SERVICES

        model = kube.parse(await place.get(args.target)).model_name
        service = await place.cluster.get(SERVICES, place.namespace, args.target)
        found.append((model, (service or {}).get("spec", {}).get("clusterIP")))
        return 0

    kube.run(args, look)
    model, address = found[0]
    if address is None:
        raise Unanswered(f"{args.target} has no Service yet: nothing of it serves; see: volary status {args.target} -n {namespace}", SILENT)
    if args.grpc:
        return _Forwarded(asking.Grpc(f"{address}:{SERVICE_GRPC_PORT}", args.timeout), args.target, namespace), args.model or model
    send = asking.in_cluster(connection, namespace, args.target, args.timeout)
    return asking.TensorFlow(send) if args.protocol == "tensorflow" else asking.Rest(send), args.model or model


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """gRPC does not pass the API server: it goes straight to the Service, which only machines of the cluster reach."""

    grpc: asking.Grpc
    name: str
    namespace: str

    def infer(self, question: Question) -> dict[str, Any]:
        """See Server."""
        try:
            return self.grpc.infer(question)
        except Unanswered as error:
            if error.code != SILENT:
                raise
            forward = f"kubectl port-forward -n {self.namespace} service/{self.name} {SERVICE_GRPC_PORT}"
            raise Unanswered(
                f"{error}; from outside of the cluster: {forward}, then: volary predict 127.0.0.1:{SERVICE_GRPC_PORT} --grpc", SILENT
            ) from None

    def models(self) -> list[str]:
        """See Server."""
        return self.grpc.models()


# ---- the answer


def _show(args: argparse.Namespace, about: Manifest | None, asked: _Asked, answer: dict[str, Any]) -> int:
    outputs = _tensors(answer, about)
    tolerance = None if about is None else about.golden
    difference = golden.compare(asked.expected, outputs, tolerance) if tolerance is not None and asked.expected else None
    if args.output == "json":
        sys.stdout.write(json.dumps(answer) + "\n")
    elif not asked.expected:
        _show_outputs(answer, outputs)
    else:
        sys.stdout.write(f"{asked.label}: {difference or 'as recorded'}\n")
    if difference is not None and args.output == "json":
        sys.stderr.write(f"volary predict: {asked.label}: {difference}\n")
    return ANSWERED if difference is None else DIFFERENT


def _show_outputs(answer: dict[str, Any], outputs: list[dict[str, Any]]) -> None:
    if not outputs:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return
    version = answer.get("model_version")
    if version:
        sys.stderr.write(f"{answer.get('model_name', '')} {version}\n")
    for each in outputs:
        flat = golden.flatten(each.get("data"))
        shown = " ".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in flat[:_SHOWN])
        more = f" ... {len(flat) - _SHOWN} more" if len(flat) > _SHOWN else ""
        sys.stdout.write(f"{each.get('name')} {each.get('datatype', '')} {each.get('shape', '')}: {shown}{more}\n")


def _tensors(answer: dict[str, Any], about: Manifest | None) -> list[dict[str, Any]]:
    """Outputs as the Open Inference Protocol has them; those of TensorFlow Serving with what the bundle says of them."""
    found = answer.get("outputs")
    if isinstance(found, list) and all(isinstance(each, dict) and "name" in each for each in found):
        return found
    if about is None or found is None:
        return []
    named = found if isinstance(found, dict) and set(found) <= {tensor.name for tensor in about.outputs} else {about.outputs[0].name: found}
    return [
        {"name": tensor.name, "datatype": tensor.datatype.value, "shape": _shape(named[tensor.name]), "data": named[tensor.name]}
        for tensor in about.outputs
        if tensor.name in named
    ]


def _shape(nested: Any) -> list[int]:
    return [len(nested), *(_shape(nested[0]) if nested else ())] if isinstance(nested, list) else []


def _seconds(text: str) -> float:
    try:
        return durations.parse(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
