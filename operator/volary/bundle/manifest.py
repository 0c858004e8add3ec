"""The manifest: what a bundle holds, byte for byte. Its digest is the bundle's.

`parse` takes bytes from a stranger and returns a value that is safe to act on, or raises. It runs
every rule that needs no file: schema, names, formats, limits.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from volary.bundle import formats, limits, paths
from volary.bundle.formats import Format, Role
from volary.bundle.metadata import Facts, Labels, License, Metrics, Requirements
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

SCHEMA_VERSION = 1
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
VERSION_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_INTEGER_DIGITS = 19  # more than any number we accept has
_ERRORS_SHOWN = 3


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


def _is_empty(value: object) -> bool:
    """Fields added after the first release are left out when they say nothing: the digests of older bundles stay."""
    return not value


class File(_Strict):
    """One file: its path below the bundle's directory, and the only bytes it may have."""

    path: str
    role: Role
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=2**53)]


class Tensor(_Strict):
    """One input or output of the model. -1 in the shape is a free dimension."""

    name: Annotated[str, Field(min_length=1, max_length=limits.TENSOR_NAME)]
    datatype: Datatype
    shape: Annotated[
        tuple[Annotated[int, Field(ge=-1, le=limits.DIMENSION)], ...],
        Field(max_length=limits.DIMENSIONS),
    ]


class Rule(_Strict):
    """How one output is compared, where it differs from the others.

    With `argmax` the index of the largest element along the last axis must be the recorded one, too,
    unless the two largest of the recorded ones are within the tolerance of each other: then it may be either.
    """

    absolute: Annotated[float, Field(ge=0)] | None = None  # None: as for all
    relative: Annotated[float, Field(ge=0)] | None = None
    argmax: bool = Field(default=False, exclude_if=_is_empty)


_NO_RULE = Rule()


class Golden(_Strict):
    """Where the golden samples are, and how far an answer may be from the recorded one.

    An answer passes when |got - expected| <= absolute + relative * |expected|.
    """

    path: str
    absolute: Annotated[float, Field(ge=0)]
    relative: Annotated[float, Field(ge=0)]
    outputs: Annotated[dict[str, Rule], Field(max_length=limits.TENSORS)] = Field(default_factory=dict, exclude_if=_is_empty)

    def of(self, output: str) -> "Tolerance":
        """What holds for one output."""
        rule = self.outputs.get(output, _NO_RULE)
        return Tolerance(
            absolute=self.absolute if rule.absolute is None else rule.absolute,
            relative=self.relative if rule.relative is None else rule.relative,
            argmax=rule.argmax,
        )


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What holds for the elements of one output."""

    absolute: float
    relative: float
    argmax: bool

    def allowed(self, expected: float) -> float:
        """How far an element may be from the recorded one."""
        return self.absolute + self.relative * abs(expected)


class Metadata(_Strict):
    """What is said of the model beside what it is."""

    labels: Labels = Field(default_factory=dict, exclude_if=_is_empty)
    license: License | None = None
    metrics: Metrics = Field(default_factory=dict, exclude_if=_is_empty)  # scores of the packed model
    training: Facts = Field(default_factory=dict, exclude_if=_is_empty)  # data set, commit, run
    requirements: Requirements | None = None


class Manifest(Metadata):
    """A whole bundle."""

    schema_version: int = SCHEMA_VERSION
    name: Annotated[str, Field(max_length=63, pattern=NAME_PATTERN)]
    version: Annotated[str, Field(max_length=64, pattern=VERSION_PATTERN)]
    format: Format
    files: tuple[File, ...]
    inputs: Annotated[tuple[Tensor, ...], Field(max_length=limits.TENSORS)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=limits.TENSORS)]
    golden: Golden | None = None
    build: Facts = Field(default_factory=dict)  # how it was packed

    @model_validator(mode="after")
    def _tensor_names_are_unique(self) -> Self:
        for tensors in (self.inputs, self.outputs):
            if len({tensor.name for tensor in tensors}) < len(tensors):
                raise ValueError("two inputs, or two outputs, have the same name")
        return self

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def model_file(self) -> File:
        """The file of the graph."""
        return next(file for file in self.files if file.role is Role.MODEL)

    @property
    def golden_file(self) -> File | None:
        """The file of the golden samples."""
        return next((file for file in self.files if file.role is Role.GOLDEN), None)


def parse(data: bytes) -> Manifest:
    """Bytes from the storage -> a manifest whose names, formats and sizes are in order.

    Raises Refused with ManifestInvalid, NameInvalid, NameConflict, LimitExceeded or FormatUnsupported.
    """
    if len(data) > limits.MANIFEST_BYTES:
        raise Refused(Reason.LIMIT_EXCEEDED, f"the manifest is larger than {limits.show(limits.MANIFEST_BYTES)}")
    found = _load(data)
    if not isinstance(found, dict):
        _invalid("it is not a JSON object")
    version = found.get("schemaVersion")
    if version != SCHEMA_VERSION or type(version) is not int:
        _invalid(f"its schemaVersion is {_short(version)}, this Volary reads {SCHEMA_VERSION}")
    try:
        # From JSON again, not from `found`: only then a list is a tuple and a word an enum in strict mode.
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        _refuse(error)
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """The rules between the fields. `pack` runs them too, so that nothing is packed that will be refused."""
    if len(manifest.files) > limits.FILES:
        raise Refused(Reason.LIMIT_EXCEEDED, f"the bundle has {len(manifest.files)} files; the limit is {limits.FILES}")
    paths.check_all(file.path for file in manifest.files)
    if manifest.size > limits.TOTAL_BYTES:
        raise Refused(
            Reason.LIMIT_EXCEEDED, f"the files have {limits.show(manifest.size)} together; the limit is {limits.show(limits.TOTAL_BYTES)}"
        )
    for file in manifest.files:
        formats.check_file(manifest.format, file.role, file.path)
    if sum(file.role is Role.MODEL for file in manifest.files) != 1:
        _invalid("exactly one file must have the role model")
    _check_blobs(manifest)
    _check_golden(manifest)
    _check_config(manifest)


def dump(manifest: Manifest) -> bytes:
    """Canonical JSON: the same manifest is the same bytes, so the same digest, on every machine."""
    fields = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(data: bytes) -> str:
    """`sha256:<hex>` of the exact bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _check_blobs(manifest: Manifest) -> None:
    sizes: dict[str, int] = {}
    for file in manifest.files:
        if sizes.setdefault(file.sha256, file.size) != file.size:
            _invalid(f"{paths.show(file.path)} has the sha256 of another file but not its size")


