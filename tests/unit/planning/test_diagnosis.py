"""What kubelet, scheduler and controllers say, and the reason it becomes."""

import pytest

from tests.unit.planning.bodies import BEGAN, ENDED, OOM, REVISION, deployment, end, pod, running, stopped, waiting
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.planning import diagnosis
from volary.planning.model import Problem
from volary.runtimes.runtime import Body

MISMATCH = Outcome(reason=Reason.GOLDEN_MISMATCH, message="sample 3: output 'y'[0] is 0.91, packed was 0.34")
CHANGED = Outcome(reason=Reason.DIGEST_MISMATCH, message="model.onnx is sha256:00.., the manifest says sha256:ab..")
AWAY = Outcome(reason=Reason.STORAGE_UNREACHABLE, message="minio.storage:9000 refuses connections")
UNLOADABLE = Outcome(reason=Reason.LOAD_FAILED, message="model.onnx: unsupported operator Foo(21)")
SLOW = Outcome(reason=Reason.GOLDEN_TIMEOUT, message="sample 1 was not answered within 30s")
BACK_OFF = "back-off 20s restarting failed container=server pod=fraud-1a2b3c4d5e-6b9f-x2x7k_shop(uid)"
TRACE = 'Traceback (most recent call last):\n  File "x.py", line 3\nRuntimeError: no such provider\n\n'
UP = running("agent", ready=True)
GATED = waiting("server", "PodInitializing")


def unscheduled(message: str) -> Body:
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


def evicted(message: str, reason: str = "Evicted") -> Body:
    return pod(phase="Failed", reason=reason, message=message)


PULLING = 'Back-off pulling image "volary-server:0.1.0": ErrImagePull: not found'
NODES = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available."

