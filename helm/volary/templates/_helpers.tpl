{{- define "volary.name" -}}
{{- if contains "volary" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-volary" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}-operator
{{- end }}

{{- define "volary.account" -}}
{{- .Values.serviceAccount.name | default (include "volary.name" .) }}
{{- end }}

{{- define "volary.selector" -}}
app.kubernetes.io/name: volary
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "volary.labels" -}}
{{ include "volary.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "volary.annotations" -}}
{{- with .Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "volary.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "volary.nobody" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "volary.rules" -}}
# The spec is the user's: it is read, never written.
- apiGroups: [serving.volary.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [serving.volary.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
# Revisions, their pods, their preflights, their addresses.
- apiGroups: [apps]
  resources: [controllerrevisions, deployments]
  verbs: [get, list, watch, create, patch, delete]
# What keeps their number: only where a spec asks for it.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "volary.rules.gateway" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# What a gateway can do, asked where a spec wants to mirror.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [get]
{{- end }}

{{- define "volary.rules.class" -}}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get]
{{- end }}

{{- define "volary.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update, patch]
{{- end }}

{{- /* A role and its binding. list: root, name, namespace (empty: of the cluster), rules, account's namespace is the release's */}}
{{- define "volary.role" -}}
{{- $root := index . 0 }}{{ $name := index . 1 }}{{ $namespace := index . 2 }}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ not (empty $namespace) | ternary "Role" "ClusterRole" }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "volary.labels" $root | nindent 4 }}
  {{- include "volary.annotations" $root | nindent 2 }}
rules:
  {{- index . 3 | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ not (empty $namespace) | ternary "RoleBinding" "ClusterRoleBinding" }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "volary.labels" $root | nindent 4 }}
  {{- include "volary.annotations" $root | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ not (empty $namespace) | ternary "Role" "ClusterRole" }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "volary.account" $root }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
