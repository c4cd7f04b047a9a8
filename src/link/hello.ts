/** The HELLO of a linker, which is not proved yet. */
import { parseDialAddress } from '../config/host-port.ts';
import { isInstanceId, isStartId } from '../config/ids.ts';
import { isServedName } from '../config/route-key.ts';
import { LinkProtocolError } from '../errors.ts';
import { FEATURES } from './frames.ts';
import { parseJson } from './json.ts';

export const CONCURRENCY_MAX = 1_000_000;
export const NONCE_CHARS_MIN = 16;
/** The directory's numbers are about its time in ms. A much larger one would leave no larger number to give. */
export const ORDER_MAX = 2 ** 48;

/** The facts of a linker. */
export interface Hello {
  readonly route: string;
  readonly instance: string;
  /** For nodes of 0.1, and from linkers of 0.1: larger is newer, by the clock of the linker's host. */
  readonly seq: number;
  /** The linker takes its number from the directory (NEWEST), and says no other one. */
  readonly takesOrder?: boolean;
  /** That number: larger is newer. Absent until a node has told it. */
  readonly order?: number;
  /** The limit at the start. A node of 0.1 takes no more slots than this. */
  readonly concurrency: number;
  /** The limit may move up to this. Absent: it does not move. */
  readonly concurrencyMax?: number;
  readonly startId?: string;
  /** Version of the linker's package, for people. */
  readonly version?: string;
  /** The linker wants CLIENT before each stream. A node that does not know this key does not send it. */
  readonly tellClients?: boolean;
  /** How long ago the application was ready for the first time, in ms; absent: it was not yet, or the linker does not say it. */
  readonly readyMs?: number;
  /** The dialling side is no instance but an agent, which starts instances on its machine: see agent-words.ts. */
  readonly agent?: boolean;
  /** The dialling side is a node that relays for a linker which can't dial here itself. */
  readonly relay?: boolean;
}

/** A hello before it is said: ages grow until then. */
export interface UnsaidHello extends Omit<Hello, 'readyMs'> {
  /** performance.now() when the application was ready for the first time. */
  readonly readyAt?: number | undefined;
}

export function helloNow({ readyAt, ...hello }: UnsaidHello): Hello {
  return readyAt === undefined ? hello : { ...hello, readyMs: Math.max(0, Math.round(performance.now() - readyAt)) };
}

/** A HELLO: the linker, and how it wants to speak. */
export interface SaidHello {
  readonly hello: Hello;
  /** Protocol versions that the linker speaks. */
  readonly least: number;
  readonly most: number;
  /** HOST:PORT that the linker has from another node, which has it from the directory; null: its operator said where to dial. */
  readonly at: string | null;
  /** Features of both sides. */
  readonly features: ReadonlySet<string>;
}

/** The features in the peer's list that this side has too. Unknown names are ignored. */
export function sharedFeatures(can: unknown): ReadonlySet<string> {
  return new Set(Array.isArray(can) ? FEATURES.filter((feature) => can.includes(feature)) : []);
}

/** @throws LinkProtocolError */
export function parseHello(payload: Buffer): SaidHello {
  const value = parseJson(payload);
  const {
    v,
    max = v,
    route,
    instance,
    seq,
    concurrency,
    concurrencyMax,
    startId,
    version,
    tellClients,
    relay,
    agent,
    nonce,
    at,
    can,
    takesOrder,
    order,
    readyMs,
  } = value;
  if (!isVersion(v) || !isVersion(max) || max < v) throw new LinkProtocolError('HELLO without a protocol version');
  if (!isServedName(route)) throw new LinkProtocolError('HELLO with a malformed route');
  if (!isInstanceId(instance)) throw new LinkProtocolError('HELLO with a malformed instance id');
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) throw new LinkProtocolError('HELLO with a malformed seq');
  if (order !== undefined && !isOrder(order)) throw new LinkProtocolError('HELLO with a malformed order');
  if (!isConcurrency(concurrency)) throw new LinkProtocolError('HELLO with a malformed concurrency');
  if (concurrencyMax !== undefined && (!isConcurrency(concurrencyMax) || concurrencyMax < concurrency))
    throw new LinkProtocolError('HELLO with a malformed highest concurrency');
  if (startId !== undefined && !isStartId(startId)) throw new LinkProtocolError('HELLO with a malformed start id');
  if (version !== undefined && (typeof version !== 'string' || !/^[\w.+-]{1,64}$/.test(version)))
    throw new LinkProtocolError('HELLO with a malformed version');
  if (readyMs !== undefined && !isAge(readyMs)) throw new LinkProtocolError('HELLO with a malformed age');
  if (typeof nonce !== 'string' || nonce.length < NONCE_CHARS_MIN) throw new LinkProtocolError('HELLO without a nonce');
  if (at !== undefined && (typeof at !== 'string' || parseDialAddress(at) === null))
    throw new LinkProtocolError('HELLO with a malformed address');
  const hello: Hello = {
    route,
    instance,
    seq,
    concurrency,
    ...(concurrencyMax === undefined ? {} : { concurrencyMax }),
    ...(startId === undefined ? {} : { startId }),
    ...(version === undefined ? {} : { version }),
    ...(tellClients === true ? { tellClients } : {}),
    ...(relay === true ? { relay } : {}),
    ...(agent === true ? { agent } : {}),
    ...(takesOrder === true ? { takesOrder } : {}),
    ...(order === undefined ? {} : { order }),
    ...(readyMs === undefined ? {} : { readyMs }),
  };
  return { hello, least: v, most: max, at: at ?? null, features: sharedFeatures(can) };
}

function isConcurrency(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= CONCURRENCY_MAX;
}

function isAge(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isVersion(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1;
}

/** A number that the directory gives an instance. */
export function isOrder(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= ORDER_MAX;
}

/** The payload of a NEWEST. An invalid number from Redis is left out. */
export function writeOrder(order: number | undefined): Buffer | null {
  if (order === undefined || !Number.isSafeInteger(order) || order < 0) return null;
  const payload = Buffer.allocUnsafe(8);
  payload.writeBigUInt64BE(BigInt(order));
  return payload;
}

/** @throws LinkProtocolError */
export function readOrder(payload: Buffer): number | null {
  if (payload.length === 0) return null;
  const order = payload.length === 8 ? Number(payload.readBigUInt64BE()) : 0;
  if (!isOrder(order)) throw new LinkProtocolError('NEWEST with a malformed order');
  return order;
}
