/**
 * The cancel command for Kubernetes: deletes the Job that start-job.mjs began for START_ID, and its Pod, which may still wait for an image or for
 * room. Instances that leave end their Jobs themselves.
 *
 *   pullproxy scaler --cancel-command '["node","deploy/kubernetes/stop-job.mjs","/etc/pullproxy/instance.yaml"]' ...
 */
import { readFileSync } from 'node:fs';
import { argv, env } from 'node:process';
import { askApi, run } from './api.mjs';
import { instanceJob } from './instance-job.mjs';

await run(async () => {
  const { name } = instanceJob(readFileSync(argv[2], 'utf8'), env).metadata;
  // Without the policy, the API leaves a Job's Pods running.
  const { status, message } = await askApi('DELETE', 'apis/batch/v1', `jobs/${name}?propagationPolicy=Background`);
  if (status >= 300 && status !== 404) throw new Error(`Job ${name}: ${status} ${message}`);
});
