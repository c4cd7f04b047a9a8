/**
 * A stop command for Kubernetes: deletes the Job that start-job.mjs began for START_ID, and its Pod. Also by hand, for a start that was given up and
 * whose Pod still waits for an image or for room.
 *
 *   pullproxy route set NAME 'stopCommand=["node","deploy/kubernetes/stop-job.mjs","/etc/pullproxy/instance.yaml"]'
 *
 * The scaler's role must allow it to delete Jobs, which it does not by default: instances that leave end their Jobs themselves.
 */
import { readFileSync } from 'node:fs';
import { argv, env } from 'node:process';
import { askApi, run } from './api.mjs';
import { instanceJob } from './instance-job.mjs';

await run(async () => {
  const { name } = instanceJob(readFileSync(argv[2], 'utf8'), env).metadata;
  // Without the policy, the API leaves a Job's Pods running.
  const { status, message } = await askApi('DELETE', `jobs/${name}?propagationPolicy=Background`);
  if (status >= 300 && status !== 404) throw new Error(`Job ${name}: ${status} ${message}`);
});
