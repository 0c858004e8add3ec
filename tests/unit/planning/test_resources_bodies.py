"""The whole pod, spelled out: whoever changes it restarts every model pod of every user, and sees it here."""

import yaml

from tests.unit.planning.builders import revision
from volary.planning import pods

TEMPLATE = """
metadata:
  labels:
    serving.volary.dev/model: fraud
    serving.volary.dev/revision: 1a2b3c4d5e
    app.kubernetes.io/managed-by: volary
    app.kubernetes.io/component: server
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 45
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  initContainers:
  - name: agent
    image: registry.example/volary-agent:0.1.0
    imagePullPolicy: IfNotPresent
    restartPolicy: Always
    args: [agent, --uri, s3://models/fraud, --version, 1.4.0,
      --digest, "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      --model, fraud, --directory, /models, --runtime, onnxruntime,
      --server, "http://127.0.0.1:8080", --listen, "0.0.0.0:8081"]
    env:
    - {name: AWS_ACCESS_KEY_ID, valueFrom: {secretKeyRef: {name: models-s3, key: AWS_ACCESS_KEY_ID}}}
    - {name: AWS_SECRET_ACCESS_KEY, valueFrom: {secretKeyRef: {name: models-s3, key: AWS_SECRET_ACCESS_KEY}}}
    - {name: AWS_SESSION_TOKEN, valueFrom: {secretKeyRef: {name: models-s3, key: AWS_SESSION_TOKEN, optional: true}}}
    - {name: AWS_ENDPOINT_URL_S3, value: "https://minio.storage:9000"}
    - {name: AWS_REGION, value: us-east-1}
    ports: [{name: agent, containerPort: 8081, protocol: TCP}]
    startupProbe: {httpGet: {path: /startup, port: 8081}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 86400}
    readinessProbe: {httpGet: {path: /ready, port: 8081}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 3}
    resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 256Mi}}
    terminationMessagePolicy: File
    securityContext: &confined
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts: [{name: models, mountPath: /models}, {name: tmp, mountPath: /tmp}]
  containers:
  - name: server
    image: registry.example/volary-server:0.1.0
    imagePullPolicy: IfNotPresent
    args: [serve, --bundle, /models/fraud/1.4.0, --model, fraud, --revision, 1a2b3c4d5e, --listen, "0.0.0.0:8080"]
    ports: [{name: http, containerPort: 8080, protocol: TCP}]
    startupProbe: {httpGet: {path: /v2/health/live, port: 8080}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 3600}
    readinessProbe: {httpGet: {path: /v2/health/ready, port: 8080}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 3}
    livenessProbe: {httpGet: {path: /v2/health/live, port: 8080}, periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6}
    resources: {requests: {cpu: 500m}, limits: {memory: 1Gi}}
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext: *confined
    volumeMounts: [{name: models, mountPath: /models, readOnly: true}, {name: tmp, mountPath: /tmp}]
  volumes:
  - {name: models, emptyDir: {}}
  - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
"""


def test_the_pod_of_a_revision() -> None:
    assert pods.model_template("fraud", revision()) == yaml.safe_load(TEMPLATE)
