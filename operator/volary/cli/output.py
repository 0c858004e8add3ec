"""`-o json|yaml|name`: objects as kubectl prints them."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from volary.adapters.cluster import Body
from volary.common import names

FORMATS = ("json", "yaml", "name")


def configure(parser: argparse.ArgumentParser, what: str = "the object itself", formats: Sequence[str] = FORMATS) -> None:
    """The flag; without it a verb prints what people read."""
    parser.add_argument("-o", "--output", choices=tuple(formats), help=what)


def write(bodies: Sequence[Body], how: str, *, single: bool = False) -> None:
    """One object alone where one was named, a List otherwise; without `managedFields`, which nobody reads."""
    for body in bodies:
        body["metadata"].pop("managedFields", None)
    if how == "name":
        sys.stdout.write("".join(f"{resource(body['metadata']['name'])}\n" for body in bodies))
    else:
        data(bodies[0] if single else {"apiVersion": "v1", "kind": "List", "items": list(bodies)}, how)


def resource(name: str) -> str:
    """`modeldeployment.serving.volary.dev/fraud`: kubectl takes it as an argument."""
    return f"{names.KIND.lower()}.{names.GROUP}/{name}"


def data(document: Any, how: str) -> None:
    """Anything of plain values."""
    if how == "json":
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    import yaml

    sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
