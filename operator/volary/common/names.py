"""Names that two rooms must spell alike: labels, annotations, ports, paths."""

GROUP = "serving.volary.dev"
VERSION = "v1alpha1"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "volary"
PERSON = "kubectl-volary"  # field manager of the command line
SCALE_MANAGER = "volary-scale"  # holds a number of pods until somebody else changes it

# Labels on everything the operator makes.
MODEL_LABEL = f"{GROUP}/model"  # name of the ModelDeployment
REVISION_LABEL = f"{GROUP}/revision"  # short digest of a revision
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"  # always "volary"
REQUEST_LABEL = f"{GROUP}/request"  # on preflights and revisions: the preflight's request id
COMPONENT_LABEL = "app.kubernetes.io/component"  # on pods: "server", "preflight" or "check"
CHECK_LABEL = f"{GROUP}/check"  # on a Job that judges a canary: its name in the spec
STEP_LABEL = f"{GROUP}/step"  # ... and the step it runs in; the first is 1
RECIPE_LABEL = f"{GROUP}/recipe"  # ... and a short digest of what it was made of

# Annotations.
REQUEST_ANNOTATION = f"{GROUP}/request"  # on a ModelDeployment, by a person: ACTION[:REVISION][@NONCE]
PROMOTED_ANNOTATION = f"{GROUP}/promoted"  # on a ControllerRevision: ordinal of its last promotion
FAILED_ANNOTATION = f"{GROUP}/failed"  # on a ControllerRevision: JSON {reason, message, at}
REVISIONS_ANNOTATION = f"{GROUP}/revisions"  # on pods: generation of the file of revisions; a change makes the kubelet mount it anew
WRITTEN_ANNOTATION = f"{GROUP}/written-at"  # on the ConfigMap of revisions: when its generation was written
ASKED_ANNOTATION = f"{GROUP}/asked"  # on a ControllerRevision: the request that made the present marks

# In a model pod.
SERVER_CONTAINER = "server"
AGENT_CONTAINER = "agent"
PREFLIGHT_CONTAINER = "preflight"
CHECK_CONTAINER = "check"
SERVER_PORT = 8080
AGENT_PORT = 8081
CONTROL_PORT = 8082  # of the server, on loopback: the agent sets versions and weights there
GRPC_PORT = 8001  # of the server; one that speaks no gRPC has nothing there
MODELS_PATH = "/models"  # the volume that agent (writes) and server (reads) share
REVISIONS_PATH = "/etc/volary/revisions"  # a ConfigMap's mount: which revisions the pod is to hold, updated in place
REVISIONS_FILE = "revisions.json"  # in it, and key of the ConfigMap
SERVICE_PORT = 80
SERVICE_GRPC_PORT = 8001
GOLDEN_PATH = "/golden"  # of the agent: POST asks for synthetic requests, both tell their counts
SYNTHETIC_HEADER = "x-volary-synthetic"  # on requests of the agent: counted apart from the clients'

# Fixed keys of a storage Secret; a user never chooses which key is read.
SECRET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
PUBLIC_KEY = "public.pem"  # key of the Secret of spec.model.verify
PUBLIC_KEY_VARIABLE = "VOLARY_PUBLIC_KEY"  # how a preflight gets its content
AUTHORITY = "ca.crt"  # key of the ConfigMap of spec.model.storage.authorityConfigMapName
AUTHORITY_VARIABLE = "VOLARY_STORAGE_AUTHORITY"  # how preflight and agent get its content
ADDRESSING_VARIABLE = "AWS_S3_ADDRESSING_STYLE"  # path (default), virtual or auto
