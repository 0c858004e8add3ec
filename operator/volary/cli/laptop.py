"""A model served on a person's machine: what it is, and what to type to ask it."""

import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

from volary.bundle import golden
from volary.bundle import manifest as manifests
from volary.bundle.formats import Role
from volary.bundle.manifest import Manifest, Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

_MANIFEST = "manifest.json"
_LONGEST = 600  # characters of a body that a person still pastes


def log_in_words() -> None:
    """One plain line for each thing that happens."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def manifest(bundle: Path) -> Manifest:
    """Of a bundle in a directory. Raises Refused, with what to do where it is none."""
    try:
        return manifests.parse((bundle / _MANIFEST).read_bytes())
    except OSError as error:
        why = f"there is no directory {bundle}" if not bundle.is_dir() else f"{bundle} has no {_MANIFEST} ({error.strerror})"
        raise Refused(Reason.FILE_NOT_FOUND, f"{why}; make a bundle of a model with: volary pack MODEL -o {bundle}") from error


def samples(bundle: Path) -> tuple[golden.Sample, ...]:
    """The golden samples of a bundle, none where it has none. Raises Refused."""
    about = manifest(bundle)
    found = next((file for file in about.files if file.role is Role.GOLDEN), None)
    if found is None:
        return ()
    try:
        return golden.parse((bundle / found.path).read_bytes(), about)
    except OSError as error:
        raise Refused(Reason.FILE_NOT_FOUND, f"cannot read {found.path} in {bundle}: {error.strerror}") from error


def tell(bundle: Path, model: str, http: tuple[str, int], grpc: tuple[str, int] | None) -> None:
    """On stderr, ready to paste."""
    about = manifest(bundle)
    url = f"http://{_shown(http)}"
    lines = [f"Serving {model} {about.version} at {url}{f', gRPC at {_shown(grpc)}' if grpc else ''}. Ctrl-C ends it. To ask it:", ""]
    body = json.dumps(_body(bundle, about), separators=(",", ":"))
    if len(body) <= _LONGEST:
        lines.append(f"  curl {url}/v2/models/{model}/infer -d {shlex.quote(body)}")
    if any(file.role is Role.GOLDEN for file in about.files):
        lines.append(f"  volary predict {url} --samples {shlex.quote(str(bundle))}")
        if grpc:
            lines.append(f"  volary predict {_shown(grpc)} --grpc --samples {shlex.quote(str(bundle))}")
    else:
        lines.append(f"  volary predict {url} -d @input.json")
    sys.stderr.write("\n".join([*lines, "", ""]))
    sys.stderr.flush()


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _body(bundle: Path, about: Manifest) -> dict[str, Any]:
    """The first golden sample, or a request of zeros."""
    recorded = samples(bundle)
    if recorded:
        return {"inputs": [each.model_dump(mode="json") for each in recorded[0].inputs]}
    return {"inputs": [_zeros(tensor) for tensor in about.inputs]}


def _zeros(tensor: Tensor) -> dict[str, Any]:
    shape = [1 if size < 0 else size for size in tensor.shape]
    count = 1
    for size in shape:
        count *= size
    zero: object = "" if tensor.datatype is Datatype.BYTES else False if tensor.datatype is Datatype.BOOL else 0
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": [zero] * min(count, _LONGEST)}
