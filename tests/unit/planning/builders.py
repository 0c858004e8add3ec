"""Small complete values of planning's nouns; a test names only what it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from tests.support.specs import specs
from volary.api.v1alpha1 import Model, ModelDeploymentSpec, Resources, Runtime, RuntimeName, Storage
from volary.common.reasons import Reason
from volary.planning.model import Desired, Failure, Images, Revision

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGES = Images(agent="registry.example/volary-agent:0.1.0", server="registry.example/volary-server:0.1.0")
STORAGE = Storage(secret_name="models-s3", endpoint="https://minio.storage:9000")


def model(**fields: Any) -> Model:
    return Model(**{"uri": "s3://models/fraud", "version": "1.4.0", "storage": STORAGE} | fields)


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec(**{"model": model(), "runtime": Runtime(name=RuntimeName.ONNXRUNTIME)} | fields)


def desired(**fields: Any) -> Desired:
    given: dict[str, Any] = {
        "namespace": "shop",
        "name": "fraud",
        "uid": "0b8e9f3a-7f1c-4f57-9a39-6f0f6b0f8a11",
        "generation": 1,
        "model_name": "fraud",
        "spec": spec(),
        "images": IMAGES,
    }
    return Desired(**given | fields)


def revision(**fields: Any) -> Revision:
    given: dict[str, Any] = {
        "id": "1a2b3c4d5e",
        "request": "aaaaaaaaaa",
        "ordinal": 3,
        "digest": DIGEST,
        "version": "1.4.0",
        "format": "onnx",
        "size": 10_485_760,
        "model": model(),
        "model_name": "fraud",
        "runtime": Runtime(name=RuntimeName.ONNXRUNTIME, resources=Resources(requests={"cpu": "500m"}, limits={"memory": "1Gi"})),
        "images": IMAGES,
        "created_at": NOW,
    }
    return Revision(**given | fields)


def failed(one: Revision, reason: Reason = Reason.GOLDEN_MISMATCH) -> Revision:
    return replace(one, failed=Failure(reason=reason, message="sample 3 differs", at=NOW))


# ---- random ones ------------------------------------------------------------------------------

_HEX = st.text("0123456789abcdef", min_size=10, max_size=10)
_TIMES = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- bounds are naive by definition
_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
_FAILURES = st.builds(Failure, reason=st.sampled_from(Reason), message=_TEXT, at=_TIMES)


@st.composite
def revisions(draw: st.DrawFn) -> Revision:
    """Any revision that a plan could make of any good spec."""
    given = ModelDeploymentSpec.model_validate(draw(specs()))
    return Revision(
        id=draw(_HEX),
        request=draw(_HEX),
        ordinal=draw(st.integers(1, 10**9)),
        digest="sha256:" + draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        version=given.model.version,
        format=draw(st.sampled_from(["onnx", "tensorflow-savedmodel"])),
        size=draw(st.integers(0, 2**50)),
        model=given.model,
        model_name=given.model.name or "fraud",
        runtime=given.runtime,
        images=Images(agent=draw(_TEXT), server=draw(_TEXT)),
        created_at=draw(_TIMES),
        update=given.update,
        promoted=draw(st.integers(0, 10**6)),
        failed=draw(st.none() | _FAILURES),
    )
