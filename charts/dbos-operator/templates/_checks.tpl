{{/* Fails by the name of a value that values.schema.json cannot judge: it depends on others, or on arithmetic. */}}
{{- define "dbos-operator.checks" -}}
{{- include "dbos-operator.checkDefaultDatabase" . -}}
{{- include "dbos-operator.checkStatementTimeout" . -}}
{{- include "dbos-operator.checkPorts" . -}}
{{- $labels := keys (include "dbos-operator.labels" . | fromYaml) -}}
{{- with .Values -}}
{{- include "dbos-operator.checkBesides" (list "podLabels" .podLabels $labels) -}}
{{- include "dbos-operator.checkBesides" (list "serviceMonitor.labels" .serviceMonitor.labels $labels) -}}
{{- include "dbos-operator.checkBesides" (list "prometheusRule.labels" .prometheusRule.labels $labels) -}}
{{- include "dbos-operator.checkBesides" (list "grafana.dashboards.labels" .grafana.dashboards.labels $labels) -}}
{{- $ofPod := list "kubectl.kubernetes.io/default-container" -}}
{{- include "dbos-operator.checkBesides" (list "podAnnotations" .podAnnotations $ofPod) -}}
{{- $ofHelm := list "helm.sh/hook" "helm.sh/resource-policy" "meta.helm.sh/release-name" "meta.helm.sh/release-namespace" -}}
{{- $ofDatabase := append $ofHelm "dbos.dev/spec-of-chart" -}}
{{- include "dbos-operator.checkBesides" (list "defaultDatabase.annotations" .defaultDatabase.annotations $ofDatabase) -}}
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

{{/* Fails for more than the kind allows. That it is more than nothing is in the schema. */}}
{{- define "dbos-operator.checkStatementTimeout" -}}
{{- with dig "connections" "statementTimeout" "" (default dict .Values.defaultDatabase.spec) -}}
{{- $text := . -}}
{{- $total := 0 -}}
{{- range $unit, $milliseconds := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 -}}
{{- $count := regexFind (printf "[0-9]+%s([0-9]|$)" $unit) $text | regexFind "^[0-9]+" -}}
{{- $total = add $total (mul (atoi (default "0" $count)) $milliseconds) -}}
{{- end -}}
{{- if gt (int64 $total) (int64 3600000) -}}
{{- fail (printf "defaultDatabase.spec.connections.statementTimeout: expected at most 1h, got %s" $text) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails for one port twice. A number of --set and one of a file differ in type. */}}
{{- define "dbos-operator.checkPorts" -}}
{{- if eq (int .Values.ports.metrics) (int .Values.ports.health) -}}
{{- fail (printf "ports.metrics and ports.health: expected two ports, got %v twice" .Values.ports.metrics) -}}
{{- end -}}
{{- end -}}

{{/* Fails for what the chart writes itself: path of a value, the value, names of the chart. YAML takes a key once. */}}
{{- define "dbos-operator.checkBesides" -}}
{{- $path := index . 0 -}}
{{- $given := default dict (index . 1) -}}
{{- range index . 2 | sortAlpha -}}
{{- if hasKey $given . -}}
{{- fail (printf "%s: expected names besides the chart's own, got %s" $path .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
