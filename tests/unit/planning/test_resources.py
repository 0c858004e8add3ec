"""The objects are what a restricted namespace admits, and can be read back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.planning.builders import DIGEST, desired, failed, model, revision, revisions, spec
from volary.api.v1alpha1 import Addressing, Runtime, RuntimeName, SchemaChange, Storage, Verify
from volary.common.reasons import Reason
from volary.planning import pods, resources
from volary.planning.model import NoService, Only, Shared
from volary.runtimes.runtime import Body

FRAUD = desired()
REVISION = revision()
BODIES: dict[str, Body] = {
    "job": resources.preflight_job(FRAUD, "aaaaaaaaaa"),
    "revision": resources.controller_revision(FRAUD, REVISION),
    "deployment": resources.deployment(FRAUD, REVISION, 3),
    "service": resources.service(FRAUD, Shared()),
    "revision service": resources.revision_service(FRAUD, REVISION),
}
TEMPLATES: dict[str, Body] = {
    "job": BODIES["job"]["spec"]["template"],
    "deployment": BODIES["deployment"]["spec"]["template"],
    "tensorflow": pods.model_template("fraud", replace(REVISION, runtime=Runtime(name=RuntimeName.TENSORFLOW_SERVING))),
}


def containers(template: Body) -> dict[str, Body]:
    every = [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]
    return {container["name"]: container for container in every}


def selects(selector: dict[str, str], template: Body) -> bool:
    labels: dict[str, str] = template["metadata"]["labels"]
    return selector.items() <= labels.items()


# ---- every object -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_objects_belong_to_their_model_deployment(body: Body) -> None:
    metadata = body["metadata"]
    assert metadata["namespace"] == "shop"
    assert metadata["labels"]["serving.volary.dev/model"] == "fraud"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "volary"
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "serving.volary.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "fraud",
            "uid": FRAUD.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_objects_are_json_without_status_or_nulls(body: Body) -> None:
    text = json.dumps(body)
    assert json.loads(text) == body
    assert "status" not in body
    assert "null" not in text


def test_names_fit_where_the_name_of_the_model_deployment_does() -> None:
    longest = desired(name="m" * 40)
    for body in (
        resources.preflight_job(longest, "a" * 10),
        resources.deployment(longest, REVISION, 1),
        resources.revision_service(longest, REVISION),
        resources.service(longest, Shared()),
    ):
        assert len(body["metadata"]["name"]) <= 63


def test_bodies_share_nothing_that_could_be_changed_by_accident() -> None:
    first, second = resources.deployment(FRAUD, REVISION, 1), resources.deployment(FRAUD, REVISION, 1)
    first["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["drop"].append("NONE")
    first["spec"]["template"]["spec"]["initContainers"][0]["resources"]["limits"]["memory"] = "1Ti"
    assert second == resources.deployment(FRAUD, REVISION, 1)


# ---- pods -------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_pods_are_admitted_under_the_restricted_standard(template: Body) -> None:
    pod = template["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(volume.keys() == {"name", "emptyDir"} for volume in pod["volumes"])
    for container in containers(template).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_credentials_reach_only_volarys_own_image_and_only_fixed_keys(template: Body) -> None:
    for name, container in containers(template).items():
        references = [entry["valueFrom"]["secretKeyRef"] for entry in container.get("env", []) if "valueFrom" in entry]
        if name == "server":
            assert "env" not in container
            continue
        assert references == [
            {"name": "models-s3", "key": "AWS_ACCESS_KEY_ID"},
            {"name": "models-s3", "key": "AWS_SECRET_ACCESS_KEY"},
            {"name": "models-s3", "key": "AWS_SESSION_TOKEN", "optional": True},
        ]
        assert container["image"] == FRAUD.images.agent
        assert "envFrom" not in container


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (Storage(), {}),
        (Storage(region="eu-central-1"), {"AWS_REGION": "eu-central-1"}),
        (Storage(addressing=Addressing.VIRTUAL_HOST), {"AWS_S3_ADDRESSING_STYLE": "virtual"}),
        (Storage(addressing=Addressing.PATH), {"AWS_S3_ADDRESSING_STYLE": "path"}),
        (Storage(endpoint="http://s3:9000"), {"AWS_ENDPOINT_URL_S3": "http://s3:9000", "AWS_REGION": "us-east-1"}),
        (Storage(endpoint="http://s3:9000", region="here"), {"AWS_ENDPOINT_URL_S3": "http://s3:9000", "AWS_REGION": "here"}),
    ],
)
def test_the_agent_knows_where_the_storage_is(storage: Storage, expected: dict[str, str]) -> None:
    template = pods.model_template("fraud", revision(model=model(storage=storage)))
    env = containers(template)["agent"].get("env", [])
    assert {entry["name"]: entry["value"] for entry in env} == expected


def test_the_agent_and_the_preflight_get_the_authority_of_the_storage_by_variable() -> None:
    storage = Storage(authority_config_map_name="storage-ca")
    wanted = {"name": "VOLARY_STORAGE_AUTHORITY", "valueFrom": {"configMapKeyRef": {"name": "storage-ca", "key": "ca.crt"}}}
    template = pods.model_template("fraud", revision(model=model(storage=storage)))
    assert containers(template)["agent"]["env"] == [wanted]
    job = resources.preflight_job(desired(spec=spec(model=model(storage=storage))), "a" * 10)
    assert containers(job["spec"]["template"])["preflight"]["env"] == [wanted]


def test_a_service_account_is_used_where_one_is_named() -> None:
    storage = Storage(service_account_name="reader")
    assert pods.model_template("fraud", revision(model=model(storage=storage)))["spec"]["serviceAccountName"] == "reader"
    job = resources.preflight_job(desired(spec=spec(model=model(storage=storage))), "a" * 10)
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "reader"
    assert "serviceAccountName" not in TEMPLATES["deployment"]["spec"]


def test_the_agent_gates_the_server_and_only_it_may_write_the_bundle() -> None:
    template = TEMPLATES["deployment"]
    agent, server = containers(template)["agent"], containers(template)["server"]
    assert agent["restartPolicy"] == "Always"  # a native sidecar
    assert agent in template["spec"]["initContainers"]
    assert agent["startupProbe"]["httpGet"] == {"path": "/startup", "port": 8081}
    assert agent["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 8081}
    assert {mount["name"]: mount.get("readOnly", False) for mount in agent["volumeMounts"]} == {"models": False, "tmp": False}
    assert {mount["name"]: mount.get("readOnly", False) for mount in server["volumeMounts"]} == {"models": True, "tmp": False}


def test_arguments_of_the_containers() -> None:
    template = TEMPLATES["deployment"]
    assert containers(template)["agent"]["args"] == [
        *("agent", "--uri", "s3://models/fraud", "--version", "1.4.0", "--digest", DIGEST),
        *("--model", "fraud", "--directory", "/models", "--runtime", "onnxruntime"),
        *("--server", "http://127.0.0.1:8080", "--listen", "0.0.0.0:8081"),
    ]
    assert containers(template)["server"]["args"] == [
        *("serve", "--bundle", "/models/fraud/1.4.0", "--model", "fraud"),
        *("--revision", "1a2b3c4d5e", "--listen", "0.0.0.0:8080"),
    ]
    assert containers(TEMPLATES["job"])["preflight"]["args"] == [
        *("preflight", "--uri", "s3://models/fraud", "--version", "1.4.0"),
        *("--model", "fraud", "--runtime", "onnxruntime"),
    ]


@pytest.mark.parametrize(
    ("changes", "asks"),
    [({}, True), ({"schema_change": SchemaChange.ALLOW}, False), ({"storage": Storage(secret_name="another")}, False)],
)
def test_a_preflight_asks_for_the_clients_of_stable_where_it_can_read_their_bundle(changes: dict[str, Any], asks: bool) -> None:
    job = resources.preflight_job(desired(spec=spec(model=model(**changes))), "a" * 10, REVISION)
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert ("--stable-version" in args) == asks
    assert not asks or args[args.index("--stable-digest") + 1] == REVISION.digest


def test_a_pinned_digest_reaches_the_preflight() -> None:
    pinned = resources.preflight_job(desired(spec=spec(model=model(digest=DIGEST))), "a" * 10)
    args = containers(pinned["spec"]["template"])["preflight"]["args"]
    assert args[args.index("--digest") + 1] == DIGEST


def test_a_wanted_signature_reaches_the_preflight_alone() -> None:
    verified = model(verify=Verify(public_key_secret_name="signer"))
    job = resources.preflight_job(desired(spec=spec(model=verified)), "a" * 10)
    wanted = {"name": "VOLARY_PUBLIC_KEY", "valueFrom": {"secretKeyRef": {"name": "signer", "key": "public.pem"}}}
    assert wanted in containers(job["spec"]["template"])["preflight"]["env"]
    assert pods.model_template("fraud", revision(model=verified)) == pods.model_template("fraud", revision())


def test_the_server_has_the_users_resources_and_the_agent_its_own() -> None:
    template = TEMPLATES["deployment"]
    assert containers(template)["server"]["resources"] == {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}
    assert containers(template)["agent"]["resources"]["limits"] == {"memory": "256Mi"}
    bare = pods.model_template("fraud", revision(runtime=Runtime(name=RuntimeName.ONNXRUNTIME)))
    assert containers(bare)["server"]["resources"] == {}


@given(revisions(), st.integers(1, 1000))
def test_pods_follow_from_the_revision_alone(one: Any, replicas: int) -> None:
    """No edit of the spec restarts the pods of the revision that serves."""
    edited = desired(
        spec=spec(
            model=model(version="9.9.9", storage=Storage(endpoint="http://elsewhere")),
            runtime=Runtime(name=RuntimeName.ONNXRUNTIME, image="other:1"),
            replicas=7,
        ),
        images=replace(FRAUD.images, agent="next:1", server="next:1"),
        generation=99,
        model_name="renamed",
    )
    before, after = resources.deployment(FRAUD, one, replicas), resources.deployment(edited, one, replicas)
    assert before == after


# ---- Deployment and Job -----------------------------------------------------------------------


def test_a_deployment_selects_its_own_pods_and_never_has_too_few() -> None:
    body = BODIES["deployment"]
    assert body["spec"]["replicas"] == 3
    assert selects(body["spec"]["selector"]["matchLabels"], TEMPLATES["deployment"])
    assert body["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_a_preflight_is_tried_once() -> None:
    job = BODIES["job"]["spec"]
    assert job["backoffLimit"] == 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in job


# ---- Services ---------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [Only("1a2b3c4d5e"), Shared()])
def test_services_select_model_pods_but_never_a_preflight(to: Only | Shared) -> None:
    selector = resources.service(FRAUD, to)["spec"]["selector"]
    assert selects(selector, TEMPLATES["deployment"])
    assert not selects(selector, TEMPLATES["job"])


def test_a_service_for_one_revision_selects_no_other() -> None:
    other = pods.model_template("fraud", revision(id="ffffffffff"))
    assert not selects(resources.service(FRAUD, Only("1a2b3c4d5e"))["spec"]["selector"], other)
    assert not selects(BODIES["revision service"]["spec"]["selector"], other)
    assert selects(resources.service(FRAUD, Shared())["spec"]["selector"], other)


@pytest.mark.parametrize("to", [Only("1a2b3c4d5e"), Shared()])
def test_traffic_is_read_back(to: Only | Shared) -> None:
    assert resources.traffic_from(resources.service(FRAUD, to)) == to


def test_no_service_is_no_traffic() -> None:
    assert resources.traffic_from(None) == NoService()


# ---- records ----------------------------------------------------------------------------------


@given(revisions())
def test_a_record_gives_the_revision_back(one: Any) -> None:
    body = json.loads(json.dumps(resources.controller_revision(FRAUD, one)))
    assert resources.revision_from(body) == one


@given(revisions())
def test_marks_and_requests_change_no_data(one: Any) -> None:
    """`.data` of a ControllerRevision is immutable: a body with other data would be refused."""
    marked = failed(replace(one, promoted=one.promoted + 1, request="bbbbbbbbbb"))
    before, after = resources.controller_revision(FRAUD, one), resources.controller_revision(FRAUD, marked)
    assert (before["data"], before["revision"]) == (after["data"], after["revision"])


def test_a_cleared_mark_is_absent() -> None:
    assert "annotations" not in BODIES["revision"]["metadata"]
    assert resources.controller_revision(FRAUD, failed(REVISION))["metadata"]["annotations"].keys() == {"serving.volary.dev/failed"}


def test_what_a_later_operator_records_is_ignored() -> None:
    body = resources.controller_revision(FRAUD, REVISION)
    body["data"]["signature"] = {"key": "x"}
    assert resources.revision_from(body) == REVISION


def test_a_failed_mark_that_cannot_be_read_is_one_still() -> None:
    body = resources.controller_revision(FRAUD, REVISION)
    body["metadata"]["annotations"] = {
        "serving.volary.dev/failed": '{"reason": "FromTheFuture", "message": "", "at": "2030-01-01T00:00:00Z"}'
    }
    mark = resources.revision_from(body).failed
    assert mark is not None
    assert mark.reason is Reason.INTERNAL_ERROR
    assert "FromTheFuture" in mark.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": {"name": "web-7d9"}, "data": {"spec": {"template": {}}}},
        BODIES["revision"] | {"metadata": {"name": "fraud-1a2b3c4d5e"}},
        BODIES["revision"] | {"data": None},
    ],
)
def test_a_stranger_is_not_taken_for_a_revision(body: Body) -> None:
    with pytest.raises(ValueError, match=r"label|validation error"):
        resources.revision_from(body)
