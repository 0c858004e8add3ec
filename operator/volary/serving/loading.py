"""From a bundle to a model that is ready: loaded, warm, and known to take joined requests or not."""

import logging
from collections.abc import Sequence
from pathlib import Path

from volary.bundle import golden
from volary.bundle.golden import Sample
from volary.bundle.manifest import Manifest
from volary.common.errors import Refused
from volary.serving import model, proof
from volary.serving.joining import OFF, Batching
from volary.serving.model import Model, RunFailed
from volary.serving.tuning import Tuning

_WARMED = 4  # samples; the second run of a shape is as quick as any later one

_log = logging.getLogger(__name__)


def load(bundle: Path, manifest: Manifest, threads: int, tuning: Tuning) -> tuple[Model, Batching]:
    """Takes as long as it takes: for a thread beside the event loop. Raises Refused (LoadFailed)."""
    loaded = model.load(bundle, manifest, threads, tuning)
    samples = _samples(bundle, manifest)
    _warm_up(loaded, manifest, samples)
    return loaded, _batching(loaded, manifest, samples, tuning.batching)


def _samples(bundle: Path, manifest: Manifest) -> Sequence[Sample]:
    """None where they cannot be had: it is the agent that judges by them."""
    file = manifest.golden_file
    if file is None:
        return ()
    try:
        return golden.parse((bundle / file.path).read_bytes(), manifest)
    except (OSError, Refused) as error:
        _log.warning("no warm-up with golden samples: %s", error)
        return ()


def _warm_up(loaded: Model, manifest: Manifest, samples: Sequence[Sample]) -> None:
    """A first run makes arenas, a first request is slow: better before there are clients."""
    for call in proof.calls(manifest, samples[:_WARMED]):
        try:
            for _ in range(2):
                loaded.run(call.inputs, call.outputs)
        except RunFailed as error:
            _log.warning("a golden sample fails: %s", error)


def _batching(loaded: Model, manifest: Manifest, samples: Sequence[Sample], wanted: Batching) -> Batching:
    if wanted.size == 1:
        return OFF
    reason = proof.obstacle(loaded, manifest, samples, wanted.size)
    if reason is not None:
        _log.warning("requests of %s %s are not joined: %s", manifest.name, manifest.version, reason)
        return OFF
    _log.info("up to %d rows of %s %s are joined", wanted.size, manifest.name, manifest.version)
    return wanted
