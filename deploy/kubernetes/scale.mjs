/**
 * Instances as Pods of a Deployment that is there already: starting one means one replica more, and one that has left is the Pod that goes. For
 * applications that must stay a Deployment; a Job for each instance (start-job.mjs) is simpler, and exact.
 *
 *   pullproxy scaler ... --allow-route-commands --cancel-command '["node","deploy/kubernetes/scale.mjs","cancel","DEPLOYMENT"]' \
 *     -- node deploy/kubernetes/scale.mjs up DEPLOYMENT
 *   pullproxy route set NAME 'stopCommand=["node","deploy/kubernetes/scale.mjs","down","DEPLOYMENT"]'
 *
 * Which starts and which instances that left are counted in `replicas` stands in annotations beside it. Both change together, so a command that
 * runs a second time changes nothing. Linkers need --linger, and a readiness probe that fails when they have left: deployment.yaml.
 */
import { argv, env } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { askApi, patienceS, run } from './api.mjs';

/** Annotations of the Deployment: the starts that were counted, and the instances that were taken off, the last ones of each. */
const STARTED = 'pullproxy/started';
const LEFT = 'pullproxy/left';
const IDS_KEPT_MAX = 200;
/** Kubernetes takes Pods that are not ready first, and of those the one that costs least (from 1.22 on). */
const COST = { name: 'controller.kubernetes.io/pod-deletion-cost', value: '-1000' };
const PAUSE_MS = 500;
const ID = /^[a-z0-9]{1,64}$/;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

const ACTIONS = {
  up: { variable: 'START_ID', act: (deployment, start) => count(deployment, { by: 1, list: STARTED, adds: start }) },
  /** Nothing has come of that start, or its machine is lost: its Pod is not there yet or not ready, and such Pods go first. */
  cancel: { variable: 'START_ID', act: (deployment, start) => count(deployment, { by: -1, list: STARTED, removes: start }) },
  down: {
    variable: 'INSTANCE',
    async act(deployment, instance) {
      if (idsOf(await deploymentOf(deployment), LEFT).includes(instance)) return;
      await mark(deployment, instance);
      await count(deployment, { by: -1, list: LEFT, adds: instance });
    },
  },
};

await run(async () => {
  const [action = '', deployment = ''] = argv.slice(2);
  if (!Object.hasOwn(ACTIONS, action)) throw new Error(`${JSON.stringify(action)}: expected up, down or cancel`);
  const { variable, act } = ACTIONS[action];
  const id = env[variable] ?? '';
  if (!NAME.test(deployment)) throw new Error(`${JSON.stringify(deployment)}: expected the name of a Deployment`);
  if (!ID.test(id)) throw new Error(`${variable} ${JSON.stringify(id)}: expected lower-case letters and digits`);
  await act(deployment, id);
});

/** Changes the replicas and the list in one step; nothing where the list is as it shall be already. */
async function count(name, { by, list, adds, removes }) {
  await patiently(`Deployment ${name} is changed by others all the time`, async () => {
    const deployment = await deploymentOf(name);
    const before = idsOf(deployment, list);
    if (adds === undefined ? !before.includes(removes) : before.includes(adds)) return true;
    const ids = adds === undefined ? before.filter((id) => id !== removes) : [...before, adds].slice(-IDS_KEPT_MAX);
    const { resourceVersion } = deployment.metadata;
    const patch = {
      metadata: { resourceVersion, annotations: { [list]: ids.join(' ') } },
      spec: { replicas: Math.max(0, (deployment.spec.replicas ?? 1) + by) },
    };
    return isChanged(`Deployment ${name}`, await askApi('PATCH', 'apis/apps/v1', `deployments/${name}`, patch));
  });
}

/** Finds the Pod whose linker has left: it was ready, and is not any more. */
async function mark(name, instance) {
  const { matchLabels = {} } = (await deploymentOf(name)).spec.selector;
  const labels = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  const query = `labelSelector=${encodeURIComponent(labels.join(','))}`;
  await patiently(`Deployment ${name}: no Pod has left yet`, async () => {
    const { items } = expectObject('Pods', await askApi('GET', 'api/v1', `pods?${query}`));
    const pods = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const leftFor = (pod) => pod.metadata.annotations?.[LEFT];
    if (pods.some((pod) => leftFor(pod) === instance)) return true;
    const pod = pods.find((one) => leftFor(one) === undefined && hasLeft(one));
    if (pod === undefined) return false;
    const { name: podName, resourceVersion } = pod.metadata;
    const patch = { metadata: { resourceVersion, annotations: { [LEFT]: instance, [COST.name]: COST.value } } };
    return isChanged(`Pod ${podName}`, await askApi('PATCH', 'api/v1', `pods/${podName}`, patch));
  });
}

/** The kubelet says when readiness changed; a Pod that was never ready says what it said when it started. */
function hasLeft({ status }) {
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  const containers = status.containerStatuses ?? [];
  if (status.phase !== 'Running' || ready?.status !== 'False' || containers.length === 0) return false;
  const startedAt = containers.map(({ state }) => Date.parse(state?.running?.startedAt ?? ''));
  return startedAt.every((at) => Date.parse(ready.lastTransitionTime) > at);
}

async function deploymentOf(name) {
  return expectObject(`Deployment ${name}`, await askApi('GET', 'apis/apps/v1', `deployments/${name}`));
}

function idsOf({ metadata }, list) {
  return (metadata.annotations?.[list] ?? '').split(' ').filter(Boolean);
}

function expectObject(what, { status, object, message }) {
  if (status !== 200) throw new Error(`${what}: ${status} ${message}`);
  return object;
}

/** False when somebody else was faster. */
function isChanged(what, answer) {
  if (answer.status === 409) return false;
  expectObject(what, answer);
  return true;
}

async function patiently(words, attempt) {
  const deadline = performance.now() + patienceS() * 1000;
  while (!(await attempt())) {
    if (performance.now() + PAUSE_MS >= deadline) throw new Error(words);
    await delay(PAUSE_MS * (0.75 + Math.random() / 2));
  }
}
