"""`volary run`: the operator."""

import argparse
import asyncio
import os
import sys

from volary.common import logs
from volary.common.errors import VolaryError
from volary.common.settings import Settings, read

NAME = "run"
HELP = "run the operator"


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags win over VOLARY_* environment variables."""
    parser.add_argument(
        "-n", "--namespace", action="append", default=[], metavar="NAMESPACE", help="serve only this namespace (repeatable)"
    )
    parser.add_argument("--workers", type=int, help="ModelDeployments worked on at the same time")
    parser.add_argument("--listen", metavar="HOST:PORT", help="where /healthz, /readyz and /metrics are served")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))


def run(args: argparse.Namespace) -> int:
    """0 after SIGTERM, 1 after a failure."""
    from volary.controller import app

    try:
        settings = _settings(args)
    except ValueError as error:
        sys.stderr.write(f"volary: {error}\n")
        return 1
    logs.configure(settings.log_level)
    try:
        return asyncio.run(app.main(settings))
    except VolaryError as error:
        sys.stderr.write(f"volary: {error}\n")
        return 1


def _settings(args: argparse.Namespace) -> Settings:
    """The environment with the flags put over it, checked as one."""
    flags = {
        "VOLARY_NAMESPACES": ",".join(args.namespace),
        "VOLARY_WORKERS": "" if args.workers is None else str(args.workers),
        "VOLARY_LISTEN": args.listen or "",
        "VOLARY_LOG_LEVEL": args.log_level or "",
    }
    return read({**os.environ, **{name: value for name, value in flags.items() if value}})
