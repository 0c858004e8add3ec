"""Assemble a bundle: the model, its golden samples, the manifest. The same input gives the same digest.

numpy, onnx and onnxruntime are imported when they are needed: `push` and `inspect` need none of them.
"""

import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from volary import __version__
from volary.bundle import golden as golden_file
from volary.bundle import layout, manifest, paths
from volary.bundle.formats import Role
from volary.bundle.manifest import File, Golden, Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle
from volary.packaging.bundle import Bundle
from volary.packaging.convert import Servable, Source, find, lay_out, prepare

if TYPE_CHECKING:
    from volary.packaging.samples import Given

GOLDEN = "golden.json"
ABSOLUTE = 1e-4
RELATIVE = 1e-3


def pack(
    model: Path | Source,
    *,
    name: str,
    version: str,
    output: Path,
    samples: "Given | None" = None,
    absolute: float = ABSOLUTE,
    relative: float = RELATIVE,
) -> Bundle:
    """Make the directory `output`, which must not exist or be empty. Raises Refused.

    A model of a framework is converted first, see `volary.packaging.convert`; the manifest's `build` tells how.
    `samples` holds inputs only: the answers are recorded here, with the runtime that serves the format. How the array is
    read is told in `volary.packaging.samples`. Without samples a pod is ready as soon as the model loads.
    """
    _check_words(name, version)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Refused(Reason.NAME_CONFLICT, f"{output} exists and is not an empty directory; choose another --output or remove it")
    source = find(model) if isinstance(model, Path) else model
    output.parent.mkdir(parents=True, exist_ok=True)
    work = output.parent / f".{output.name}.{secrets.token_hex(4)}"
    converting = work.with_name(f"{work.name}.convert")
    work.mkdir()
    converting.mkdir()
    try:
        servable = prepare(source, converting, samples)
        tolerance = None if samples is None else Golden(path=GOLDEN, absolute=absolute, relative=relative)
        found = _assemble(work, servable, tolerance, samples, name=name, version=version)
        if output.exists():
            output.rmdir()
        work.rename(output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(converting, ignore_errors=True)
    return Bundle(output, found.manifest, found.data)


def _assemble(work: Path, servable: Servable, tolerance: Golden | None, given: "Given | None", *, name: str, version: str) -> Bundle:
    graph, roles = lay_out(servable, work)
    if tolerance is not None and given is not None:
        from volary.packaging import golden, samples
        from volary.packaging.convert import graphs

        session = graphs.load(graph, servable.format)
        recorded = golden.record(session, samples.read(given, servable.inputs), (servable.inputs, servable.outputs), tolerance)
        (work / GOLDEN).write_bytes(golden_file.dump(recorded))
        roles[GOLDEN] = Role.GOLDEN
    content = Manifest(
        name=name,
        version=version,
        format=servable.format,
        files=tuple(_file(work, path, roles[path]) for path in sorted(roles)),
        inputs=servable.inputs,
        outputs=servable.outputs,
        golden=tolerance,
        build=_build(servable, recorded=tolerance is not None),
    )
    data_ = manifest.dump(content)
    (work / paths.MANIFEST).write_bytes(data_)
    found = Bundle(work, manifest.parse(data_), data_)  # what we would refuse to fetch is not packed either
    bundle.verify(found)
    if content.golden_file is not None:
        golden_file.parse((work / GOLDEN).read_bytes(), content)
    return found


def _file(directory: Path, path: str, role: Role) -> File:
    return File(path=path, role=role, sha256=bundle.sha256(directory / path), size=(directory / path).stat().st_size)


def _build(servable: Servable, *, recorded: bool) -> dict[str, str]:
    """How it was made; no time and no place, so that packing twice gives the same digest."""
    facts = {"volary": __version__, **servable.facts}
    if recorded:
        from volary.packaging.convert import graphs

        facts |= graphs.engine(servable.format)
    return {key: value[:200] for key, value in facts.items() if value}


def _check_words(name: str, version: str) -> None:
    if len(name) > 63 or not re.fullmatch(manifest.NAME_PATTERN, name) or name.endswith("\n"):
        raise Refused(Reason.NAME_INVALID, f"{name!r} cannot be the name of a model; use lower-case letters, digits and '-'")
    layout.version_key(version)