def _check_golden(manifest: Manifest) -> None:
    files = [file for file in manifest.files if file.role is Role.GOLDEN]
    named = [] if manifest.golden is None else [manifest.golden.path]
    if [file.path for file in files] != named:
        _invalid("golden.path must name the one file with the role golden, and be absent without one")
    if files and files[0].size > limits.GOLDEN_BYTES:
        raise Refused(
            Reason.LIMIT_EXCEEDED,
            f"{paths.show(files[0].path)} has {limits.show(files[0].size)}; golden samples may have {limits.show(limits.GOLDEN_BYTES)}",
        )
    if manifest.golden is not None:
        _check_rules(manifest.golden, {tensor.name: tensor for tensor in manifest.outputs})


def _check_rules(golden: Golden, outputs: dict[str, Tensor]) -> None:
    for name, rule in golden.outputs.items():
        tensor = outputs.get(name)
        if tensor is None:
            _invalid(f"golden.outputs has a rule for {_short(name)}, the model has the outputs {_short(sorted(outputs))}")
        if rule.argmax and not (tensor.datatype.is_float and tensor.shape):
            _invalid(f"golden.outputs: argmax is for floats with an axis, {_short(name)} is {tensor.datatype} {list(tensor.shape)}")


def _check_config(manifest: Manifest) -> None:
    for file in manifest.files:
        if file.role is Role.CONFIG and file.size > limits.CONFIG_BYTES:
            raise Refused(
                Reason.LIMIT_EXCEEDED,
                f"{paths.show(file.path)} has {limits.show(file.size)}; a config file may have {limits.show(limits.CONFIG_BYTES)}",
            )


def _load(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_small_int)
    except RecursionError:
        _invalid("it is nested too deeply")
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError and our own
        _invalid(str(error))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {_short(twice)} occurs twice in one object")
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _small_int(digits: str) -> int:
    if len(digits) > _INTEGER_DIGITS:
        raise ValueError(f"the number {digits[:_INTEGER_DIGITS]}... is too large")
    return int(digits)


def _refuse(error: ValidationError) -> NoReturn:
    found = error.errors(include_url=False, include_context=False)
    for item in found:
        if item["loc"] == ("format",) and isinstance(item["input"], str):
            known = ", ".join(Format)
            raise Refused(Reason.FORMAT_UNSUPPORTED, f"the format {_short(item['input'])} is not known; known are {known}") from None
    lines = [f"{'.'.join(str(part) for part in item['loc']) or 'manifest'}: {item['msg']}" for item in found[:_ERRORS_SHOWN]]
    more = f" (and {len(found) - _ERRORS_SHOWN} more)" if len(found) > _ERRORS_SHOWN else ""
    _invalid("; ".join(_short(line, quote=False) for line in lines) + more)


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.MANIFEST_INVALID, f"the manifest is not valid: {message}") from None


def _short(value: object, *, quote: bool = True) -> str:
    """What was found, as harmless ASCII of bounded length."""
    text = ascii(value) if quote else ascii(value)[1:-1]
    return text if len(text) <= limits.PATH_PART * 2 else f"{text[: limits.PATH_PART * 2]}..."
