import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { ticketKeys } from '../../../../src/cli/files/ticket-keys.ts';
import { createLog } from '../../../../src/log.ts';
import { Certificates } from '../../../../src/node/listeners/certificates.ts';
import { TICKET_KEY_BYTES, TicketKeySeries, TicketKeys } from '../../../../src/node/listeners/ticket-keys.ts';
import { makeCertificate } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeEverything, startLoneNode } from '../../../support/harness/lone-node.ts';

const certificate = makeCertificate('app.test');
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-tickets-'));
const sockets: TLSSocket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await closeEverything();
});

afterAll(() => {
  certificate.remove();
  rmSync(directory, { recursive: true });
});

type Version = 'TLSv1.2' | 'TLSv1.3';
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

async function nodeWith(keys: TicketKeys): Promise<number> {
  const certificates = new Certificates([certificate], keys);
  return (await startLoneNode({ listen: { protocol: 'https' }, certificates })).port;
}

async function dial(port: number, version: Version, session?: Buffer): Promise<TLSSocket> {
  const options = { minVersion: version, maxVersion: version, session, servername: 'app.test', rejectUnauthorized: false };
  const socket = connect({ port, host: '127.0.0.1', ...options });
  sockets.push(socket);
  if (session !== undefined) await once(socket, 'secureConnect');
  return socket;
}

async function sessionOf(port: number, version: Version): Promise<Buffer> {
  const [session] = (await once(await dial(port, version), 'session')) as [Buffer];
  return session;
}

async function isResumed(port: number, version: Version, session: Buffer): Promise<boolean> {
  return (await dial(port, version, session)).isSessionReused();
}

describe('a session that one process began', () => {
  test.each(VERSIONS)('is resumed by another with the same keys, in %s', async (version) => {
    const key = randomBytes(TICKET_KEY_BYTES);
    const [one, other] = [await nodeWith(new TicketKeys([key])), await nodeWith(new TicketKeys([key]))];
    const session = await sessionOf(one, version);
    expect(await isResumed(other, version, session)).toBe(true);
  });

  test.each(VERSIONS)('is begun anew by one with other keys, in %s', async (version) => {
    const [one, other] = [await nodeWith(new TicketKeys()), await nodeWith(new TicketKeys())];
    const session = await sessionOf(one, version);
    expect(await isResumed(other, version, session)).toBe(false);
  });

  test.each(VERSIONS)('is resumed while keys change, whoever hears of it first, in %s', async (version) => {
    const series = new TicketKeySeries();
    const [first, second] = [new TicketKeys(series.keys), new TicketKeys(series.keys)];
    const [one, other] = [await nodeWith(first), await nodeWith(second)];
    const before = await sessionOf(one, version);
    series.rotate();
    first.use(series.keys);
    const after = await sessionOf(one, version);
    // The other one has not heard of it yet.
    expect([await isResumed(other, version, before), await isResumed(other, version, after)]).toEqual([true, true]);
    second.use(series.keys);
    expect([await isResumed(other, version, before), await isResumed(one, version, before)]).toEqual([true, true]);
    series.rotate();
    second.use(series.keys);
    expect([await isResumed(other, version, before), await isResumed(other, version, after)]).toEqual([false, true]);
  });
});

describe('files of ticket keys', () => {
  const log = createLog('test', 'silent');
  const file = (name: string, content: Buffer): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };

  test('are read, and again when they change; what is no key leaves the former ones', async () => {
    const [old, young] = [randomBytes(TICKET_KEY_BYTES), randomBytes(TICKET_KEY_BYTES)];
    const tlsTicketKeys = [file('first', old)];
    const port = await nodeWith(ticketKeys({ tlsTicketKeys }, log).keys);
    const session = await sessionOf(await nodeWith(new TicketKeys([old])), 'TLSv1.3');
    const newer = await sessionOf(await nodeWith(new TicketKeys([young])), 'TLSv1.3');
    expect([await isResumed(port, 'TLSv1.3', session), await isResumed(port, 'TLSv1.3', newer)]).toEqual([true, false]);
    file('first', young);
    await eventually('the new key counts', () => isResumed(port, 'TLSv1.3', newer));
    file('first', Buffer.alloc(3));
    expect(await isResumed(port, 'TLSv1.3', newer)).toBe(true);
  });

  test('that have none are told at the start', () => {
    expect(() => ticketKeys({ tlsTicketKeys: [file('short', Buffer.alloc(47))] }, log)).toThrow(
      /--tls-ticket-keys .*expected a file of 48 random bytes, as openssl rand 48 makes it; it has 47/,
    );
    expect(() => ticketKeys({ tlsTicketKeys: [join(directory, 'none')] }, log)).toThrow(/--tls-ticket-keys .*ENOENT/);
  });
});
