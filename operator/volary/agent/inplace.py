"""The agent's life in a pod whose versions change while it runs.

    the file of revisions -> fetch what is new -> the server loads it beside -> golden samples -> shares -> what is gone is unloaded

What is in effect stays so until what is to follow is proved. Nothing that is wrong with a new
revision ends the process or makes the pod unready: `said` tells it, and the operator decides.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from volary.adapters.control import Control, Order, Standing
from volary.adapters.exchange import TooSlow, Unreachable
from volary.adapters.oip import Server
from volary.adapters.storage import Storage
from volary.agent import fetcher, golden, holding, probes, source, termination
from volary.agent.fetcher import Fetched
from volary.agent.holding import Holding, State, Weights
from volary.agent.notice import Notice
from volary.agent.retry import Patience, Stopped
from volary.agent.sidecar import in_thread, samples_in
from volary.agent.source import Wanted
from volary.agent.store import Store
from volary.bundle import limits, paths
from volary.bundle.manifest import digest
from volary.bundle.split import Share, Split
from volary.common import logs
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason

RUNTIME = "onnxruntime"  # the only one that can hold several versions as this needs it
_SILENCES = 3  # looks without an answer that are put up with: a busy server is not a dead one

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator tells the agent. Times in seconds."""

    revisions: Path  # the file
    directory: Path
    model: str
    host: str
    port: int
    golden_timeout: float = 30.0  # for one sample
    look: float = 0.1  # between two looks at the file
    poll: float = 0.02  # ... at a server that loads
    wait: float = 0.2  # ... at one that is starting
    watch: float = 1.0  # ... at one where all is as it should be
    termination_log: Path = termination.PATH


