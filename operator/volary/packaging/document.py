"""A YAML file that people write by hand: plain values, nothing said twice."""

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml
from typing_extensions import override

from volary.bundle import limits
from volary.common.errors import Refused
from volary.common.reasons import Reason

_BYTES = limits.MIB


class _Loader(yaml.SafeLoader):
    """Plain values only; a key that occurs twice is a mistake, and 1e-4 is a number."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the field {key.value!r} occurs twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML reads, wants 1.0e-4; people, JSON and YAML 1.2 write 1e-4.
_EXPONENT = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def load(path: Path) -> object:
    """The only document in the file. Raises Refused (FileNotFound, SpecInvalid)."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_BYTES + 1)
    except OSError as error:
        raise Refused(Reason.FILE_NOT_FOUND, f"{path}: {error.strerror}") from None
    if len(data) > _BYTES:
        _invalid(f"{path} is larger than {limits.show(_BYTES)}")
    try:
        return _Loader(data).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark is not None else ""
        _invalid(f"{path}{place}: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _invalid(f"{path} is not YAML: {str(error).splitlines()[0]:.200}")


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.SPEC_INVALID, message) from None
