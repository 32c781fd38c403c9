{{/*
The driver. As an init container that stays (restartPolicy: Always) it listens before the sidecars
start, and gets SIGTERM only after all of them have ended; its preStop hook, though, runs as soon as
the pod is deleted, and that is when it hands over.
*/}}
{{- define "rds-csi.driverContainer" -}}
- name: rds-csi
  image: {{ include "rds-csi.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  command:
    - /rds-csi
  args:
    {{- include "rds-csi.driverArgs" . | nindent 4 }}
  env:
    - name: POD_NAME
      valueFrom:
        fieldRef:
          fieldPath: metadata.name
    - name: POD_UID
      valueFrom:
        fieldRef:
          fieldPath: metadata.uid
    - name: POD_NAMESPACE
      valueFrom:
        fieldRef:
          fieldPath: metadata.namespace
    # For the controller, and for `rds-csi status` and `drain` when they are run in this container.
    - name: RDS_CSI_CONTROL_SOCKET
      value: /run/csi/control.sock
    # One arena of the C library's allocator, which gives back what a long list took: 29 MiB in place of
    # 39 with 10,000 attached volumes, standalone, at no cost that could be seen (docs/benchmarks.md).
    - name: MALLOC_ARENA_MAX
      value: "1"
    - name: MALLOC_TRIM_THRESHOLD_
      value: "131072"
    - name: MALLOC_MMAP_THRESHOLD_
      value: "65536"
    {{- with .Values.telemetry.secret }}
    {{- if .headers }}
    - name: OTEL_EXPORTER_OTLP_HEADERS
      valueFrom:
        secretKeyRef:
          name: {{ .name | quote }}
          key: {{ .headers }}
    {{- end }}
    {{- if .authority }}
    - name: OTEL_EXPORTER_OTLP_CERTIFICATE
      value: /etc/rds-csi-telemetry/{{ .authority }}
    {{- end }}
    {{- end }}
    {{- with .Values.controller.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - name: metrics
      containerPort: {{ .Values.metrics.port }}
  # Sidecars start once this has passed; until then the socket may be missing.
  startupProbe:
    httpGet:
      path: /livez
      port: metrics
    periodSeconds: 1
    failureThreshold: 30
  # A healthy follower is ready too: nobody sends requests to this pod, updates wait for it.
  readinessProbe:
    httpGet:
      path: /readyz
      port: metrics
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 3
  # Never Probe of the CSI socket, by which a follower says that it does not serve.
  livenessProbe:
    httpGet:
      path: /livez
      port: metrics
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  lifecycle:
    preStop:
      exec:
        command:
          - /rds-csi
          - drain
  securityContext:
    {{- include "rds-csi.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .Values.controller.resources | nindent 4 }}
  volumeMounts:
    - name: socket
      mountPath: /run/csi
    - name: lock
      mountPath: /run/rds-csi-lock
    - name: rds
      mountPath: /etc/rds-csi
      readOnly: true
    {{- if .Values.telemetry.secret.authority }}
    - name: telemetry
      mountPath: /etc/rds-csi-telemetry
      readOnly: true
    {{- end }}
{{- end -}}

{{- define "rds-csi.driverArgs" -}}
- controller
- --endpoint=unix:///run/csi/csi.sock
- --driver-name={{ .Values.driver.name }}
- {{ printf "--cluster-id=%s" .Values.clusterId | quote }}
- --pod-name=$(POD_NAME)
- --pod-uid=$(POD_UID)
- --lock-file=/run/rds-csi-lock/lock
- --leader-election-namespace=$(POD_NAMESPACE)
- --leader-election-lease={{ include "rds-csi.lease" . }}
- --leader-election-profile={{ .Values.controller.leaderElectionProfile }}
- --rds-address={{ .Values.rds.address }}
- --rds-port={{ .Values.rds.port }}
- {{ printf "--rds-user=%s" .Values.rds.user | quote }}
{{- with .Values.rds.secret.privateKey }}
- --rds-key-file=/etc/rds-csi/{{ . }}
{{- end }}
{{- with .Values.rds.secret.password }}
- --rds-password-file=/etc/rds-csi/{{ . }}
{{- end }}
{{- if .Values.rds.hostKey }}
- {{ printf "--rds-host-key=%s" .Values.rds.hostKey | quote }}
{{- else }}
- --rds-host-key=/etc/rds-csi/{{ .Values.rds.secret.hostKey }}
{{- end }}
- --rds-volume-base-path={{ .Values.rds.volumeBasePath }}
{{- with .Values.rds.nvmeAddress }}
- --nvme-address={{ . }}
{{- end }}
- --rds-connections={{ .Values.rds.connections }}
- --rds-command-timeout={{ .Values.rds.commandTimeout }}
- --rds-connect-timeout={{ .Values.rds.connectTimeout }}
{{- if .Values.rds.legacyAlgorithms }}
- --rds-legacy-algorithms
{{- end }}
- --revoke-settle={{ .Values.controller.revokeSettle }}
- --shards={{ .Values.controller.shards }}
- --attachment-reconcile-interval={{ .Values.controller.attachmentReconcileInterval }}
- --attachment-grace-period={{ .Values.controller.attachmentGracePeriod }}
- {{ printf "--metrics-address=%s:%v" .Values.metrics.listenAddress .Values.metrics.port | quote }}
- --log-format={{ .Values.controller.logFormat }}
- {{ printf "--log-level=%s" .Values.controller.logLevel | quote }}
{{- with .Values.telemetry.otlpEndpoint }}
- --otlp-endpoint={{ . }}
- --trace-ratio={{ $.Values.telemetry.traceRatio }}
{{- end }}
{{- range .Values.controller.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
