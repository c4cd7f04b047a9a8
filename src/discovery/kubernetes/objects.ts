/** What is read of Deployments and Pods: pure. Anything may stand there, and what is not as it should be is left out. */
import { type Fields, fieldsOf } from '../fields.ts';

const ANNOTATION = 'pullproxy/';
/** Annotations of a Deployment: the starts that were counted in its replicas, and the Pods that were taken off, the last ones of each. */
export const STARTED = `${ANNOTATION}started`;
export const LEFT = `${ANNOTATION}left`;
/** Kubernetes takes Pods that are not ready first, and of those the one that costs least (from 1.22 on). */
export const COST = 'controller.kubernetes.io/pod-deletion-cost';
/** More is no settings. */
export const SETTINGS_CHARS_MAX = 16_384;
const REPLICAS_MAX = 1_000_000;

const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const WORD = /^[\w.-]{1,128}$/;

export interface Deployment {
  readonly name: string;
  readonly version: string;
  /** ms since the epoch. */
  readonly createdAt: number;
  /** What `pullproxy/…` says of the route, without that prefix. Null: it is too much. */
  readonly settings: Readonly<Record<string, unknown>> | null;
  readonly started: readonly string[];
  readonly left: readonly string[];
  readonly replicas: number;
  readonly ready: number;
  /** As a query says it; empty: it selects nothing. */
  readonly selector: string;
}

export interface Pod {
  readonly name: string;
  readonly version: string;
  readonly createdAt: number;
  /** Names this run of the Pod's containers: another one after they were started again. */
  readonly run: string;
  /** The run whose end was marked. */
  readonly marked: string | null;
  readonly isReady: boolean;
  /** It was ready and is not any more: its linker has left. */
  readonly hasLeft: boolean;
}

/** Null: it is no Deployment that can be used, or one that is being deleted. */
export function readDeployment(object: unknown): Deployment | null {
  const { metadata, spec, status } = fieldsOf(object);
  const { name, resourceVersion, deletionTimestamp, creationTimestamp, annotations: all } = fieldsOf(metadata);
  if (!isText(name, NAME) || !isText(resourceVersion, WORD) || deletionTimestamp !== undefined) return null;
  const annotations = fieldsOf(all);
  return {
    name,
    version: resourceVersion,
    createdAt: timeOf(creationTimestamp),
    settings: settingsOf(annotations),
    started: wordsOf(annotations[STARTED]),
    left: wordsOf(annotations[LEFT]),
    replicas: countOf(fieldsOf(spec).replicas, 1),
    ready: countOf(fieldsOf(status).readyReplicas, 0),
    selector: selectorOf(fieldsOf(spec).selector),
  };
}

/** Null: it is not one of the Deployment's, or is being deleted. */
export function readPod(object: unknown, deployment: string): Pod | null {
  const { metadata, status } = fieldsOf(object);
  const { name, uid, resourceVersion, deletionTimestamp, creationTimestamp, ownerReferences, annotations } = fieldsOf(metadata);
  if (!isText(name, NAME) || !isText(uid, WORD) || !isText(resourceVersion, WORD) || deletionTimestamp !== undefined) return null;
  const owners = listOf(ownerReferences).map(fieldsOf);
  const isOwn = owners.some((owner) => owner.kind === 'ReplicaSet' && String(owner.name).startsWith(`${deployment}-`));
  if (!isOwn) return null;
  const { phase, conditions, containerStatuses } = fieldsOf(status);
  const said = listOf(conditions).map(fieldsOf);
  const condition = (kind: string): Fields | undefined => said.find(({ type }) => type === kind);
  // `Ready` also says what a controller thinks of a machine that it can't hear; this one is the kubelet's word alone.
  const ready = condition('ContainersReady') ?? condition('Ready');
  const containers = listOf(containerStatuses).map(fieldsOf);
  const restarts = containers.reduce((sum, { restartCount }) => sum + countOf(restartCount, 0), 0);
  const changedAt = Date.parse(String(ready?.lastTransitionTime));
  // A Pod that was never ready says what it said when it started.
  const ranBefore = containers.every(({ state }) => changedAt > Date.parse(String(fieldsOf(fieldsOf(state).running).startedAt)));
  const mark = fieldsOf(annotations)[LEFT];
  return {
    name,
    version: resourceVersion,
    createdAt: timeOf(creationTimestamp),
    run: `${uid}.${restarts}`,
    marked: typeof mark === 'string' ? mark : null,
    isReady: ready?.status === 'True',
    hasLeft: phase === 'Running' && ready?.status === 'False' && containers.length > 0 && ranBefore,
  };
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function settingsOf(annotations: Fields): Deployment['settings'] {
  const own = Object.entries(annotations).filter(([name]) => name.startsWith(ANNOTATION) && name !== STARTED && name !== LEFT);
  const chars = own.reduce((sum, [name, value]) => sum + name.length + String(value).length, 0);
  return chars > SETTINGS_CHARS_MAX ? null : Object.fromEntries(own.map(([name, value]) => [name.slice(ANNOTATION.length), value]));
}

function wordsOf(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter((word) => WORD.test(word)) : [];
}

/** A Deployment without one does not exist. */
function selectorOf(value: unknown): string {
  const { matchLabels, matchExpressions } = fieldsOf(value);
  const equal = Object.entries(fieldsOf(matchLabels)).map(([key, label]) => `${key}=${label}`);
  const more = listOf(matchExpressions).map((one) => {
    const { key, operator, values } = fieldsOf(one);
    if (operator === 'Exists') return `${key}`;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${listOf(values).join(',')})`;
  });
  return [...equal, ...more].join(',');
}

function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}

function countOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= REPLICAS_MAX ? value : otherwise;
}

function timeOf(value: unknown): number {
  return Date.parse(String(value)) || 0;
}
