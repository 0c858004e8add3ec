"""Who is stable, who is the candidate: read off the marks of the revisions, never off the status."""

from dataclasses import dataclass

from volary.planning.model import Observed, Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The revisions that matter now."""

    wanted: Revision | None  # what the spec asks for, once the preflight has resolved it
    stable: Revision | None  # the last good one
    candidate: Revision | None  # wanted, where it still has to prove itself


def assign(observed: Observed, request: str) -> Roles:
    """Stable: promoted last and not failed. Candidate: wanted, not failed, not stable."""
    asked = [r for r in observed.revisions if r.request == request]
    wanted = max(asked, key=lambda r: r.ordinal) if asked else None
    good = [r for r in observed.revisions if r.promoted > 0 and r.failed is None]
    stable = max(good, key=lambda r: r.promoted) if good else None
    is_candidate = wanted is not None and wanted.failed is None and (stable is None or stable.id != wanted.id)
    return Roles(wanted=wanted, stable=stable, candidate=wanted if is_candidate else None)
