"""What the inspection of a model's graph found out. Nothing here is trusted further than it was checked."""

from dataclasses import dataclass

from volary.bundle.formats import Format


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator and how many nodes are of it, in bodies of branches, loops and functions too."""

    domain: str  # empty: the format's own
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class External:
    """A tensor whose bytes are in another file of the bundle."""

    tensor: str
    location: str
    offset: int
    length: int  # bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """A graph that is in order."""

    format: Format
    producer: str  # name and version of the tool, as far as the file tells
    version: int  # ONNX: of the intermediate representation; SavedModel: of its schema
    opsets: tuple[tuple[str, int], ...]  # ONNX only: domain, version
    operators: tuple[Operator, ...]  # by domain and name
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    external: tuple[External, ...] = ()  # ONNX only
    functions: int = 0  # defined by the model itself
