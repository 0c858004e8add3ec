"""The versions a process holds beside each other: loads what is asked for, forgets what is not.

The list is the whole truth each time. What serves goes on until all that is to follow it is loaded:
a load that fails or takes long changes nothing for clients.
"""

import asyncio
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from volary.bundle.manifest import Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.serving import loading, memory, model, protocol
from volary.serving.app import App
from volary.serving.joining import Batching
from volary.serving.metrics import Metrics
from volary.serving.model import Model
from volary.serving.protocol import Schema
from volary.serving.served import Served
from volary.serving.tuning import TUNING, Tuning, room

_REMEMBERED = 4  # unloaded revisions whose counters are kept: a last scrape sees their last requests
_NICE = 10  # of the loader: 9 to 1 where it and the event loop want one core
_LOOK = 0.02  # seconds between two looks at requests that hold on to a model

_Result = tuple[Schema, Model, Batching]

_log = logging.getLogger(__name__)


class State(StrEnum):
    """Of one version."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One version that is to be held."""

    revision: str
    version: str
    directory: Path
    weight: int  # percent of the requests that name no version


@dataclass(slots=True, eq=False)
class Slot:
    """What became of it."""

    wanted: Wanted
    state: State = State.LOADING
    error: Refused | None = None
    served: Served | None = None
    weight: int = 0  # in effect


