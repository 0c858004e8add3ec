"""The options of `volary serve`."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from volary.cli import serve


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    serve.configure(parser)
    return parser.parse_args(["--bundle", "/models/fraud/1.4.0", "--model", "fraud", *options])


def test_defaults() -> None:
    args = parse()
    assert (args.bundle, args.model, args.revision) == (Path("/models/fraud/1.4.0"), "fraud", "")
    assert (args.listen, args.drain_delay, args.max_body, args.threads) == (None, 5.0, 64 * 1024 * 1024, None)
    assert args.termination_log == Path("/dev/termination-log")


@pytest.mark.parametrize(
    ("option", "text", "name", "value"),
    [
        ("--listen", "127.0.0.1:0", "listen", ("127.0.0.1", 0)),
        ("--listen", "[::]:8080", "listen", ("::", 8080)),
        ("--drain-delay", "0", "drain_delay", 0.0),
        ("--drain-delay", "0.5", "drain_delay", 0.5),
        ("--drain-delay", "1m30s", "drain_delay", 90.0),
        ("--max-body", "1", "max_body", 1024 * 1024),
        ("--threads", "4", "threads", 4),
    ],
)
def test_options(option: str, text: str, name: str, value: Any) -> None:
    assert getattr(parse(option, text), name) == value


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--listen", "8080"),
        ("--listen", "0.0.0.0:http"),
        ("--listen", "0.0.0.0:65536"),
        ("--drain-delay", "soon"),
        ("--drain-delay", "-1"),
        ("--drain-delay", "nan"),
        ("--max-body", "0"),
        ("--threads", "1.5"),
    ],
)
def test_bad_options(option: str, text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=option):
        parse(f"{option}={text}")
