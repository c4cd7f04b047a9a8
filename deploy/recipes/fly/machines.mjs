/**
 * One more instance as a Fly Machine, and the end of one whose start failed. UNTRIED: written by its documentation,
 * https://fly.io/docs/machines/api/machines-resource/
 *
 *   pullproxy scaler --command-env FLY_API_TOKEN --cancel-command '["node", "deploy/recipes/fly/machines.mjs", "stop", "my-app"]' \
 *     -- node deploy/recipes/fly/machines.mjs start my-app deploy/recipes/fly/machine.json
 *
 * A machine is not started again when its instance has left (restart), and Fly removes it then (auto_destroy). The secret of the linkers is a secret of the
 * app: fly secrets set PULLPROXY_SECRET=...
 */
import { readFileSync } from 'node:fs';

const TIMEOUT_MS = 30_000;
const [verb, app = '', file = ''] = process.argv.slice(2);
const { FLY_API_TOKEN: token, FLY_API_URL: url = 'https://api.machines.dev', START_ID: start = '', ROUTE: route = '' } = process.env;
const name = `pullproxy-${start}`;

async function call(method, path, body) {
  const response = await fetch(`${url}/v1/apps/${encodeURIComponent(app)}/machines${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok && !(method === 'DELETE' && response.status === 404)) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text;
}

async function found() {
  return JSON.parse(await call('GET', '')).find((machine) => machine.name === name);
}

async function startMachine() {
  // A scaler that took over from one that died may run this a second time, under the same id.
  if ((await found()) !== undefined) return;
  // Ids and names of routes need no quoting in JSON.
  await call('POST', '', readFileSync(file, 'utf8').replaceAll('__START_ID__', start).replaceAll('__ROUTE__', route));
}

async function stopMachine() {
  const machine = await found();
  if (machine === undefined) return;
  // A linker says its START_ID by itself. One that is not trusted might say that of another route's instance.
  const owner = machine.config?.metadata?.pullproxy_route;
  if (owner !== route) throw new Error(`${name} is an instance of ${owner}, not of ${route}: it is not stopped`);
  await call('DELETE', `/${encodeURIComponent(machine.id)}?force=true`);
}

try {
  if (verb === 'start') await startMachine();
  else await stopMachine();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