# what: the pod, the reason, and a part of the message
TABLE: dict[str, tuple[Body, Reason | None, str]] = {
    # nothing wrong
    "just created": (pod(phase="Pending"), None, ""),
    "no status at all": ({"metadata": {"name": "x"}}, None, ""),
    "being scheduled": (pod(phase="Pending", conditions=({"type": "PodScheduled", "status": "True"},)), None, ""),
    "bundle being fetched": (pod(agent=running("agent", started=False), server=GATED), None, ""),
    "model being loaded": (pod(agent=UP, server=running("server", started=False)), None, ""),
    "images being pulled": (pod(agent=waiting("agent", "ContainerCreating"), server=GATED), None, ""),
    "ready": (pod(agent=UP, server=running("server", ready=True), ready=True), None, ""),
    "ready after an OOM": (pod(agent=UP, server=running("server", ready=True, restarts=5, last=OOM), ready=True), None, ""),
    "going after a kill": (pod(agent=UP, server=stopped("server", end(137)), terminating=True), None, ""),
    "going after an OOM": (pod(server=stopped("server", OOM, restarts=4), terminating=True), None, ""),
    # memory
    "out of memory now": (
        pod(agent=UP, server=stopped("server", OOM)),
        Reason.OUT_OF_MEMORY,
        "server needed more memory than its limit of 1Gi",
    ),
    "out of memory, waits": (
        pod(agent=UP, server=waiting("server", "CrashLoopBackOff", BACK_OFF, restarts=3, last=OOM)),
        Reason.OUT_OF_MEMORY,
        "limit of 1Gi",
    ),
    "out of memory, loads again": (pod(agent=UP, server=running("server", restarts=1, last=OOM)), Reason.OUT_OF_MEMORY, "limit of 1Gi"),
    "agent out of memory": (pod(agent=running("agent", started=False, restarts=1, last=OOM)), Reason.OUT_OF_MEMORY, "container agent"),
    "out of memory without a limit": (
        pod(server=stopped("server", OOM), agent=UP) | {"spec": {"containers": [{"name": "server"}]}},
        Reason.OUT_OF_MEMORY,
        "more memory than its limit",
    ),
    # crashes
    "crash loop": (
        pod(agent=UP, server=waiting("server", "CrashLoopBackOff", BACK_OFF, restarts=1, last=end(1, TRACE))),
        Reason.CRASHED,
        "container server ended with exit code 1: RuntimeError: no such provider",
    ),
    "crash loop without a word": (
        pod(agent=UP, server=waiting("server", "CrashLoopBackOff", BACK_OFF, restarts=4, last=end(139))),
        Reason.CRASHED,
        "container server ended with exit code 139",
    ),
    "ends again and again without an error": (
        pod(agent=UP, server=waiting("server", "CrashLoopBackOff", BACK_OFF, restarts=4, last=end(0, reason="Completed"))),
        Reason.CRASHED,
        "exit code 0",
    ),
    "one crash may be chance": (pod(agent=UP, server=running("server", restarts=1, last=end(1, TRACE))), None, ""),
    "two crashes are not, even while it runs": (
        pod(agent=UP, server=running("server", restarts=2, last=end(1, TRACE))),
        Reason.CRASHED,
        "no such provider",
    ),
    "no such program in the image": (
        pod(
            agent=UP,
            server=waiting("server", "CrashLoopBackOff", restarts=2, last=end(128, 'exec: "python3": not found', reason="StartError")),
        ),
        Reason.CRASHED,
        'exec: "python3": not found',
    ),
    "agent crashes": (
        pod(agent=waiting("agent", "CrashLoopBackOff", restarts=2, last=end(1)), server=GATED),
        Reason.CRASHED,
        "container agent ended with exit code 1",
    ),
    # our own words
    "golden samples differ, now": (
        pod(agent=stopped("agent", end(3, MISMATCH)), server=running("server")),
        Reason.GOLDEN_MISMATCH,
        "sample 3",
    ),
    "golden samples differ, tried again": (
        pod(agent=running("agent", restarts=1, last=end(3, MISMATCH)), server=running("server", ready=True)),
        Reason.GOLDEN_MISMATCH,
        "packed was 0.34",
    ),
    "golden samples differ, waits": (
        pod(agent=waiting("agent", "CrashLoopBackOff", restarts=4, last=end(3, MISMATCH)), server=running("server", ready=True)),
        Reason.GOLDEN_MISMATCH,
        "sample 3",
    ),
    "a byte was flipped": (
        pod(agent=waiting("agent", "CrashLoopBackOff", restarts=1, last=end(3, CHANGED)), server=GATED),
        Reason.DIGEST_MISMATCH,
        "model.onnx",
    ),
    "storage is away": (
        pod(agent=waiting("agent", "CrashLoopBackOff", restarts=3, last=end(4, AWAY)), server=GATED),
        Reason.STORAGE_UNREACHABLE,
        "refuses",
    ),
    "storage is away, tried again": (
        pod(agent=running("agent", started=False, restarts=3, last=end(4, AWAY)), server=GATED),
        Reason.STORAGE_UNREACHABLE,
        "minio.storage:9000",
    ),
    "storage was away, bundle is here now": (
        pod(agent=running("agent", started=True, restarts=3, last=end(4, AWAY)), server=running("server", started=False)),
        None,
        "",
    ),
    "the server cannot load it": (
        pod(agent=UP, server=waiting("server", "CrashLoopBackOff", restarts=1, last=end(3, UNLOADABLE))),
        Reason.LOAD_FAILED,
        "unsupported operator Foo(21)",
    ),
    "a log line with a reason is no verdict": (
        pod(agent=UP, server=waiting("server", "CrashLoopBackOff", restarts=3, last=end(1, '{"reason": "Serving", "message": "up"}'))),
        Reason.CRASHED,
        "exit code 1",
    ),
    "the cause outweighs its consequence": (
        pod(agent=running("agent", restarts=1, last=end(3, SLOW)), server=waiting("server", "CrashLoopBackOff", restarts=2, last=OOM)),
        Reason.OUT_OF_MEMORY,
        "1Gi",
    ),
    "a verdict outweighs a plain crash": (
        pod(
            agent=running("agent", restarts=1, last=end(3, MISMATCH)), server=waiting("server", "CrashLoopBackOff", restarts=2, last=end(1))
        ),
        Reason.GOLDEN_MISMATCH,
        "sample 3",
    ),
    # images
    "image cannot be pulled": (
        pod(agent=UP, server=waiting("server", "ImagePullBackOff", PULLING), phase="Pending"),
        Reason.IMAGE_PULL_FAILED,
        "image volary-server:0.1.0 of container server: Back-off pulling",
    ),
    "image pull just failed": (
        pod(agent=waiting("agent", "ErrImagePull", "unauthorized"), phase="Pending"),
        Reason.IMAGE_PULL_FAILED,
        "image volary-agent:0.1.0 of container agent: unauthorized",
    ),
    "image has no name": (
        pod(agent=UP, server=waiting("server", "InvalidImageName", "couldn't parse image name"), phase="Pending"),
        Reason.IMAGE_PULL_FAILED,
        "couldn't parse",
    ),
    "image is not there and may not be pulled": (
        pod(agent=UP, server=waiting("server", "ErrImageNeverPull"), phase="Pending"),
        Reason.IMAGE_PULL_FAILED,
        "ErrImageNeverPull",
    ),
    # Secrets and admission
    "no Secret": (
        pod(agent=waiting("agent", "CreateContainerConfigError", 'secret "models-s3" not found'), server=GATED, phase="Pending"),
        Reason.SECRET_NOT_FOUND,
        'secret "models-s3" not found',
    ),
    "a key of the Secret is missing": (
        pod(
            agent=waiting("agent", "CreateContainerConfigError", "couldn't find key AWS_ACCESS_KEY_ID in Secret shop/models-s3"),
            server=GATED,
            phase="Pending",
        ),
        Reason.SECRET_NOT_FOUND,
        "AWS_ACCESS_KEY_ID in Secret shop/models-s3",
    ),
    "the Secret went away later": (
        pod(agent=waiting("agent", "CreateContainerConfigError", 'secret "models-s3" not found', restarts=1, last=end(4, AWAY))),
        Reason.SECRET_NOT_FOUND,
        "models-s3",
    ),
    "kubelet has not read the Secret yet": (
        pod(agent=waiting("agent", "CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition")),
        Reason.POD_REFUSED,
        "failed to sync secret cache",
    ),
    "the node refuses the container": (
        pod(agent=UP, server=waiting("server", "CreateContainerError", "context deadline exceeded")),
        Reason.POD_REFUSED,
        "context deadline exceeded",
    ),
    # nodes
    "no room": (pod(phase="Pending", conditions=(unscheduled(NODES),)), Reason.UNSCHEDULABLE, "3 Insufficient memory"),
    "outgrew its disk": (
        evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "),
        Reason.DISK_FULL,
        "exceeds the total limit of containers 1Gi",
    ),
    "outgrew a volume": (evicted('Usage of EmptyDir volume "tmp" exceeds the limit "64Mi". '), Reason.DISK_FULL, '"tmp" exceeds the limit'),
    "the node's disk is full": (
        evicted("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi"),
        Reason.UNSCHEDULABLE,
        "low on resource",
    ),
    "the node's memory is full": (evicted("The node was low on resource: memory."), Reason.UNSCHEDULABLE, "memory"),
    "the node shuts down": (
        evicted("Pod was terminated in response to imminent node shutdown.", "Terminated"),
        Reason.UNSCHEDULABLE,
        "node shutdown",
    ),
    "the node has no room after all": (
        evicted("Pod was rejected: Node didn't have enough resource: cpu", "OutOfcpu"),
        Reason.UNSCHEDULABLE,
        "OutOfcpu",
    ),
}


