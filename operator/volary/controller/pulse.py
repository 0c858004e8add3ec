"""Is a watch alive? What it reported is compared with a list, because a dead one looks like a quiet one.

A version that a list shows and the watch has not reported within `GRACE` seconds proves that the
watch is deaf; so does an object the watch still believes in and no list shows. Pure: time is an argument.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from volary.adapters.cluster import Body, Kind

GRACE = 30.0  # seconds a watch may be behind a list

_Id = tuple[str, str]  # namespace, name of the object


@dataclass(slots=True)
class Pulse:
    """What one watch reported."""

    kind: Kind
    versions: dict[_Id, str] = field(default_factory=dict)  # of the objects it believes in
    heard_at: float = float("-inf")
    proved_at: float = float("-inf")  # when an event, or a list that agreed, last showed that it lives; a new watch proves nothing yet
    _suspects: dict[_Id, float] = field(default_factory=dict)  # differed from a list, and not heard of, since

    def hear(self, namespace: str, name: str, version: str, now: float, *, deleted: bool) -> None:
        """An event."""
        self.heard_at = self.proved_at = now
        self._suspects.pop((namespace, name), None)
        if deleted:
            self.versions.pop((namespace, name), None)
        else:
            self.versions[namespace, name] = version

    def compare(self, listed: Iterable[Body], now: float) -> list[_Id]:
        """What differs from a list, each of which is worth a look by itself."""
        there = {(body["metadata"]["namespace"], body["metadata"]["name"]): str(body["metadata"]["resourceVersion"]) for body in listed}
        different = [one for one in {*there, *self.versions} if there.get(one) != self.versions.get(one)]
        self._suspects = {one: self._suspects.get(one, now) for one in different}
        if not different:
            self.proved_at = now
        return sorted(different)

    @property
    def suspicious(self) -> bool:
        """Whether the last list showed what was not reported so far."""
        return bool(self._suspects)

    def deaf(self, now: float) -> list[_Id]:
        """Objects whose change the watch should have reported long ago."""
        return sorted(one for one, since in self._suspects.items() if now - since >= GRACE)

    def restart(self, now: float) -> None:
        """A new watch begins with a list of its own."""
        self.heard_at = now
        self.versions.clear()
        self._suspects.clear()
