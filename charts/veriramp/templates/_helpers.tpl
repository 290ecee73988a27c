{{/* Prefix of every name: the release, with the chart's name in it. */}}
{{- define "veriramp.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "veriramp.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: veriramp
{{ include "veriramp.selector" . }}
{{- end -}}

{{- define "veriramp.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Folder of the images with a slash at its end: "registry.example/veriramp/". */}}
{{- define "veriramp.images" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end -}}
{{- with .Values.image.prefix }}{{ . }}/{{ end -}}
{{- end -}}

{{/* One image: (list $ "operator"). */}}
{{- define "veriramp.image" -}}
{{- $top := index . 0 -}}
{{- include "veriramp.images" $top }}{{ index . 1 }}:{{ $top.Values.image.tag | default $top.Chart.AppVersion }}
{{- end -}}

{{/* Watched namespaces as a YAML list; empty in cluster mode. */}}
{{- define "veriramp.namespaces" -}}
{{- if .Values.clusterWide -}}
{{- if .Values.watchNamespaces -}}
{{- fail "watchNamespaces has names and clusterWide is true; write one of them" -}}
{{- end -}}
[]
{{- else -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{- define "veriramp.alertSecret" -}}
{{- .Values.alerts.existingSecret | default (printf "%s-alerts" (include "veriramp.fullname" .)) -}}
{{- end -}}

{{/* What the operator and the flag server share: (dict "top" $ "part" "operator" "values" .Values.operator). */}}
{{- define "veriramp.podMetadata" -}}
labels:
  {{- include "veriramp.selector" .top | nindent 2 }}
  app.kubernetes.io/component: {{ .part }}
  {{- with .values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ .port | quote }}
  {{- with .values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}

{{- define "veriramp.podPlacement" -}}
{{- with .top.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
{{- if .values.affinity }}
  {{- toYaml .values.affinity | nindent 2 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "veriramp.selector" .top | nindent 14 }}
              app.kubernetes.io/component: {{ .part }}
{{- end }}
securityContext: {{- toYaml .top.Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{- define "veriramp.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "veriramp.env" -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: TMPDIR, value: /run/veriramp/tmp}
- {name: VERIRAMP_WATCH_NAMESPACES, value: {{ include "veriramp.namespaces" .top | fromJsonArray | join "," | quote }}}
- {name: VERIRAMP_LEASE_NAMESPACE, value: {{ .top.Release.Namespace }}}
- {name: VERIRAMP_LEASE_NAME, value: {{ include "veriramp.fullname" .top }}-operator}
{{- range $name, $value := .values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}
