"""The `volary` command, also `kubectl volary`.

Each verb is a module with `configure(parser)` and `run(args)`. Only the module of the verb that is
asked for is imported: so each image starts fast, and needs no package of another one.
"""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, cast

from volary import __version__
from volary.cli.exits import Exit, Missing
from volary.common.errors import VolaryError


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb is, what it does, and which extra of the package has what it needs."""

    module: str
    help: str
    extra: str = "cli"


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "pack": Verb("volary.cli.pack", "make a verified bundle of a model"),
        "convert": Verb("volary.cli.convert", "make a servable graph of a model, without a bundle"),
        "optimise": Verb("volary.cli.optimise", "make a model smaller or faster, and measure what it costs"),
        "push": Verb("volary.cli.push", "upload a bundle as a version that never changes"),
        "sign": Verb("volary.cli.sign", "sign a bundle with a key or a certificate", "sign"),
        "verify": Verb("volary.cli.verify", "prove every byte of a bundle, and who signed it", "sign"),
        "export": Verb("volary.cli.export", "a bundle as one zip file"),
        "import": Verb("volary.cli.import_", "a bundle out of such a zip file, proved"),
        "alias": Verb("volary.cli.alias", "names that point at versions"),
        "diff": Verb("volary.cli.diff", "what changed between two bundles"),
        "history": Verb("volary.cli.history", "the versions of a model and what each one changed"),
        "set-version": Verb("volary.cli.set_version", "write another version into a manifest in Git"),
        "gc": Verb("volary.cli.gc", "delete blobs that no version needs"),
        "inspect": Verb("volary.cli.inspect", "show what a bundle holds"),
        "pull": Verb("volary.cli.pull", "download and verify a version", "agent"),
        "fetch": Verb("volary.cli.pull", "the same as pull", "agent"),
        "status": Verb("volary.cli.status", "show a ModelDeployment and how its rollout goes"),
        "explain": Verb("volary.cli.explain", "tell why a rollout went as it did, and how sure that is"),
        "simulate": Verb("volary.cli.simulate", "play a rollout many times before it is applied"),
        "predict": Verb("volary.cli.predict", "ask a model, by its address or by its name in the cluster"),
        "list": Verb("volary.cli.list", "list ModelDeployments, or the versions in a storage"),
        "promote": Verb("volary.cli.request", "let the canary take over now"),
        "pause": Verb("volary.cli.request", "hold the rollout where it is"),
        "resume": Verb("volary.cli.request", "let a paused rollout go on"),
        "skip": Verb("volary.cli.request", "end the step under way, without its evidence"),
        "approve": Verb("volary.cli.request", "let a rollout go on that waits for approval"),
        "abort": Verb("volary.cli.request", "give the canary up"),
        "retry": Verb("volary.cli.request", "try a failed revision again"),
        "rollback": Verb("volary.cli.request", "return to an earlier revision"),
        "crd": Verb("volary.cli.crd", "print the CustomResourceDefinition"),
        "run": Verb("volary.cli.run", "run the operator", "operator"),
        "serve": Verb("volary.cli.serve", "serve a bundle (in a model pod)", "server"),
        "agent": Verb("volary.cli.agent", "fetch, prove and watch a bundle (in a model pod)", "agent"),
        "preflight": Verb("volary.cli.preflight", "check a version before any pod starts (in a Job)", "agent"),
    }
)


class _Module(Protocol):
    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 is no reason to fail
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is None or words[0] != verb:
        return _without_verb(words)
    if verb not in VERBS:
        sys.stderr.write(f"volary: there is no verb {verb!r}; there are {', '.join(VERBS)}\n")
        return Exit.USAGE
    try:
        module = _load(VERBS[verb])
        return _run(verb, module, words[1:])
    except _MissingPackage as error:
        sys.stderr.write(f"volary {verb}: {error}\n")
        return Exit.FAILED


def _run(verb: str, module: _Module, words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"volary {verb}", description=f"{VERBS[verb].help[:1].upper()}{VERBS[verb].help[1:]}.")
    module.configure(parser)
    args = parser.parse_args(words)
    args.verb = verb
    try:
        return module.run(args)
    except VolaryError as error:
        sys.stderr.write(f"volary {verb}: {error.message} ({error.reason})\n")
        return Exit.NOT_FOUND if isinstance(error, Missing) else Exit.FAILED
    except ModuleNotFoundError as error:
        raise _missing(VERBS[verb], error) from None
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`volary inspect ... | head`): not worth a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except OSError as error:
        if error.filename is None:
            raise  # no file of the user's: a fault, and its trace is wanted
        sys.stderr.write(f"volary {verb}: {error.filename}: {error.strerror}\n")
        return Exit.FAILED


def _without_verb(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="volary",
        description="Deliver machine-learning models to Kubernetes.",
        epilog="`volary VERB --help` tells more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"volary {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    for name, verb in VERBS.items():
        verbs.add_parser(name, help=verb.help, add_help=False)
    parser.parse_args(words)  # ends the process at --help, --version and anything unknown
    parser.print_help(sys.stderr)
    return Exit.USAGE


class _MissingPackage(Exception):
    """A package of an extra is not installed."""


def _missing(verb: Verb, error: ModuleNotFoundError) -> Exception:
    """What to install; the error itself where the fault is ours."""
    if error.name is None or error.name.partition(".")[0] == "volary":
        return error
    return _MissingPackage(f"needs the package {error.name}; install it with: pip install 'volary[{verb.extra}]'")


def _load(verb: Verb) -> _Module:
    try:
        return cast("_Module", importlib.import_module(verb.module))
    except ModuleNotFoundError as error:
        raise _missing(verb, error) from None
