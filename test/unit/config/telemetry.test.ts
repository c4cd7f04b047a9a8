import { expect, test } from '@jest/globals';
import { tracingWanted } from '../../../src/config/telemetry.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };

test.each<[boolean, boolean, Record<string, string>]>([
  [false, false, {}],
  [true, true, {}],
  [true, false, ENDPOINT],
  [true, false, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }],
  [true, false, { OTEL_TRACES_EXPORTER: 'otlp' }],
  [true, false, { OTEL_TRACES_EXPORTER: 'console,otlp' }],
  [false, false, { OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
  [false, false, { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
  [false, false, { ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }],
  [false, true, { OTEL_SDK_DISABLED: 'TRUE' }],
  [true, true, { OTEL_TRACES_EXPORTER: 'none' }],
  [false, false, { OTEL_SERVICE_NAME: 'x' }],
])('traces are sent: %p, where --tracing is %p and the environment has %p', (wanted, asked, environment) => {
  expect(tracingWanted(asked, environment)).toBe(wanted);
});
