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

{{/* The spec of the default DBOSDatabase. */}}
{{- define "dbos-operator.databaseSpec" -}}
{{- with .Values.defaultDatabase -}}
secretRef:
  name: {{ .secretRef.name | quote }}
  key: {{ .secretRef.key | quote }}
{{- with .spec }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The default DBOSDatabase: root, and as a hook its events. */}}
{{- define "dbos-operator.database" -}}
{{- $root := .root -}}
apiVersion: dbos.dev/v1beta1
kind: DBOSDatabase
metadata:
  name: {{ $root.Values.defaultDatabase.name | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "dbos-operator.labels" $root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
    dbos.dev/spec-of-chart: {{ include "dbos-operator.databaseSpec" $root | sha256sum | trunc 16 | quote }}
    {{- with .hook }}
    helm.sh/hook: {{ . }}
    meta.helm.sh/release-name: {{ $root.Release.Name | quote }}
    meta.helm.sh/release-namespace: {{ $root.Release.Namespace | quote }}
    {{- end }}
    {{- with $root.Values.defaultDatabase.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "dbos-operator.databaseSpec" $root | nindent 2 }}
{{- end -}}

{{/*
How the default DBOSDatabase is made; docs/adr/0008-database-in-the-release-of-its-kind.md tells why.
  nothing   none was asked for
  after     the cluster does not know the kind yet: by a hook after it, marked as the release's own
  replaced  the release takes over one that says something else: by a hook before, as Helm would leave it as it is
  resource  in any other case
*/}}
{{- define "dbos-operator.databaseComes" -}}
{{- with .Values.defaultDatabase -}}
{{- if .secretRef.name -}}
{{- $known := $.Capabilities.APIVersions.Has "dbos.dev/v1beta1/DBOSDatabase" -}}
{{- if not .hook -}}
resource
{{- else if and $.Values.crds.install (not $known) -}}
after
{{- else -}}
{{- $annotations := dict -}}
{{- $found := dict -}}
{{- if $known -}}
{{- $found = lookup "dbos.dev/v1beta1" "DBOSDatabase" $.Release.Namespace .name -}}
{{- $annotations = dig "metadata" "annotations" dict $found -}}
{{- end -}}
{{- $ours := eq (default "" (get $annotations "meta.helm.sh/release-name")) $.Release.Name -}}
{{- $takenOver := and $ours (or $.Release.IsInstall (hasKey $annotations "helm.sh/hook")) -}}
{{- $spec := include "dbos-operator.databaseSpec" $ | sha256sum | trunc 16 -}}
{{- $same := eq (default "" (get $annotations "dbos.dev/spec-of-chart")) $spec -}}
{{- ternary "replaced" "resource" (and $takenOver (not $same)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the operator does in a namespace: the list of docs/operator.md. A test compares it with what is used. */}}
{{- define "dbos-operator.rules" -}}
- apiGroups: [dbos.dev]
  resources: [dbosdatabases, dbosqueues, dbosschedules]
  verbs: [list, watch]
- apiGroups: [dbos.dev]
  resources: [dbosqueues, dbosschedules]
  verbs: [patch] # finalizers
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
