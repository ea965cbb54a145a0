{{/* The name of the chart in names and labels. */}}
{{- define "dbos-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects: the release's, with the chart's unless it contains it. */}}
{{- define "dbos-operator.fullname" -}}
{{- $name := include "dbos-operator.name" . -}}
{{- $made := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $made .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of objects without a namespace: two releases of one name in two namespaces do not meet. */}}
{{- define "dbos-operator.clusterwideName" -}}
{{- printf "%s:%s" .Release.Namespace (include "dbos-operator.fullname" .) -}}
{{- end -}}

{{- define "dbos-operator.serviceAccountName" -}}
{{- $own := include "dbos-operator.fullname" . -}}
{{- default (ternary $own "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "dbos-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dbos-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "dbos-operator.labels" -}}
{{ include "dbos-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{- define "dbos-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* NAMESPACE/NAME of the DBOSDatabase for resources that have none of their own, or nothing. */}}
{{- define "dbos-operator.defaultDatabase" -}}
{{- with .Values.defaultDatabase -}}
{{- if .secretRef.name -}}
{{- if .existing -}}
{{- fail "defaultDatabase.existing and defaultDatabase.secretRef.name: expected one of them, got both" -}}
{{- end -}}
{{ printf "%s/%s" $.Release.Namespace .name }}
{{- else -}}
{{ .existing }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails where the operator would not see its own default. */}}
{{- define "dbos-operator.checkDefaultDatabase" -}}
{{- $key := include "dbos-operator.defaultDatabase" . -}}
{{- if and $key .Values.watch.namespaces -}}
{{- $namespace := first (splitList "/" $key) -}}
{{- if not (has $namespace .Values.watch.namespaces) -}}
{{- fail (printf "defaultDatabase: expected a namespace of watch.namespaces (%s), got %s" (join ", " .Values.watch.namespaces) $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Not empty where the default DBOSDatabase must wait for its kind. Helm cannot create a kind and an object of it in one
go: docs/adr/0008-database-in-the-release-of-its-kind.md.
*/}}
{{- define "dbos-operator.databaseByHook" -}}
{{- $known := .Capabilities.APIVersions.Has "dbos.dev/v1beta1/DBOSDatabase" -}}
{{- with .Values.defaultDatabase -}}
{{- if and .secretRef.name .hook $.Values.crds.install (not $known) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the operator does in a namespace: the list of docs/operator.md. A test compares it with what is used. */}}
{{- define "dbos-operator.rules" -}}
- apiGroups: [dbos.dev]
  resources: [dbosdatabases, dbosqueues, dbosschedules]
  verbs: [list, watch, patch] # patch: finalizers
- apiGroups: [dbos.dev]
  resources: [dbosdatabases/status, dbosqueues/status, dbosschedules/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch] # patch: the deletion cost
- apiGroups: [""]
  resources: [secrets]
  verbs: [get] # those that a DBOSDatabase names
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get] # the UID of kube-system marks rows; a terminating namespace hurries finalizers
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* The rest of a pod that runs files/scripts/checks.py: root, arguments. */}}
{{- define "dbos-operator.checkPod" -}}
{{- $root := .root -}}
serviceAccountName: {{ include "dbos-operator.serviceAccountName" $root | quote }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
containers:
  - name: check
    image: {{ include "dbos-operator.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    command: [python, -c]
    args:
      - |
        {{- $root.Files.Get "files/scripts/checks.py" | trim | nindent 8 }}
      {{- range .arguments }}
      - {{ . | quote }}
      {{- end }}
    resources:
      requests:
        cpu: 10m
        memory: 32Mi
      limits:
        memory: 128Mi
    securityContext:
      {{- toYaml $root.Values.securityContext | nindent 6 }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
