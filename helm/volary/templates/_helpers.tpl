{{- define "volary.name" -}}
{{- if contains "volary" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-volary" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}-operator
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
{{- end }}
