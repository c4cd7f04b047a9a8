/**
 * A startup command for Kubernetes without kubectl: begins one Job for START_ID, in this Pod's own namespace (or in POD_NAMESPACE) and with
 * this Pod's rights.
 *
 *   pullproxy scaler --command-env KUBERNETES_SERVICE_HOST --command-env KUBERNETES_SERVICE_PORT --command-env NODE_EXTRA_CA_CERTS \
 *     -- node deploy/kubernetes/start-job.mjs TEMPLATE.yaml
 *
 * In the template, __START_ID__, __ROUTE__, __KEY__ and __SLUG__ are replaced.
 */
import { readFileSync } from 'node:fs';
import { argv, env } from 'node:process';
import { askApi, run } from './api.mjs';
import { instanceJob } from './instance-job.mjs';

await run(async () => {
  const job = instanceJob(readFileSync(argv[2], 'utf8'), env);
  const { status, message } = await askApi('POST', 'apis/batch/v1', 'jobs', job);
  // 409: it is there. A scaler that took over from one that died may run this a second time, under the same id.
  if (status >= 300 && status !== 409) throw new Error(`Job ${job.metadata.name}: ${status} ${message}`);
});
