/** The settings of what a process says about single requests: access log and traces. */
import { share, text, yesNo } from './kinds.ts';
import { onOff, setting } from './settings.ts';

export const TRACING_SETTINGS = {
  tracing: onOff(
    'tracing',
    yesNo,
    "sends OpenTelemetry traces by OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318); on by itself where that is set. OpenTelemetry's other variables count, too",
  ),
};

export const TELEMETRY_SETTINGS = {
  accessLog: setting(
    'access-log',
    text('off|stdout|FILE', 'off, stdout or the path of a file'),
    'off',
    'one JSON line for each request, and for each connection that is passed through: on stdout among the log, or appended to a file',
  ),
  accessLogSample: setting(
    'access-log-sample',
    share,
    1,
    'share of the requests that are written, from 0 to 1; what failed is written in any case',
  ),
  ...TRACING_SETTINGS,
};

/** Whether traces are to be sent: the flag says so, or what OpenTelemetry's variables say (its specification, "Environment Variable"). */
export function tracingWanted(asked: boolean, environment: Readonly<Record<string, string | undefined>>): boolean {
  if (environment.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return false;
  if (asked) return true;
  const { OTEL_TRACES_EXPORTER: exporter = '', OTEL_EXPORTER_OTLP_ENDPOINT = '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = '' } = environment;
  if (exporter !== '') return exporter.split(',').includes('otlp');
  return OTEL_EXPORTER_OTLP_ENDPOINT !== '' || OTEL_EXPORTER_OTLP_TRACES_ENDPOINT !== '';
}
