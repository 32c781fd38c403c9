{{/* Name of the chart, as in the label app.kubernetes.io/name. */}}
{{- define "rds-csi.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What every object is called. 52 characters leave room for the longest suffix, "-controller". */}}
{{- define "rds-csi.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "rds-csi.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide objects of two releases must not be one. */}}
{{- define "rds-csi.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "rds-csi.fullname" .) | trunc 100 | trimSuffix "-" -}}
{{- end -}}

{{- define "rds-csi.controller" -}}
{{- printf "%s-controller" (include "rds-csi.fullname" .) -}}
{{- end -}}

{{/* The Service that stands for all replicas. */}}
{{- define "rds-csi.metrics" -}}
{{- printf "%s-metrics" (include "rds-csi.fullname" .) -}}
{{- end -}}

{{- define "rds-csi.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rds-csi.controller" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Lease is made by the first leader and never by the chart: an upgrade must not touch it. */}}
{{- define "rds-csi.lease" -}}
{{- printf "%s-controller" .Values.driver.name -}}
{{- end -}}

{{- define "rds-csi.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "rds-csi.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rds-csi.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "rds-csi.labels" -}}
{{ include "rds-csi.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* An IPv4 address, or anything with a colon, which no host name has. */}}
{{- define "rds-csi.isAddress" -}}
{{- if or (regexMatch "^[0-9]{1,3}(\\.[0-9]{1,3}){3}$" .) (contains ":" .) -}}yes{{- end -}}
{{- end -}}

{{/* What a schema cannot say, because it is about two values at once. */}}
{{- define "rds-csi.validate" -}}
{{- if and (not .Values.rds.nvmeAddress) (not (include "rds-csi.isAddress" .Values.rds.address)) -}}
{{- fail (printf "rds.nvmeAddress is required, as rds.address %q is a name and nodes connect to IP addresses only" .Values.rds.address) -}}
{{- end -}}
{{- if not (or .Values.rds.secret.privateKey .Values.rds.secret.password) -}}
{{- fail "rds.secret.privateKey or rds.secret.password must name a key of the Secret: the driver has to log in" -}}
{{- end -}}
{{- if not (or .Values.rds.hostKey .Values.rds.secret.hostKey) -}}
{{- fail "rds.hostKey or rds.secret.hostKey is required: without the host key, somebody else could answer at rds.address" -}}
{{- end -}}
{{- with .Values.telemetry.secret -}}
{{- if and (or .headers .authority) (not .name) -}}
{{- fail "telemetry.secret.name is required when one of its keys is given" -}}
{{- end -}}
{{- end -}}
{{- $default := list -}}
{{- range .Values.storageClasses -}}
{{- if .default -}}{{- $default = append $default .name -}}{{- end -}}
{{- end -}}
{{- if gt (len $default) 1 -}}
{{- fail (printf "storageClasses: only one can be the default, not %s" (join " and " $default)) -}}
{{- end -}}
{{- end -}}

{{/* What all sidecars are told. Takes the sidecar's values. */}}
{{- define "rds-csi.sidecarArgs" -}}
- --csi-address=/run/csi/csi.sock
- --timeout={{ .timeout }}
- --retry-interval-max={{ .retryIntervalMax }}
- --kube-api-qps={{ .kubeApiQps }}
- --kube-api-burst={{ .kubeApiBurst }}
- --v={{ .logLevel }}
{{- end -}}

{{/* The rest of a sidecar's container, the same for all of them. Takes the sidecar's values. */}}
{{- define "rds-csi.sidecarRest" -}}
image: {{ printf "%s:%s" .image.repository .image.tag }}
imagePullPolicy: {{ .image.pullPolicy }}
securityContext:
  {{- include "rds-csi.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - name: socket
    mountPath: /run/csi
{{- end -}}

{{/* With what follows, all that the restricted Pod Security Standard asks for. */}}
{{- define "rds-csi.podSecurity" -}}
runAsNonRoot: true
# One user for all containers: the CSI socket is open to its owner only.
runAsUser: 65532
runAsGroup: 65532
# Secrets are files of root; this group is how the driver may read them.
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "rds-csi.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}
