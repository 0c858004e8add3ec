"""Which pods carry a revision: its own, or those of its shape.

With `update: Replace` each revision has a Deployment. With `update: InPlace` all revisions whose
pods would look alike share one, so that a change of the version alone changes no pod template.
"""

from dataclasses import replace

from volary.api.v1alpha1 import Update
from volary.planning import identity
from volary.planning.model import Observed, Revision
from volary.planning.roles import Roles


def carrier(revision: Revision) -> str:
    """What the Deployment of a revision is named after: the revision, or its shape."""
    if revision.update is Update.REPLACE:
        return revision.id
    images = (revision.images.agent, revision.images.server)
    return identity.shape_id(revision.model, revision.model_name, revision.runtime, images)


def beside(candidate: Revision, stable: Revision | None) -> bool:
    """Whether the candidate comes to the pods that stable runs in."""
    return stable is not None and candidate.update is Update.IN_PLACE and carrier(candidate) == carrier(stable)


def place(candidate: Revision, stable: Revision) -> str:
    """`beside version 1.0.0`, with where and why."""
    if beside(candidate, stable):
        return f"in the pods of version {stable.version}"
    if Update.IN_PLACE not in {candidate.update, stable.update}:
        return f"beside version {stable.version}"
    return f"beside version {stable.version}, in pods of its own: {_difference(candidate, stable)} changed"


def _difference(one: Revision, other: Revision) -> str:
    """The fields that keep two revisions out of the same pods."""
    pairs = {
        "spec.update": (one.update, other.update),
        "spec.model.uri": (one.model.uri, other.model.uri),
        "spec.model.storage": (one.model.storage, other.model.storage),
        "the model's name": ((one.model.name, one.model_name), (other.model.name, other.model_name)),
        "spec.runtime": (one.runtime, other.runtime),
        "the operator's images": (one.images, other.images),
    }
    return ", ".join(name for name, (here, there) in pairs.items() if here != there)


def as_carried(revision: Revision) -> Revision:
    """The revision under the name of its Deployment: all revisions of a shape give the same pods."""
    return revision if revision.update is Update.REPLACE else replace(revision, id=carrier(revision))


def carried(observed: Observed) -> Observed:
    """The world of Deployments: of the revisions that share one, the best stands for all."""
    best: dict[str, Revision] = {}
    for revision in sorted(observed.revisions, key=lambda r: (r.failed is None, r.promoted)):
        best[carrier(revision)] = as_carried(revision)
    return replace(observed, revisions=tuple(best.values()))


def carried_roles(roles: Roles) -> Roles:
    """Roles of Deployments. A candidate in stable's pods needs none."""
    wanted, stable, candidate = (None if r is None else as_carried(r) for r in (roles.wanted, roles.stable, roles.candidate))
    alone = candidate if candidate is None or stable is None or candidate.id != stable.id else None
    return Roles(wanted=wanted, stable=stable, candidate=alone)
