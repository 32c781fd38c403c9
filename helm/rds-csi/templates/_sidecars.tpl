{{/*
None has --leader-election: the driver's Probe is not ready where it does not lead, and sidecars wait
there. None has topology: the driver does not offer it, as the RDS is reached from every node alike.
*/}}
{{- define "rds-csi.sidecarContainers" -}}
{{- with .Values.sidecars.provisioner }}
- name: csi-provisioner
  args:
    {{- include "rds-csi.sidecarArgs" . | nindent 4 }}
    - --worker-threads={{ .workers }}
    # Names of claim and volume in CreateVolume, for logs and traces.
    - --extra-create-metadata
    - --default-fstype={{ $.Values.sidecars.defaultFsType }}
  {{- include "rds-csi.sidecarRest" . | nindent 2 }}
{{- end }}
{{- with .Values.sidecars.attacher }}
- name: csi-attacher
  args:
    {{- include "rds-csi.sidecarArgs" . | nindent 4 }}
    - --worker-threads={{ .workers }}
    - --reconcile-sync={{ .reconcileSync }}
    - --default-fstype={{ $.Values.sidecars.defaultFsType }}
  {{- include "rds-csi.sidecarRest" . | nindent 2 }}
{{- end }}
{{- with .Values.sidecars.resizer }}
- name: csi-resizer
  args:
    {{- include "rds-csi.sidecarArgs" . | nindent 4 }}
    - --workers={{ .workers }}
    # Volumes grow while they are in use, so there is no need to watch every pod of the cluster.
    - --handle-volume-inuse-error=false
  {{- include "rds-csi.sidecarRest" . | nindent 2 }}
{{- end }}
{{- end -}}
