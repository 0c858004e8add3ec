"""Options of `volary serve` that make it fit a model and a machine."""

import argparse
from typing import TYPE_CHECKING

from volary.common import durations

if TYPE_CHECKING:
    from volary.serving.tuning import Tuning

_WAITING = 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("tuning")
    group.add_argument(
        "--batch", type=_count, default=1, metavar="ROWS", help="join requests up to so many rows, if the golden samples prove it harmless"
    )
    group.add_argument(
        "--batch-delay", type=_time, default=0.0, metavar="TIME", help="how long the first may wait for others (default: 0s)"
    )
    group.add_argument(
        "--queue", type=_count, default=_WAITING, metavar="N", help=f"requests that may wait, of each version (default: {_WAITING})"
    )
    group.add_argument(
        "--timeout", type=_time, metavar="TIME", help="how long a request may wait where it does not say (default: any time)"
    )
    group.add_argument(
        "--providers", type=_words, default=(), metavar="NAMES", help="execution providers before the CPU's, such as cuda or tensorrt,cuda"
    )
    group.add_argument(
        "--session-option",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as graph-optimisation=basic; repeatable",
    )


def chosen(args: argparse.Namespace) -> "Tuning":
    """What they say."""
    from volary.serving.joining import Batching  # the parser must not need numpy
    from volary.serving.tuning import TUNING, Tuning

    return Tuning(
        batching=Batching(args.batch, args.batch_delay),
        waiting=args.queue,
        timeout=args.timeout if args.timeout is not None else TUNING.timeout,
        providers=args.providers,
        session=dict(args.session_option),
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _time(text: str) -> float:
    """`5ms`, `2s`: seconds."""
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _words(text: str) -> tuple[str, ...]:
    """`tensorrt,cuda`."""
    return tuple(word.strip().lower() for word in text.split(","))


def _pair(text: str) -> tuple[str, str]:
    """`graph-optimisation=basic`."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
