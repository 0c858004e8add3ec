"""`volary agent`: the native sidecar of a model pod."""

import argparse
import asyncio
from pathlib import Path

from volary.adapters import oip
from volary.agent import termination
from volary.agent.retry import Patience
from volary.agent.sidecar import Settings, Sidecar
from volary.cli import storage
from volary.common import logs

NAME = "agent"
HELP = "fetch, prove and watch a bundle (in a model pod)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as the operator writes them into the pod."""
    storage.configure_wanted(parser)
    parser.add_argument("--directory", type=Path, required=True, help="volume that the server reads")
    parser.add_argument("--server", required=True, metavar="URL", help="of the model server, such as http://127.0.0.1:8080")
    parser.add_argument("--listen", type=_address, default=("0.0.0.0", 8081), metavar="HOST:PORT", help="of the probes")  # noqa: S104 -- the kubelet asks from outside the pod
    parser.add_argument("--golden-timeout", type=float, default=30.0, metavar="SECONDS", help="for one golden sample")


def run(args: argparse.Namespace) -> int:
    """0 after SIGTERM, 3 refused, 4 a neighbour failed."""
    logs.configure("info")
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
    try:
        sidecar = Sidecar(settings, lambda: storage.connect(args, args.uri), oip.Http(args.server), Patience())
        return asyncio.run(sidecar.run())
    except Exception as error:  # noqa: BLE001 -- such as a port in use: the last words must be written whatever it is
        return termination.report(error, args.termination_log)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host or "0.0.0.0", int(port)  # noqa: S104 -- see above
