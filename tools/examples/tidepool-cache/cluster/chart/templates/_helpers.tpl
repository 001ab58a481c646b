{{/* The name of everything that belongs to one installation. */}}
{{- define "tidepool.name" -}}
{{- printf "%s-cache" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* What pods are found by; it never changes. */}}
{{- define "tidepool.selector" -}}
app.kubernetes.io/name: tidepool
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidepool.labels" -}}
{{ include "tidepool.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* An image of global.azure.images: by its digest, or by its tag until it is pinned. */}}
{{- define "tidepool.image" -}}
{{- $at := printf "%s/%s" .registry .image -}}
{{- if .digest -}}{{ $at }}@{{ .digest }}{{- else -}}{{ $at }}:{{ .tag }}{{- end -}}
{{- end -}}
