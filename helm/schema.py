"""`python helm/schema.py [--check]`: values.schema.json out of values.yaml; its comments become the descriptions."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent / "volary"
# Kubernetes' own types and maps of a user's own keys: the API server knows their fields better.
FREE = {"resources", "test.spec", "monitoring.dashboards.labels"}
CHOICES = {"logLevel": ["debug", "info", "warning", "error"], "imagePullPolicy": ["Always", "IfNotPresent", "Never"]}
ITEMS = {"watchNamespaces": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}}
PATTERNS = {"prometheus.url": r"^(https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?)?$"}
LEAST = {"images.operator": 1, "images.agent": 1, "images.server": 1, "leaderElection.name": 1}
NUMBERS = {"port": (1024, 65535)}


def schema(value: Any, path: str, comments: dict[str, str]) -> dict[str, Any]:
    """The schema of one value; a map is closed unless its keys are the user's."""
    found: dict[str, Any] = {"description": comments[path]} if path in comments else {}
    match value:
        case bool():
            found |= {"type": "boolean"}
        case int():
            least, most = NUMBERS.get(path, (1, None))
            found |= {"type": "integer", "minimum": least} | ({"maximum": most} if most else {})
        case str():
            found |= {"type": "string"}
            found |= {"enum": CHOICES[path]} if path in CHOICES else {}
            found |= {"pattern": PATTERNS[path]} if path in PATTERNS else {}
            found |= {"minLength": LEAST[path]} if path in LEAST else {}
        case list():
            found |= {"type": "array", "items": ITEMS.get(path, {"type": "object"})}
        case dict() if not value or path in FREE:
            found |= {"type": "object"}
        case dict():
            keys = {key: schema(each, f"{path}.{key}".lstrip("."), comments) for key, each in value.items()}
            # Helm gives `global` to every chart that is another one's dependency.
            keys |= {} if path else {"global": {"type": "object"}}
            found |= {"type": "object", "additionalProperties": False, "properties": keys}
    return found


def remarks(text: str) -> dict[str, str]:
    """Path -> the comment behind a key."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        key, colon, rest = line.partition(":")
        if not colon or key.lstrip().startswith("#"):
            continue
        depth = len(key) - len(key.lstrip())
        parents = [parent for parent in parents if parent[0] < depth] + [(depth, key.strip())]
        _, hash_, remark = rest.partition(" # ")
        if hash_:
            found[".".join(name for _, name in parents)] = remark.strip()
    return found


def main(arguments: list[str]) -> int:
    """1 when the file is stale and only a check was asked for."""
    text = (CHART / "values.yaml").read_text("utf-8")
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart volary"}
    wanted = json.dumps(head | schema(yaml.safe_load(text), "", remarks(text)), indent=2) + "\n"
    target = CHART / "values.schema.json"
    if target.is_file() and target.read_text("utf-8") == wanted:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{target} is stale: run `make generate` and commit the result\n")
        return 1
    target.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
