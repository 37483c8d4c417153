{{/* The name of the chart. */}}
{{- define "mockingbird.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything that is installed. A Job's hash and a pod's number are added, to
63 characters at most. */}}
{{- define "mockingbird.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 49 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 49 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 49 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mockingbird.headless" -}}
{{ include "mockingbird.fullname" . }}-pods
{{- end -}}

{{/* A pod's name within the namespace, as its own environment completes it. */}}
{{- define "mockingbird.podName" -}}
${POD_NAME}.{{ include "mockingbird.headless" . }}
{{- end -}}

{{- define "mockingbird.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mockingbird.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* The labels of pods: another version of the chart alone is no reason to replace them. */}}
{{- define "mockingbird.podLabels" -}}
{{ include "mockingbird.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: generator
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mockingbird.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "mockingbird.podLabels" . }}
{{- end -}}

{{- define "mockingbird.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mockingbird.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mockingbird.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "mockingbird.configMap" -}}
{{- default (include "mockingbird.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{/* The configuration that the values have. */}}
{{- define "mockingbird.ownConfig" -}}
{{- if .Values.configFile -}}
{{- .Values.configFile -}}
{{- else if .Values.config -}}
{{- toYaml .Values.config -}}
{{- else -}}
{{- .Files.Get "config.yaml" -}}
{{- end -}}
{{- end -}}

{{/* The same, where sections of a file may be empty, as their values. */}}
{{- define "mockingbird.sections" -}}
{{- toYaml (merge (include "mockingbird.ownConfig" . | fromYaml) (dict "global" dict "exporters" (dict "prometheus" dict))) -}}
{{- end -}}

{{- define "mockingbird.controlPort" -}}
{{- dig "global" "control_api_port" 8081 (include "mockingbird.sections" . | fromYaml) -}}
{{- end -}}

{{/* A file is taken as it is. To values the chart adds what it decides, where they don't say
otherwise: where it is scraped, an exposed control API, and the journal. The text is the same for
all pods; what is a pod's own is read from its environment. */}}
{{- define "mockingbird.config" -}}
{{- if .Values.configFile -}}
{{- .Values.configFile -}}
{{- else -}}
{{- $global := dict -}}
{{- $exporters := dict -}}
{{- if eq .Values.mode "serve" -}}
{{- $_ := set $exporters "prometheus" (dict "port" .Values.service.port) -}}
{{- if .Values.control.expose -}}
{{- $pod := include "mockingbird.podName" . -}}
{{- $namespace := .Release.Namespace -}}
{{- $_ := set $global "control_api_bind" "0.0.0.0" -}}
{{- $_ := set $global "control_api_hosts" (list $pod (printf "%s.%s" $pod $namespace) (printf "%s.%s.svc" $pod $namespace) (printf "%s.%s.svc.cluster.local" $pod $namespace)) -}}
{{- end -}}
{{- if .Values.journal.enabled -}}
{{- $_ := set $global "journal_file" "/var/lib/mockingbird/run.journal" -}}
{{- end -}}
{{- end -}}
{{- $own := include "mockingbird.ownConfig" . | fromYaml -}}
{{- toYaml (mergeOverwrite (dict "global" $global "exporters" $exporters) $own) -}}
{{- end -}}
{{- end -}}

{{/* What cannot work is refused here, where the reason can be told. */}}
{{- define "mockingbird.check" -}}
{{- if and .Values.config .Values.configFile -}}
{{- fail "config and configFile: there are both; keep one" -}}
{{- end -}}
{{- $own := include "mockingbird.sections" . | fromYaml -}}
{{/* Helm reads less than the program does, .nan for one: then a file is not looked into. */}}
{{- $known := not (or $own.Error .Values.existingConfigMap) -}}
{{- if $known -}}
{{- if and (eq .Values.mode "serve") (not (dig "exporters" "prometheus" "enabled" true $own)) -}}
{{- fail "config.exporters.prometheus.enabled: is off, but probes ask its port; leave it on, nobody has to scrape it" -}}
{{- end -}}
{{- $port := dig "exporters" "prometheus" "port" (ternary 8000 .Values.service.port (not (empty .Values.configFile))) $own -}}
{{- if and (eq .Values.mode "serve") (not (kindIs "string" $port)) (ne (int $port) (int .Values.service.port)) -}}
{{- fail (printf "config.exporters.prometheus.port: is %d, but service.port is %d" (int $port) (int .Values.service.port)) -}}
{{- end -}}
{{- end -}}
{{- $epoch := dig "global" "epoch" "" $own -}}
{{- if and (gt (int .Values.shards) 1) (not $epoch) $known -}}
{{- fail "config.global.epoch: missing; several shards are one run only if tick 0 has the same time in all of them: set it to a time such as 2026-01-01T00:00:00Z" -}}
{{- end -}}
{{- if and .Values.control.expose (not .Values.control.tokenSecret.name) -}}
{{- fail "control.tokenSecret.name: missing; a control API that the network reaches needs a token" -}}
{{- end -}}
{{- if and .Values.control.expose .Values.configFile $known (not (dig "global" "control_api_bind" "" $own)) -}}
{{- fail (printf "configFile: control.expose needs in it: global: {control_api_bind: 0.0.0.0, control_api_hosts: [%s]}" (include "mockingbird.podName" . | quote)) -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- fail "podMonitor and serviceMonitor: both are enabled, and every page would be scraped twice" -}}
{{- end -}}
{{- if eq .Values.mode "push" -}}
{{- $push := .Values.push -}}
{{- if eq $push.what "backfill" -}}
{{- if not (and $push.from $push.to) -}}
{{- fail "push.from and push.to: a backfill needs both, such as 2026-01-01T00:00:00Z" -}}
{{- end -}}
{{- if eq (empty $push.remoteWrite) (empty $push.otlp) -}}
{{- fail "push.remoteWrite, push.otlp: a backfill needs one of both" -}}
{{- end -}}
{{- else if not $push.for -}}
{{- fail "push.for: missing; how long the run lasts, such as 1h" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The pod: of the mode's own what its container runs, its probes, its state. */}}
{{- define "mockingbird.pod" -}}
{{- $serves := eq .Values.mode "serve" -}}
metadata:
  labels:
    {{- include "mockingbird.podLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- if not .Values.existingConfigMap }}
    # Another configuration rolls the pods.
    checksum/config: {{ include "mockingbird.config" . | sha256sum }}
    {{- end }}
    {{- if and .Values.scrapeAnnotations $serves }}
    prometheus.io/scrape: "true"
    prometheus.io/port: {{ .Values.service.port | quote }}
    prometheus.io/path: /metrics
    {{- end }}
    kubectl.kubernetes.io/default-container: mockingbird
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "mockingbird.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- if not $serves }}
  restartPolicy: Never
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- $pod := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") }}
    {{- toYaml (mergeOverwrite $pod (deepCopy .Values.podSecurityContext)) | nindent 4 }}
  containers:
    - name: mockingbird
      image: {{ include "mockingbird.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- if $serves }}
        - --config=/etc/mockingbird/config.yaml
        {{- else if eq .Values.push.what "run" }}
        - run
        - --config=/etc/mockingbird/config.yaml
        - --for={{ .Values.push.for }}
        {{- else }}
        - backfill
        - --config=/etc/mockingbird/config.yaml
        - --from={{ .Values.push.from }}
        - --to={{ .Values.push.to }}
        - --state=/var/lib/mockingbird/backfill.state
        {{- with .Values.push.remoteWrite }}
        - --remote-write={{ . }}
        {{- end }}
        {{- with .Values.push.otlp }}
        - --otlp={{ . }}
        {{- end }}
        {{- end }}
        {{- range .Values.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        # Its number is at the end of the pod's name, or that of the Job's index.
        - name: MOCKINGBIRD_SHARD
          value: auto
        - name: MOCKINGBIRD_SHARDS
          value: {{ .Values.shards | quote }}
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: POD_NAMESPACE
          valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        - name: NODE_NAME
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        {{- with .Values.control.tokenSecret }}
        {{- if .name }}
        - name: MOCKINGBIRD_CONTROL_TOKEN
          valueFrom:
            secretKeyRef:
              name: {{ .name }}
              key: {{ .key }}
        {{- end }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $serves }}
      ports:
        - name: metrics
          containerPort: {{ .Values.service.port }}
        {{- if .Values.control.expose }}
        - name: control
          containerPort: {{ include "mockingbird.controlPort" . }}
        {{- end }}
      {{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" }}
      {{ $probe }}:
        httpGet:
          path: /healthz
          port: metrics
        {{- with index $.Values $probe }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
        {{- toYaml (mergeOverwrite $own (deepCopy .Values.securityContext)) | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/mockingbird
          readOnly: true
        - name: state
          mountPath: /var/lib/mockingbird
        {{- range .Values.secrets }}
        - name: secret-{{ .name }}
          mountPath: /etc/mockingbird-secrets/{{ .name }}
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "mockingbird.configMap" . }}
    {{- if not (and $serves .Values.journal.enabled .Values.journal.persistence.enabled) }}
    - name: state
      emptyDir: {}
    {{- end }}
    {{- range .Values.secrets }}
    - name: secret-{{ .name }}
      secret:
        secretName: {{ .name }}
        defaultMode: 0440
        {{- with .items }}
        items:
          {{- toYaml . | nindent 10 }}
        {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
