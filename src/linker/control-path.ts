/** Where the control socket of an instance is. */
import { chmodSync, lstatSync, mkdtempSync, rmdirSync, unlinkSync } from 'node:fs';
import { createConnection, type Server } from 'node:net';
import { join } from 'node:path';
import { guard } from '../boundary.ts';
import { formatHostPort, type HostPort } from '../config/host-port.ts';
import { inTemporaryDirectory } from '../config/temporary-directory.ts';
import { ConfigError, messageOf } from '../errors.ts';

/** sun_path of sockaddr_un is 108 bytes on Linux and 104 on macOS, with a zero at its end. */
export const SOCKET_PATH_BYTES_MAX = 103;
/** A process that lives answers a connection at once. */
const ALIVE_TIMEOUT_MS = 1_000;
/** Nobody else may connect. */
const OTHERS_NOTHING = 0o177;

/** A path, an address, or 'own': a socket in a new directory that only this user may enter. */
export type ControlPlace = string | HostPort | 'own';

/** A bound place: as the application is told it, and how to leave it. */
export interface BoundPlace {
  readonly said: string;
  remove(): void;
}

/** @throws ConfigError when the place can't be had, with what to do. */
export async function bindControl(server: Server, place: ControlPlace): Promise<BoundPlace> {
  if (typeof place === 'object') return bindAddress(server, place);
  const directory = place === 'own' ? newDirectory() : null;
  const path = directory === null ? place : join(directory, 'control');
  try {
    checkLength(path, directory !== null);
    await clear(path);
    await listen(server, { path });
    // Where the file system does not know the mask of a new file.
    chmodSync(path, 0o600);
  } catch (error) {
    if (directory !== null) removeQuietly(() => rmdirSync(directory));
    throw error;
  }
  const remove = (): void => {
    // Node removes the socket when the server closes.
    if (directory !== null) removeQuietly(() => rmdirSync(directory));
  };
  return { said: path, remove };
}

async function bindAddress(server: Server, place: HostPort): Promise<BoundPlace> {
  await listen(server, place);
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : place.port;
  return { said: formatHostPort({ host: place.host, port }), remove: () => {} };
}

function newDirectory(): string {
  try {
    // Its mode is 0700.
    return inTemporaryDirectory((directory) => mkdtempSync(join(directory, 'pullproxy-')));
  } catch (error) {
    throw new ConfigError([`no directory for the control socket can be made: ${messageOf(error)}; --control says another place`]);
  }
}

function checkLength(path: string, own: boolean): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return;
  const advice = own ? 'set TMPDIR to a shorter path, or say another place by --control' : 'a shorter one';
  throw new ConfigError([
    `--control: "${path}" has ${bytes} bytes, and a socket's path at most ${SOCKET_PATH_BYTES_MAX}: expected ${advice}`,
  ]);
}

/** A socket that was left behind by a process that is gone is removed. */
async function clear(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new ConfigError([`--control: "${path}" exists and is no socket: expected a path that is free`]);
  if (await isAlive(path)) throw new ConfigError([`--control: "${path}" is in use by another process: expected a path that is free`]);
  unlinkSync(path);
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    const settle = (alive: boolean): void => {
      clearTimeout(overdue);
      socket.destroy();
      resolve(alive);
    };
    const overdue = setTimeout(
      guard('timer', () => settle(true)),
      ALIVE_TIMEOUT_MS,
    );
    socket.once(
      'connect',
      guard('listener', () => settle(true)),
    );
    // It may belong to another user (EACCES), and live.
    socket.once(
      'error',
      guard('listener', (error: NodeJS.ErrnoException) => settle(error.code !== 'ECONNREFUSED')),
    );
  });
}

/** The socket is there for its user only from its first moment on. */
function listen(server: Server, place: { readonly path: string } | HostPort): Promise<void> {
  return new Promise((resolve, reject) => {
    const said = 'path' in place ? place.path : formatHostPort(place);
    const failed = (error: Error): void => reject(new ConfigError([`--control: "${said}" can not be listened at: ${messageOf(error)}`]));
    server.once('error', failed);
    const mask = process.umask(OTHERS_NOTHING);
    try {
      server.listen(place, () => {
        server.off('error', failed);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

function removeQuietly(remove: () => void): void {
  try {
    remove();
  } catch {
    // It is gone already.
  }
}
