/**
 * A startup command for Kubernetes without kubectl: begins one Job for START_ID, in this Pod's own namespace and with its own rights.
 *
 *   pullproxy scaler --command-env KUBERNETES_SERVICE_HOST --command-env KUBERNETES_SERVICE_PORT --command-env NODE_EXTRA_CA_CERTS \
 *     -- node deploy/kubernetes/start-job.mjs TEMPLATE.yaml
 *
 * In the template, __START_ID__ and __ROUTE__ are replaced. NODE_EXTRA_CA_CERTS names the cluster's authority, beside the token.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { instanceJob } from './instance-job.mjs';

const PATIENCE_MS = 20_000;
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, NODE_EXTRA_CA_CERTS: authority } = process.env;

const account = dirname(authority);
const read = (name) => readFileSync(join(account, name), 'utf8').trim();
const job = instanceJob(readFileSync(process.argv[2], 'utf8'), process.env);

const url = `https://${host.includes(':') ? `[${host}]` : host}:${port}/apis/batch/v1/namespaces/${read('namespace')}/jobs`;
const response = await fetch(url, {
  method: 'POST',
  headers: { authorization: `Bearer ${read('token')}`, 'content-type': 'application/json' },
  body: JSON.stringify(job),
  signal: AbortSignal.timeout(PATIENCE_MS),
});
const answer = await response.text();
// 409: it is there. A scaler that took over from one that died may run this a second time, under the same id.
if (!response.ok && response.status !== 409) {
  console.error(`POST ${url}: ${response.status} ${messageOf(answer)}`);
  process.exitCode = 1;
}

/** What the API says in its own words: "jobs.batch is forbidden: ...". */
function messageOf(body) {
  try {
    return JSON.parse(body).message;
  } catch {
    return body.slice(0, 500);
  }
}
