"""The flags of model_servers/main.cc with their defaults: those that Volary or its users set."""

from __future__ import annotations

from dataclasses import dataclass, fields


class FlagError(Exception):
    """The program prints its usage and ends."""


@dataclass
class Flags:
    """Named as on the command line."""

    port: int = 8500
    rest_api_port: int = 0
    rest_api_timeout_in_ms: int = 30000
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: int = 0
    file_system_poll_wait_seconds: int = 1
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    monitoring_config_file: str = ""
    enable_batching: bool = False
    batching_parameters_file: str = ""
    allow_version_labels_for_unavailable_models: bool = False
    enable_model_warmup: bool = True


def parse(arguments: list[str]) -> Flags:
    """`--name=value`; a bare `--name` is true. Raises FlagError."""
    found = Flags()
    known = {field.name for field in fields(Flags)}
    for argument in arguments:
        name, given, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in known:
            raise FlagError(f"unknown argument: {argument}")
        setattr(found, name, _value(getattr(found, name), value if given else "true"))
    if found.batching_parameters_file and not found.enable_batching:
        raise FlagError("You supplied --batching_parameters_file without --enable_batching")
    if not found.model_config_file and not found.model_base_path:
        raise FlagError("Both server_options.model_base_path and server_options.model_config_file are empty!")
    return found


def _value(default: object, text: str) -> object:
    try:
        return text in {"true", "1"} if isinstance(default, bool) else type(default)(text)  # type: ignore[call-arg]
    except ValueError as error:
        raise FlagError(str(error)) from None
