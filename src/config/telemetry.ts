/** The settings of access log and traces. */
import { share, text, yesNo } from './kinds.ts';
import { onOff, setting } from './settings.ts';

export const TRACING_SETTINGS = {
  tracing: onOff(
    'tracing',
    yesNo,
    "sends OpenTelemetry traces by OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318); also on when that variable is set. OpenTelemetry's other variables count too",
  ),
};

export const TELEMETRY_SETTINGS = {
  accessLog: setting(
    'access-log',
    text('off|stdout|FILE', 'off, stdout or the path of a file'),
    'off',
    'one JSON line for each request, and for each TCP or TLS connection that is passed through: in the log on stdout, or appended to a file',
  ),
  accessLogSample: setting(
    'access-log-sample',
    share,
    1,
    'share of the requests that are written, from 0 to 1; failed ones are always written',
  ),
  ...TRACING_SETTINGS,
};

/** Whether to send traces: by the flag, or by OpenTelemetry's variables (its specification, "Environment Variable"). */
export function tracingWanted(asked: boolean, environment: Readonly<Record<string, string | undefined>>): boolean {
  if (environment.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return false;
  if (asked) return true;
  const { OTEL_TRACES_EXPORTER: exporter = '', OTEL_EXPORTER_OTLP_ENDPOINT = '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = '' } = environment;
  if (exporter !== '') return exporter.split(',').includes('otlp');
  return OTEL_EXPORTER_OTLP_ENDPOINT !== '' || OTEL_EXPORTER_OTLP_TRACES_ENDPOINT !== '';
}
