{{- define "pullproxy.labels" -}}
app.kubernetes.io/name: pullproxy
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: pullproxy
{{- end }}

{{- define "pullproxy.selector" -}}
app.kubernetes.io/name: pullproxy
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "pullproxy.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.tag }}:{{ . }}{{ end }}
{{- end }}

{{- define "pullproxy.secret" -}}
{{ .Values.existingSecret | default .Release.Name }}
{{- end }}

{{- define "pullproxy.instanceNamespace" -}}
{{ .Values.instances.namespace | default (printf "%s-instances" .Release.Namespace) }}
{{- end }}

{{- define "pullproxy.redisEnv" -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "pullproxy.secret" . }}
      key: redis-password
- name: PULLPROXY_REDIS
  value: {{ .Values.redis.enabled | ternary (printf "redis://:$(REDIS_PASSWORD)@%s-redis:6379" .Release.Name) .Values.redis.url | required "redis.url: with redis.enabled=false, name a Redis" }}
{{- end }}

{{- define "pullproxy.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "pullproxy.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "pullproxy.toRedis" -}}
{{- if .Values.redis.enabled -}}
- to:
    - podSelector:
        matchLabels: {{- include "pullproxy.selector" (dict "root" . "component" "redis") | nindent 10 }}
  ports:
    - port: 6379
{{- else -}}
- ports:
    - port: {{ .Values.redis.port }}
{{- end }}
{{- end }}

{{- define "pullproxy.toNames" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
{{- end }}

{{- define "pullproxy.fromPrometheus" -}}
- from:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .Values.networkPolicies.monitoringNamespace }}
  ports:
    - port: 9090
{{- end }}
