{{/* The rules for watched namespaces, per namespace or for the whole cluster:
     (dict "top" $ "account" <service account> "rules" <text>). */}}
{{- define "veriramp.watchRoles" -}}
{{- $top := .top }}
{{- $role := printf "%s-rollouts" .account }}
{{- $rules := .rules }}
{{- $account := .account }}
{{- if $top.Values.clusterWide }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $top.Release.Namespace }}-{{ $role }}
  labels: {{- include "veriramp.labels" $top | nindent 4 }}
rules:
{{- $rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $top.Release.Namespace }}-{{ $role }}
  labels: {{- include "veriramp.labels" $top | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $top.Release.Namespace }}-{{ $role }}}
subjects: [{kind: ServiceAccount, name: {{ $account }}, namespace: {{ $top.Release.Namespace }}}]
{{- end }}
{{- range include "veriramp.namespaces" $top | fromJsonArray }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $role }}
  namespace: {{ . }}
  labels: {{- include "veriramp.labels" $top | nindent 4 }}
rules:
{{- $rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $role }}
  namespace: {{ . }}
  labels: {{- include "veriramp.labels" $top | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $role }}}
subjects: [{kind: ServiceAccount, name: {{ $account }}, namespace: {{ $top.Release.Namespace }}}]
{{- end }}
{{- end -}}
