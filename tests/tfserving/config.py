"""Protobuf's text format, as far as configuration files use it, and what a model's configuration says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Message = dict[str, list[Any]]
_TOKEN = re.compile(r'\s*(?:#[^\n]*\n\s*)*("(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+|[{}:])')


class ConfigError(ValueError):
    """The file is not what the program reads."""


def parse(text: str) -> Message:
    """Fields by name, each a list. Raises ConfigError."""
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConfigError(f"Error parsing text-format at {text[at : at + 20]!r}")
        tokens.append(match[1])
        at = match.end()
    message, rest = _message(tokens, 0)
    if rest != len(tokens):
        raise ConfigError("Error parsing text-format: unexpected }")
    return message


def _message(tokens: list[str], at: int) -> tuple[Message, int]:
    found: Message = {}
    while at < len(tokens) and tokens[at] != "}":
        name, at = tokens[at], at + 1
        if at < len(tokens) and tokens[at] == ":":
            at += 1
        if at >= len(tokens):
            raise ConfigError(f"Error parsing text-format: {name} has no value")
        if tokens[at] == "{":
            value, at = _message(tokens, at + 1)
            if at >= len(tokens):
                raise ConfigError("Error parsing text-format: expected }")
            found.setdefault(name, []).append(value)
        else:
            found.setdefault(name, []).append(_scalar(tokens[at]))
        at += 1
    return found, at


def _scalar(token: str) -> str | int | bool:
    if token.startswith('"'):
        return token[1:-1]
    if token in {"true", "false"}:
        return token == "true"
    return int(token) if token.lstrip("-").isdigit() else token


@dataclass(frozen=True)
class Model:
    """One entry of the list. `specific` None: not chosen by number; `latest` 0: all."""

    name: str
    base_path: str
    specific: tuple[int, ...] | None = None
    latest: int = 1
    labels: tuple[tuple[str, int], ...] = ()

    def aspired(self, there: list[int]) -> list[int]:
        """Which of the versions on the disk are wanted."""
        if self.specific is not None:
            return [version for version in there if version in self.specific]
        return sorted(there)[-self.latest :] if self.latest else sorted(there)


def models(text: str) -> list[Model]:
    """Of a ModelServerConfig. Raises ConfigError."""
    entries = [entry for part in parse(text).get("model_config_list", []) for entry in part.get("config", [])]
    found = [_model(entry) for entry in entries]
    if len({model.name for model in found}) < len(found):
        raise ConfigError("Illegal to list model multiple times in config list")
    return found


def _model(entry: Message) -> Model:
    if "name" not in entry or "base_path" not in entry or entry.get("model_platform") != ["tensorflow"]:
        raise ConfigError("a config needs name, base_path and model_platform")
    policy = entry.get("model_version_policy", [{}])[0]
    labels = tuple((pair["key"][0], pair["value"][0]) for pair in entry.get("version_labels", []))
    name, base = entry["name"][0], entry["base_path"][0]
    if "specific" in policy:
        versions = tuple(policy["specific"][0].get("versions", []))
        if not versions:
            raise ConfigError("specific version policy without versions")
        return Model(name, base, specific=versions, labels=labels)
    latest = 0 if "all" in policy else policy.get("latest", [{}])[0].get("num_versions", [1])[0]
    return Model(name, base, latest=latest, labels=labels)


def monitoring(text: str) -> str | None:
    """Path of the metrics, None where they are off. Raises ConfigError."""
    found = parse(text).get("prometheus_config", [{}])[0]
    return found.get("path", ["/monitoring/prometheus/metrics"])[0] if found.get("enable") == [True] else None
