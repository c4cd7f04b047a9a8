/**
 * Preloaded by NODE_OPTIONS: writes the URL of each module of tracing that is loaded to stderr. OpenTelemetry's API alone, a few kilobytes
 * without any function of their own, comes with prom-client.
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    if (/@opentelemetry\/(?!api\/)|\/src\/tracing\//.test(resolved.url)) process.stderr.write(`loaded ${resolved.url}\n`);
    return resolved;
  },
});
