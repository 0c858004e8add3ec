"""`volary agent`: the native sidecar of a model pod."""

import argparse
import asyncio
from pathlib import Path

from volary.adapters import control, oip, tfserving
from volary.adapters.storage import Storage
from volary.agent import inplace, tensorflow, termination
from volary.agent.inplace import InPlace
from volary.agent.retry import Patience
from volary.agent.sidecar import Settings, Sidecar
from volary.api.v1alpha1 import RuntimeName
from volary.cli import storage
from volary.common import logs, names
from volary.common.errors import Refused
from volary.common.reasons import Reason

NAME = "agent"
HELP = "fetch, prove and watch a bundle (in a model pod)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as the operator writes them into the pod."""
    storage.configure_wanted(parser, required=False)
    parser.add_argument(
        "--split", action="store_true", help="hold what the file of revisions says, instead of --uri, --version and --digest"
    )
    file = Path(names.REVISIONS_PATH, names.REVISIONS_FILE)
    parser.add_argument("--revisions", type=Path, default=file, metavar="FILE", help=f"with --split (default: {file})")
    url = f"http://127.0.0.1:{names.CONTROL_PORT}"
    parser.add_argument("--control", default=url, metavar="URL", help=f"with --split: of the server's control port (default: {url})")
    parser.add_argument("--directory", type=Path, required=True, help="volume that the server reads")
    parser.add_argument("--server", required=True, metavar="URL", help="of the model server, such as http://127.0.0.1:8080")
    parser.add_argument("--listen", type=_address, default=("0.0.0.0", 8081), metavar="HOST:PORT", help="of the probes")  # noqa: S104 -- the kubelet asks from outside the pod
    parser.add_argument("--golden-timeout", type=float, default=30.0, metavar="SECONDS", help="for one golden sample")


def run(args: argparse.Namespace) -> int:
    """0 after SIGTERM, 3 refused, 4 a neighbour failed."""
    logs.configure("info")
    try:
        agent = _several(args) if args.split else _single(args)
        return asyncio.run(agent.run())
    except Exception as error:  # noqa: BLE001 -- such as a port in use: the last words must be written whatever it is
        return termination.report(error, args.termination_log)


def _several(args: argparse.Namespace) -> InPlace:
    host, port = args.listen
    settings = inplace.Settings(
        revisions=args.revisions,
        directory=args.directory,
        model=args.model,
        host=host,
        port=port,
        golden_timeout=args.golden_timeout,
        termination_log=args.termination_log,
    )
    return InPlace(settings, lambda uri: storage.connect(args, uri), control.Http(args.control), oip.Http(args.server), Patience())


def _single(args: argparse.Namespace) -> Sidecar:
    if missing := [f"--{name}" for name in ("uri", "version", "runtime") if getattr(args, name) is None]:
        raise Refused(Reason.SPEC_INVALID, f"the agent needs {', '.join(missing)}, or --split")
    host, port = args.listen
    settings = Settings(
        wanted=storage.wanted(args),
        directory=args.directory,
        model=args.model,
        host=host,
        port=port,
        golden_timeout=args.golden_timeout,
        termination_log=args.termination_log,
    )

    def connect() -> Storage:
        return storage.connect(args, args.uri)

    if args.runtime == RuntimeName.TENSORFLOW_SERVING:
        return Sidecar(settings, connect, tfserving.Http(args.server), Patience(), prepare=tensorflow.configure)
    return Sidecar(settings, connect, oip.Http(args.server), Patience())


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)  # noqa: S104 -- see above