@pytest.mark.parametrize(("body", "reason", "part"), TABLE.values(), ids=TABLE)
def test_problems_of_pods(body: Body, reason: Reason | None, part: str) -> None:
    problem = diagnosis.pod(body).problem
    assert (problem.reason if problem else None) is reason
    assert problem is None or part in problem.message


def test_what_a_pod_is_apart_from_its_problem() -> None:
    found = diagnosis.pod(pod(agent=UP, server=running("server", ready=True), ready=True))
    assert (found.name, found.uid) == ("fraud-1a2b3c4d5e-6b9f-x2x7k", "uid-of-fraud-1a2b3c4d5e-6b9f-x2x7k")
    assert (found.revision, found.ip, found.ready, found.terminating) == (REVISION, "10.1.2.3", True, False)


def test_a_pod_on_its_way_out_may_still_be_ready() -> None:
    found = diagnosis.pod(pod(ready=True, terminating=True))
    assert found.ready
    assert found.terminating


def test_an_evicted_pod_is_not_ready_whatever_its_condition_says() -> None:
    body = evicted("The node was low on resource: memory.")
    body["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert not diagnosis.pod(body).ready


# ---- Deployments ------------------------------------------------------------------------------

QUOTA = 'pods "fraud-1a2b3c4d5e-6b9f-" is forbidden: exceeded quota: compute, requested: memory=1Gi, used: memory=8Gi, limited: memory=8Gi'
POLICY = 'pods "fraud-1a2b3c4d5e-6b9f-" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities'


def good(name: str) -> Body:
    return pod(name=name, agent=UP, server=running("server", ready=True), ready=True)


def test_a_workload_has_the_pods_of_its_revision_oldest_first() -> None:
    others = pod(name="other", revision="ffffffffff", ready=True)
    young = good("young") | {}
    young["metadata"]["creationTimestamp"] = ENDED
    found = diagnosis.deployment(deployment(2), [young, others, good("old")])
    assert (found.revision, found.replicas, found.ready, found.problem) == (REVISION, 2, 2, None)
    assert [one.name for one in found.pods] == ["old", "young"]


@pytest.mark.parametrize("message", [QUOTA, POLICY])
def test_pods_that_the_api_server_refuses_are_a_problem_of_the_deployment(message: str) -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    assert diagnosis.deployment(deployment(2, refused), []).problem == Problem(reason=Reason.POD_REFUSED, message=message)


def test_an_evicted_pod_is_of_interest_until_its_successor_is_ready() -> None:
    gone = evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ")
    gone["metadata"]["name"] = "gone"
    short = diagnosis.deployment(deployment(2), [gone, good("a")])
    whole = diagnosis.deployment(deployment(2), [gone, good("a"), good("b")])
    assert {one.name for one in short.pods} == {"gone", "a"}
    assert {one.name for one in whole.pods} == {"a", "b"}


@pytest.mark.parametrize(
    ("phase", "over"), [("Pending", False), ("Running", False), ("Unknown", False), ("Failed", True), ("Succeeded", True)]
)
def test_which_pods_are_over(phase: str, over: bool) -> None:
    assert diagnosis.ended(pod(phase=phase, created=BEGAN)) is over
