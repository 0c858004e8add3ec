"""Names that two rooms must spell alike: labels, annotations, ports, paths."""

GROUP = "serving.volary.dev"
VERSION = "v1alpha1"
KIND = "ModelDeployment"
PLURAL = "modeldeployments"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "volary"
SCALE_MANAGER = "volary-scale"  # holds a number of pods until somebody else changes it

# Labels on everything the operator makes.
MODEL_LABEL = f"{GROUP}/model"  # name of the ModelDeployment
REVISION_LABEL = f"{GROUP}/revision"  # short digest of a revision
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"  # always "volary"
REQUEST_LABEL = f"{GROUP}/request"  # on preflights and revisions: the preflight's request id
COMPONENT_LABEL = "app.kubernetes.io/component"  # on pods: "server" or "preflight"

# Annotations.
REQUEST_ANNOTATION = f"{GROUP}/request"  # on a ModelDeployment, by a person: ACTION[:REVISION][@NONCE]
PROMOTED_ANNOTATION = f"{GROUP}/promoted"  # on a ControllerRevision: ordinal of its last promotion
FAILED_ANNOTATION = f"{GROUP}/failed"  # on a ControllerRevision: JSON {reason, message, at}

# In a model pod.
SERVER_CONTAINER = "server"
AGENT_CONTAINER = "agent"
PREFLIGHT_CONTAINER = "preflight"
SERVER_PORT = 8080
AGENT_PORT = 8081
MODELS_PATH = "/models"  # the volume that agent (writes) and server (reads) share
SERVICE_PORT = 80

# Fixed keys of a storage Secret; a user never chooses which key is read.
SECRET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
PUBLIC_KEY = "public.pem"  # key of the Secret of spec.model.verify
PUBLIC_KEY_VARIABLE = "VOLARY_PUBLIC_KEY"  # how a preflight gets its content
