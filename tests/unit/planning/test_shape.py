"""Which pods carry a revision."""

from dataclasses import replace

import pytest

from tests.unit.planning import builders
from volary.api.v1alpha1 import Model, Resources, Runtime, RuntimeName, Update, Verify
from volary.planning import identity, shape
from volary.planning.model import Images, Observed, Revision
from volary.planning.roles import Roles

ONE = builders.revision(update=Update.IN_PLACE)
ONNX = Runtime(name=RuntimeName.ONNXRUNTIME)


def test_without_in_place_a_revision_carries_itself() -> None:
    revision = builders.revision()
    assert shape.carrier(revision) == revision.id
    assert shape.as_carried(revision) is revision


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, id="other", version="2.0.0", model=builders.model(version="2.0.0"), digest="sha256:" + "0" * 64),
        replace(ONE, model=builders.model(digest=builders.DIGEST)),
        replace(ONE, model=builders.model(verify=Verify(public_key_secret_name="signer"))),
        replace(ONE, request="another", ordinal=9, promoted=4),
    ],
)
def test_a_version_does_not_shape_a_pod(other: Revision) -> None:
    assert shape.carrier(other) == shape.carrier(ONE)
    assert shape.beside(other, ONE)
    assert shape.place(other, ONE) == "in the pods of version 1.4.0"


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (replace(ONE, update=Update.REPLACE), "spec.update"),
        (replace(ONE, model=builders.model(uri="s3://models/other")), "spec.model.uri"),
        (replace(ONE, model=builders.model(storage=builders.STORAGE.model_copy(update={"region": "eu-west-1"}))), "spec.model.storage"),
        (replace(ONE, model_name="renamed"), "the model's name"),
        (replace(ONE, runtime=ONNX.model_copy(update={"image": "mine:1"})), "spec.runtime"),
        (replace(ONE, runtime=ONNX.model_copy(update={"resources": Resources(limits={"memory": "2Gi"})})), "spec.runtime"),
        (replace(ONE, images=Images(agent="agent:2", server="server:2")), "the operator's images"),
    ],
)
def test_whatever_shapes_a_pod_needs_pods_of_its_own_and_is_named(other: Revision, word: str) -> None:
    assert shape.carrier(other) != shape.carrier(ONE)
    assert not shape.beside(other, ONE)
    assert shape.place(other, ONE) == f"beside version 1.4.0, in pods of its own: {word} changed"


def test_nothing_is_said_of_shapes_where_every_revision_has_its_own_pods() -> None:
    assert shape.place(builders.revision(id="b"), builders.revision()) == "beside version 1.4.0"


def test_of_the_revisions_of_a_shape_a_good_one_stands_for_all() -> None:
    bad, good, newer = builders.failed(replace(ONE, id="bad", promoted=9)), replace(ONE, id="good", promoted=1), replace(ONE, id="newer")
    (stands,) = shape.carried(Observed(revisions=(bad, good, newer))).revisions
    assert stands == replace(good, id=shape.carrier(ONE))


def test_a_candidate_in_the_pods_of_stable_needs_no_deployment() -> None:
    candidate = replace(ONE, id="new", version="2.0.0")
    assert shape.carried_roles(Roles(wanted=candidate, stable=ONE, candidate=candidate)).candidate is None
    elsewhere = replace(candidate, runtime=ONNX)
    found = shape.carried_roles(Roles(wanted=elsewhere, stable=ONE, candidate=elsewhere)).candidate
    assert found is not None
    assert found.id == shape.carrier(elsewhere)


def test_the_default_renames_no_revision() -> None:
    parts = (builders.DIGEST, Model(uri="s3://models/fraud", version="1"), "fraud", ONNX)
    assert identity.revision_id(*parts, Update.REPLACE) == identity.revision_id(*parts)
    assert identity.revision_id(*parts, Update.IN_PLACE) != identity.revision_id(*parts)
    assert identity.request_id(*parts[1:], Update.REPLACE) == identity.request_id(*parts[1:])
    assert identity.request_id(*parts[1:], Update.IN_PLACE) != identity.request_id(*parts[1:])