class InPlace:
    """One agent. `connect` is called in a thread, as it may be slow. One thread at a time works on the holdings."""

    def __init__(self, settings: Settings, connect: Callable[[str], Storage], control: Control, server: Server, patience: Patience) -> None:
        self.port = 0  # of the probes, once they are served
        self._settings = settings
        self._connect = connect
        self._control = control
        self._server = server
        self._stop = patience
        self._patience = replace(patience, stop=threading.Event())  # of one round: a newer file ends it, too
        self._notice = Notice(settings.revisions)
        self._changed = asyncio.Event()
        self._storages: dict[str, Storage] = {}
        self._holdings: dict[str, Holding] = {}
        self._taken = Split(0, ())  # that is worked at
        self._before: Weights = {}  # that were in effect last, all proved
        self._effect: Weights = {}  # that the server has now
        self._generation = 0  # that is in effect, all of it
        self._silences = 0
        self._known = False  # whether this process has seen what the server holds

    async def run(self) -> int:
        """Live until SIGTERM (0) or a fault of the process itself, such as a port in use."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with probes.serving(self._settings.host, self._settings.port, self._checks(), {}) as self.port:
            parts = [asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._live())]
            ending = asyncio.ensure_future(stop.wait())
            await asyncio.wait((*parts, ending), return_when=asyncio.FIRST_COMPLETED)
            self._stop.stop.set()
            self._patience.stop.set()
            failed = [part for part in parts if part.done()]
            for part in (*parts, ending):
                part.cancel()
            await asyncio.gather(*parts, ending, return_exceptions=True)
            _log.info("stopped")
        return termination.report(failed[0].exception(), self._settings.termination_log) if failed else 0

    @property
    def ready(self) -> bool:
        """Whether the pod serves shares that are proved."""
        return bool(self._effect)

    def said(self) -> dict[str, object]:
        """The answer of GET /revisions."""
        problem = self._notice.problem
        found: dict[str, object] = {
            "generation": self._generation,
            "seen": self._notice.split.generation if self._notice.split else 0,
            "revisions": [self._said_of(each) for each in list(self._holdings.values())],
        }
        return found if problem is None else found | {"reason": problem.reason, "message": problem.message}

    def _said_of(self, each: Holding) -> dict[str, object]:
        return {
            "revision": each.share.revision,
            "version": each.share.version,
            "digest": each.share.digest,
            "state": each.state,
            "weight": self._effect.get(each.share.revision, 0),
            "reason": each.error.reason if each.error else "",
            "message": each.error.message if each.error else "",
        }

    async def _watch(self) -> None:
        """Look at the file; a newer one ends the work at an older one."""
        while True:
            if self._notice.refresh():
                self._patience.stop.set()
                self._changed.set()
            await asyncio.sleep(self._settings.look)

    async def _live(self) -> None:
        while True:
            self._changed.clear()
            pause = await in_thread(self._round)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    def _round(self) -> float:
        """Do what there is to do; seconds until the next look."""
        self._stop.check()
        self._patience.stop.clear()
        split = self._notice.split
        if split is None:
            return self._settings.look
        try:
            self._look()
            self._take(split)
            settled = self._bring_all()
        except (Unreachable, TooSlow):
            return self._settings.wait
        except Stopped:
            self._stop.check()
            return 0.0
        except Transient as error:
            _log.warning("trouble", extra=logs.fields(reason=error.reason, cause=error.message))
            return self._settings.watch
        except Exception:  # noqa: BLE001 -- whatever it is, what serves goes on
            _log.exception("a fault in Volary")  # ending for it would change nothing for the better
            return self._settings.watch
        return self._settings.watch if settled else self._settings.wait

    # ---- the server

    def _look(self) -> None:
        """See what the server has; without what it had it is another process, and all is to be done again."""
        try:
            standings = {each.revision: each for each in self._control.get()}
        except TooSlow:
            self._silences += 1
            if self._silences >= _SILENCES:
                self._lose()
            return
        except Unreachable:
            self._lose()
            return
        self._silences = 0
        if not self._known:
            self._known = True
            self._adopt(standings)
        for each in self._holdings.values():
            there = standings.get(each.share.revision)
            if each.state is State.READY and (there is None or there.state != State.READY):
                self._lose()
                return

    def _lose(self) -> None:
        """The server is gone: nothing is loaded, nothing is proved, no share is in effect."""
        self._effect, self._generation = {}, 0
        for each in self._holdings.values():
            if each.state in (State.PROVING, State.READY):
                each.state = State.LOADING

    def _adopt(self, standings: dict[str, Standing]) -> None:
        """What an earlier life of this agent put into effect goes on while the new list is worked at."""
        for each in standings.values():
            bundle = self._on_disk(each.version) if each.weight else None
            if bundle is not None:
                share = Share(each.revision, each.version, digest(bundle.found.data), "", each.weight)
                self._holdings[each.revision] = Holding(share, State.LOADING, bundle=bundle, samples=samples_in(bundle))
        self._before = {each.revision: each.weight for each in standings.values() if each.weight}

    def _on_disk(self, version: str) -> Fetched | None:
        path = self._settings.directory / self._settings.model / version
        try:
            data = (path / paths.MANIFEST).read_bytes()
            return Fetched(source.check(data[: limits.MANIFEST_BYTES], Wanted(version, runtime=RUNTIME)), path, 0)
        except (OSError, Refused):
            return None

    def _order(self) -> list[Standing]:
        """Tell the server what to hold and to weigh now."""
        wanted = holding.weights(self._taken)
        weights = holding.in_effect(wanted, self._before, self._holdings)
        listed = {share.revision for share in self._taken.shares} | (weights or self._before).keys()
        orders = [
            Order(revision, each.share.version, str(each.bundle.path), weights.get(revision, 0))
            for revision, each in self._holdings.items()
            if revision in listed and each.bundle is not None and each.state is not State.FAILED
        ]
        standings = self._control.put(orders)
        found = {each.revision: each.weight for each in standings if each.weight}
        if weights and found == weights:
            if weights != self._effect:
                _log.info("in effect", extra=logs.fields(generation=self._taken.generation, weights=dict(weights)))
            self._effect = self._before = weights
            if weights == wanted:
                self._drop_unlisted()
        return standings

    def _drop_unlisted(self) -> None:
        listed = {share.revision for share in self._taken.shares}
        self._holdings = {revision: each for revision, each in self._holdings.items() if revision in listed}

    # ---- the revisions

    def _take(self, split: Split) -> None:
        """Work at this split from now on. What failed is tried again with every new one."""
        if split == self._taken:
            return
        before, holdings = self._holdings, dict[str, Holding]()
        for share in split.shares:
            old = before.get(share.revision)
            if old is not None and old.state is not State.FAILED and (old.is_of(share) or _is_adopted(old, share)):
                old.share = share
                holdings[share.revision] = old
            else:
                holdings[share.revision] = Holding(share)
        for revision, old in before.items():
            if revision in self._before:
                holdings.setdefault(revision, old)
        self._taken, self._holdings = split, holdings

    def _bring_all(self) -> bool:
        """Whether there is nothing left to do."""
        self._order_if_up()
        for each in sorted(self._holdings.values(), key=lambda each: (each.share.revision not in self._before, -each.share.weight)):
            if each.state not in (State.READY, State.FAILED):
                self._bring(each)
                self._order_if_up()
        states = {self._holdings[share.revision].state for share in self._taken.shares}
        if states == {State.READY} and self._effect == holding.weights(self._taken):
            if self._generation != self._taken.generation:
                self._tidy()
                self._generation = self._taken.generation
            return True
        return states <= {State.READY, State.FAILED}

    def _order_if_up(self) -> None:
        with suppress(Unreachable, TooSlow):  # then there is still something to fetch
            self._order()

    def _bring(self, each: Holding) -> None:
        """As far as it goes."""
        try:
            if each.bundle is None:
                self._enter(each, State.FETCHING)
                each.bundle = self._fetch(each.share)
                each.samples = samples_in(each.bundle)
            self._enter(each, State.LOADING)
            self._until_loaded(each)
            self._enter(each, State.PROVING)
            self._prove(each, each.bundle)
            self._enter(each, State.READY)
        except Unreachable:
            self._lose()
            raise
        except Transient as error:
            each.error = error
            _log.warning("will be tried again", extra=logs.fields(revision=each.share.revision, reason=error.reason, cause=error.message))
        except Refused as error:
            each.state, each.error = State.FAILED, error
            _log.warning("failed", extra=logs.fields(revision=each.share.revision, reason=error.reason, cause=error.message))

    def _fetch(self, share: Share) -> Fetched:
        storage = self._storages.get(share.uri)
        if storage is None:
            storage = self._storages[share.uri] = self._connect(share.uri)
        wanted = Wanted(share.version, share.digest, RUNTIME)
        found = fetcher.fetch(storage, wanted, self._settings.directory, self._settings.model, patience=self._patience)
        _log.info("fetched", extra=logs.fields(revision=share.revision, downloaded=found.downloaded, reused=found.reused))
        return found

    def _until_loaded(self, each: Holding) -> None:
        """Raises Refused with the server's own words, or Unreachable."""
        standings = self._order()
        while True:
            there = next((found for found in standings if found.revision == each.share.revision), None)
            if there is None:
                raise Unreachable("the server has forgotten what it was told")
            if there.state == "ready":
                return
            if there.state == "failed":
                raise Refused(_reason(there.reason), there.message)
            self._patience.check()
            self._patience.stop.wait(self._settings.poll)
            standings = self._control.get()

    def _prove(self, each: Holding, bundle: Fetched) -> None:
        tolerance = bundle.manifest.golden
        if tolerance is not None:
            timeout = self._settings.golden_timeout
            golden.replay(
                self._server, self._settings.model, each.share.version, each.samples, tolerance, timeout=timeout, patience=self._patience
            )

    def _tidy(self) -> None:
        """Remove from the disk what is in no list any more."""
        keep = {each.share.version for each in self._holdings.values()}
        try:
            Store(self._settings.directory).sweep(self._settings.model, keep, self._patience)
        except OSError as error:
            _log.warning("cannot tidy the disk", extra=logs.fields(cause=str(error)))

    def _enter(self, each: Holding, state: State) -> None:
        each.state, each.error = state, None
        _log.info(state.value, extra=logs.fields(revision=each.share.revision, version=each.share.version))

    def _checks(self) -> probes.Checks:
        return {
            "/startup": lambda: (True, self.said()),
            "/ready": lambda: (self.ready, self.said()),
            "/live": lambda: (True, self.said()),
            "/revisions": lambda: (True, self.said()),
        }


def _is_adopted(old: Holding, share: Share) -> bool:
    """Found in the server by this life of the agent, which knows no place of it but its digest."""
    return not old.share.uri and (old.share.version, old.share.digest) == (share.version, share.digest)


def _reason(word: str) -> Reason:
    try:
        return Reason(word)
    except ValueError:
        return Reason.LOAD_FAILED
