{{- define "rollcall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "rollcall.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "rollcall.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rollcall.selector" -}}
app.kubernetes.io/name: {{ include "rollcall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rollcall.labels" -}}
{{ include "rollcall.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* What cannot work is refused before anything is installed. */ -}}
{{- define "rollcall.check" -}}
{{- if not .Values.store.existingSecret }}
{{- if gt (int .Values.replicas) 1 }}
{{- fail (printf "replicas is %d, but SQLite on a volume serves one pod: set store.existingSecret to a Secret with the URL of a PostgreSQL, or replicas to 1" (int .Values.replicas)) }}
{{- end }}
{{- else if not .Values.secret.existingSecret }}
{{- fail "store.existingSecret is set, but secret.existingSecret is not: all replicas need one secret. Create it with: kubectl create secret generic rollcall-secret --from-literal=secret=$(openssl rand -hex 32)" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.baseURL) }}
{{- fail "ingress.enabled is true, but baseURL is empty: it names the host and the path, such as https://example.org/telemetry" }}
{{- end }}
{{- end }}
