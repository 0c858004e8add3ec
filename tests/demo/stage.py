"""What the story needs before it begins: a cluster, the operator in it, bundles in its storage, namespaces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster import Cluster, Images, load_images, up
from tests.cluster.progress import Progress, Silent, step
from tests.demo import bundles
from tests.support import install, prometheus, wait
from tests.support.kubectl import Body, Kubectl, KubectlFailed
from volary.common import names

if TYPE_CHECKING:
    from tests.demo.bundles import Shelf

OPERATOR_NAMESPACE = "volary-system"
OPERATOR = "volary-operator"
OPERATOR_PODS = "app.kubernetes.io/component=operator"
SECRET = "models-s3"
REPLICAS = 3
STEPS = ({"weight": 25, "duration": "6s"}, {"weight": 50, "duration": "6s"})
RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}


@dataclass(frozen=True)
class Stage:
    """A cluster with Volary in it and the six bundles pushed."""

    cluster: Cluster
    images: Images
    kubectl: Kubectl
    shelf: Shelf

    def namespace(self, name: str, **keys: str) -> str:
        """A new namespace under the `restricted` pod security standard, with the storage's keys in a Secret."""
        self.close(name)
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        s3 = self.cluster.s3
        content = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key} | keys
        self.kubectl.apply(space)
        self.kubectl.apply(secret(name, SECRET, content))
        return name

    def close(self, namespace: str) -> None:
        """Delete a namespace and wait until it is gone. Models first: a namespace waits long for pods that end slowly."""
        if self.kubectl.run("get", "namespace", namespace, "--ignore-not-found"):
            self.kubectl.run("delete", names.PLURAL, "--all", "--namespace", namespace)
            wait.until(f"the pods of {namespace} are gone", lambda: not self.kubectl.list("Pod", namespace), 60)
            self.kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--timeout=90s")

    def leave(self, namespace: str) -> None:
        """Delete a namespace and do not wait for it."""
        self.kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")

    def model(self, namespace: str, name: str, version: str, **changes: Any) -> Body:
        """A ModelDeployment of one of the pushed versions. `changes` are merged into the spec."""
        storage = {"secretName": SECRET, "endpoint": self.cluster.s3.endpoint}
        spec = {
            "model": {"uri": self.shelf.uri, "version": version, "storage": storage},
            "runtime": {"name": "onnxruntime", "resources": RESOURCES},
            "replicas": REPLICAS,
            "rollout": {
                "steps": list(STEPS),
                "analysis": {"interval": "1s", "errors": {"tolerance": "5%"}},
                "progressDeadline": "60s",
            },
        }
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": merged(spec, changes)}

    def url(self, namespace: str, service: str, model: str = "") -> str | None:
        """Where predictions are asked for, once the Service has an address."""
        found = self.kubectl.get("Service", namespace, service)
        address = (found or {}).get("spec", {}).get("clusterIP")
        return f"http://{address}/v2/models/{model or service}/infer" if address else None

    def operator_pods(self) -> list[Body]:
        """Pods of the operator that are not on their way out."""
        found = self.kubectl.list("Pod", OPERATOR_NAMESPACE, OPERATOR_PODS)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def explain(self, namespace: str) -> str:
        """What a person would look at first when something did not happen."""
        looks = (
            ("get", "md,deployments,services,pods,jobs", "--namespace", namespace, "--output=wide"),
            ("get", "events", "--namespace", namespace, "--sort-by=.lastTimestamp"),
            ("logs", "--namespace", OPERATOR_NAMESPACE, f"deployment/{OPERATOR}", "--tail=30"),
        )
        return "\n".join(f"$ kubectl {' '.join(look)}\n{self._try(*look)}" for look in looks)

    def _try(self, *arguments: str) -> str:
        try:
            return self.kubectl.run(*arguments, timeout=15)
        except (KubectlFailed, OSError, TimeoutError) as error:
            return f"{error}\n"


def secret(namespace: str, name: str, content: dict[str, str]) -> Body:
    """A Secret of strings."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": content}


def merged(body: Body, changes: Body) -> Body:
    """A deep merge; None removes."""
    found = dict(body)
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = merged(found[key], value)
        else:
            found[key] = value
    return found


def prepare(progress: Progress | None = None) -> Stage:
    """Everything up to the first `kubectl apply` of a model. Nothing is done twice."""
    progress = progress or Silent()
    cluster = up(progress)
    images = load_images(cluster, progress)
    kubectl = Kubectl(cluster.kubeconfig)
    with step(progress, "train, pack and push six versions of a model"):
        shelf = bundles.fill(cluster.s3)
    with step(progress, "install the operator"):
        install_operator(kubectl, images)
    return Stage(cluster, images, kubectl, shelf)


def install_operator(kubectl: Kubectl, images: Images) -> None:
    """Definition, roles, Deployment; waits until one pod of exactly this image is ready."""
    documents = install.documents(asdict(images), {"VOLARY_PROMETHEUS_URL": prometheus.URL})
    early = [d for d in documents if d["kind"] in {"Namespace", "CustomResourceDefinition"}]
    kubectl.apply(*early)
    kubectl.run("wait", "--for=condition=Established", f"crd/{names.PLURAL}.{names.GROUP}", "--timeout=30s")
    kubectl.apply(*(d for d in documents if d not in early))
    kubectl.run("rollout", "status", f"deployment/{OPERATOR}", f"--namespace={OPERATOR_NAMESPACE}", "--timeout=90s")
    wait.until("one operator pod is left", lambda: len(kubectl.list("Pod", OPERATOR_NAMESPACE, OPERATOR_PODS)) == 1, 60)
