"""`volary serve`: the ONNX Runtime server, as it runs in a model's pod or on a person's machine.

`volary serve ./bundle` is for people: on loopback alone, words instead of JSON lines, and what to type next.
"""

import argparse
import ipaddress
import json
import logging
import signal
import sys
from functools import partial
from pathlib import Path

from typing_extensions import override

from volary.cli import laptop, tuning
from volary.common import durations
from volary.common.errors import Refused
from volary.common.names import CONTROL_PORT, GRPC_PORT, SERVER_PORT
from volary.common.reasons import Reason

NAME = "serve"
HELP = "serve a bundle in a directory with ONNX Runtime (Open Inference Protocol)"

_MIB = 1024 * 1024
_PORT_LIMIT = 65535
_FREE_TO_FAIL = "default"  # nobody has asked for gRPC: a port that is taken is no reason not to serve
_NONE = "none"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 -- it is the pod's purpose


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("directory", nargs="?", type=Path, metavar="BUNDLE", help="a bundle, on this machine; tells how to ask it")
    source.add_argument("--bundle", type=Path, metavar="DIRECTORY", help="the same in a pod: all interfaces, log lines as JSON")
    source.add_argument(
        "--split", action="store_true", help="hold the versions that the pod's agent asks for, and share requests out to them"
    )
    parser.add_argument(
        "--control",
        type=_loopback,
        default=("127.0.0.1", CONTROL_PORT),
        metavar="HOST:PORT",
        help=f"with --split: where the agent asks, on loopback (default: 127.0.0.1:{CONTROL_PORT})",
    )
    parser.add_argument("--model", metavar="NAME", help="name of the model in request paths (default: that of the bundle)")
    parser.add_argument("--revision", default="", metavar="ID", help="label of the metrics, with --bundle")
    parser.add_argument(
        "--listen", type=_address, metavar="HOST:PORT", help=f"default: 0.0.0.0:{SERVER_PORT}, or 127.0.0.1:{SERVER_PORT} for BUNDLE"
    )
    parser.add_argument(
        "--grpc-listen",
        type=_address_or_none,
        default=_FREE_TO_FAIL,
        metavar="HOST:PORT|none",
        help=f"for gRPC (default: the host of --listen and port {GRPC_PORT}, where that is free)",
    )
    parser.add_argument("--drain-delay", type=_seconds, default=5.0, metavar="TIME", help="from SIGTERM to closing the port (default: 5s)")
    parser.add_argument("--max-body", type=_size, default=64 * _MIB, metavar="MIB", help="largest request, in MiB (default: 64)")
    parser.add_argument("--threads", type=_count, metavar="N", help="threads of one inference (default: the CPU limit, rounded up)")
    tuning.configure(parser)
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"), metavar="FILE", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM. Exit code 0, or 3 when the bundle cannot be loaded."""
    # The kernel drops signals that the first process of a container has no handler for: while the
    # imports below run, a deleted pod would wait for its whole grace period.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    here: Path | None = args.directory
    if here is None:
        _log_as_json()
    else:
        laptop.log_in_words()
    from volary.serving import server  # the parser must not need ONNX Runtime

    bundle = here or args.bundle
    host, port = args.listen or (_EVERYWHERE if here is None else "127.0.0.1", SERVER_PORT)
    return server.serve(
        server.Settings(
            model=args.model or _name(bundle),
            bundle=bundle,
            control=args.control if args.split else None,
            revision=args.revision,
            host=host,
            port=port,
            grpc=_grpc(args.grpc_listen, host),
            grpc_wanted=args.grpc_listen != _FREE_TO_FAIL,
            drain_delay=args.drain_delay,
            body_limit=args.max_body,
            threads=args.threads,
            termination_log=args.termination_log,
            announce=None if here is None else partial(laptop.tell, here, args.model or _name(here)),
            tuning=tuning.chosen(args),
        )
    )


def _name(bundle: Path | None) -> str:
    """The name it was packed under."""
    if bundle is None:
        raise Refused(Reason.OPTION_INVALID, "--split needs --model NAME: there is no bundle yet to take the name from")
    return laptop.manifest(bundle).name


def _grpc(asked: str | tuple[str, int], host: str) -> tuple[str, int] | None:
    if isinstance(asked, tuple):
        return asked
    return None if asked == _NONE else (host, GRPC_PORT)


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message; an exception as text."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _log_as_json() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _address(text: str) -> tuple[str, int]:
    """`0.0.0.0:8080`, `[::]:8080`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _address_or_none(text: str) -> str | tuple[str, int]:
    return text if text in {_NONE, _FREE_TO_FAIL} else _address(text)


def _loopback(text: str) -> tuple[str, int]:
    """`127.0.0.1:8082`, `[::1]:8082`: whoever reaches it decides what is served."""
    host, port = _address(text)
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host, port
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not on loopback; write it like 127.0.0.1:{CONTROL_PORT}")


def _seconds(text: str) -> float:
    """`5s`, `1m`, or a number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            return durations.parse(text).total_seconds()
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    if not 0 <= seconds <= 3600:  # one hour; also refuses NaN
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 3600 seconds")
    return seconds


def _size(text: str) -> int:
    return _count(text) * _MIB


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