class Shelf:
    """Belongs to the event loop's thread; one thread beside it loads, one model after the other."""

    def __init__(self, app: App, model_name: str, workers: Executor, threads: int, tuning: Tuning = TUNING) -> None:
        self._app = app
        self._model = model_name
        self._workers = workers
        self._threads = threads
        self._tuning = tuning
        self._wanted: dict[str, Slot] = {}  # by revision
        self._leaving: list[Slot] = []  # still have a share, until the next split is ready
        self._offered: list[tuple[Served, int]] = []
        self._remembered: deque[Served] = deque()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self.busy = False  # whether the loader is at work

    def start(self) -> None:
        """Begin to load what is put. A daemon: a stop must not wait for a model that nobody will use."""
        threading.Thread(target=self._work, name="load", daemon=True).start()

    def put(self, wanted: Sequence[Wanted]) -> None:
        """Hold these and no others. What is already there stays as it is, failed or not; only its weight may change."""
        before, held = dict(self._wanted), dict[str, Slot]()
        new: list[Slot] = []
        for each in wanted:
            slot = before.pop(each.revision, None)
            if slot is None or (slot.wanted.version, slot.wanted.directory) != (each.version, each.directory):
                if slot is not None:
                    before[each.revision] = slot
                new.append(slot := Slot(each))
            slot.wanted = each
            held[each.revision] = slot
        self._wanted = held  # at once, and before anything is begun: the loader's thread looks what is still wanted
        for slot in new:
            self._begin(slot)
        self._leaving += [slot for slot in before.values() if slot.served is not None]
        self._settle()

    def slots(self) -> list[Slot]:
        """All that are wanted, and those that still have a share."""
        return [*self._wanted.values(), *self._leaving]

    def _begin(self, slot: Slot) -> None:
        loop, wanted = asyncio.get_running_loop(), slot.wanted
        # Beside nothing there is nothing to protect: the first one may try, as it may in a process of its own.
        protected = bool(self._offered)

        def load() -> None:
            result = self._load(wanted, protected=protected) if self._is_wanted(slot) else None
            with suppress(RuntimeError):  # the loop is closed: a stop was asked for meanwhile
                loop.call_soon_threadsafe(self._loaded, slot, result)

        self._jobs.put(load)

    def _is_wanted(self, slot: Slot) -> bool:
        return self._wanted.get(slot.wanted.revision) is slot

    def _load(self, wanted: Wanted, *, protected: bool) -> _Result | Refused:
        """In the loader's thread."""
        try:
            manifest = _manifest(wanted)
            if protected:
                memory.check(manifest, memory.resident(), memory.limit())
            loaded, batching = loading.load(wanted.directory, manifest, self._threads, self._tuning)
        except Refused as error:
            return error
        except Exception as error:  # noqa: BLE001 -- such as MemoryError: what serves must not end for it
            _log.exception("a version cannot be loaded")
            return Refused(Reason.LOAD_FAILED, f"{type(error).__name__}: {error}")
        finally:
            memory.give_back()
        return protocol.schema(self._model, manifest), loaded, batching

    def _loaded(self, slot: Slot, result: _Result | Refused | None) -> None:
        if not self._is_wanted(slot) or result is None:
            self._jobs.put(memory.give_back)
            return
        if isinstance(result, Refused):
            slot.state, slot.error = State.FAILED, result
            _log.warning("revision %s: %s: %s", slot.wanted.revision, result.reason, result.message)
        else:
            schema, loaded, batching = result
            slot.state, slot.served = State.READY, self._serve(slot.wanted.revision, schema, loaded, batching)
            _log.info("loaded %s as revision %s", schema.version, slot.wanted.revision)
        self._settle()

    def _serve(self, revision: str, schema: Schema, loaded: Model, batching: Batching) -> Served:
        for old in [old for old in self._remembered if old.revision == revision]:
            self._remembered.remove(old)
        metrics = Metrics(self._app.metrics, self._model, schema.version, revision)
        served = Served(schema, revision, metrics, self._workers, room(self._tuning))
        served.became_ready(loaded, batching)
        return served

    def _settle(self) -> None:
        """Bring into effect what can be."""
        carrying = [slot for slot in self._wanted.values() if slot.wanted.weight > 0]
        if carrying and all(slot.served is not None for slot in carrying):
            for slot in self.slots():
                slot.weight = 0
            for slot in carrying:
                slot.weight = slot.wanted.weight
        going, self._leaving = [slot for slot in self._leaving if not slot.weight], [slot for slot in self._leaving if slot.weight]
        shares = [(slot.served, slot.weight) for slot in self.slots() if slot.served is not None]
        if shares != self._offered:  # the same again must not begin a new turn: the shares would not be exact
            self._offered = shares
            self._app.offer(shares)
            _log.info("shares: %s", ", ".join(f"{served.revision} {weight} %" for served, weight in shares))
        for slot in going:
            self._forget(slot)

    def _forget(self, slot: Slot) -> None:
        served = slot.served
        if served is not None:
            task = asyncio.get_running_loop().create_task(self._unload(served))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _unload(self, served: Served) -> None:
        """After its last request. The memory is given back in the loader's thread: it takes milliseconds."""
        while served.in_flight:  # noqa: ASYNC110 -- counting is cheaper than telling, and it is the busy path that counts
            await asyncio.sleep(_LOOK)
        held = [served.model]
        served.model = None

        def release() -> None:
            held.clear()
            memory.give_back()

        self._jobs.put(release)
        if not any(slot.served is not None and slot.wanted.revision == served.revision for slot in self.slots()):
            self._remember(served)
        _log.info("unloaded revision %s", served.revision)

    def _remember(self, served: Served) -> None:
        served.metrics.mark_loaded(loaded=False)
        self._remembered.append(served)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popleft().metrics.drop()

    def _work(self) -> None:
        if self._threads == 1:
            # Requests go first on a busy core. Not with more: ONNX Runtime's own threads would inherit it for good.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            job = self._jobs.get()
            self.busy = True
            job()
            self.busy = False


def _manifest(wanted: Wanted) -> Manifest:
    manifest = model.read_manifest(wanted.directory)
    if manifest.version != wanted.version:
        raise Refused(Reason.LOAD_FAILED, f"the bundle in {wanted.directory} is version {manifest.version}, not {wanted.version}")
    return manifest


def show(slots: Iterable[Slot]) -> list[Mapping[str, object]]:
    """As the control port tells it."""
    return [
        {
            "revision": slot.wanted.revision,
            "version": slot.wanted.version,
            "state": slot.state,
            "weight": slot.weight,
            "reason": slot.error.reason if slot.error else "",
            "message": slot.error.message if slot.error else "",
        }
        for slot in slots
    ]
