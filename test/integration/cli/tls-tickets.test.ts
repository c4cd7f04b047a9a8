/** Clients of TLS come back to whatever worker the kernel gives them to. */
import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Certificate, makeCertificate } from '../../support/certificate.ts';
import { SECRET } from '../../support/cluster.ts';
import { type Running, startProcess } from '../../support/processes.ts';
import { type RedisServer, startRedis } from '../../support/redis.ts';

const WORKERS = 4;
const CONNECTIONS = 40;

let certificate: Certificate;
let redis: RedisServer;
let node: Running;
let port: number;

beforeAll(async () => {
  certificate = makeCertificate('app.test');
  redis = await startRedis();
  const tls = ['--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile];
  const ports = ['--listen', 'https://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  node = await startProcess(['node', ...ports, ...tls, '--redis', redis.url, '--workers', String(WORKERS)], {
    env: { PULLPROXY_SECRET: SECRET },
  });
  port = Number(new URL((node.ready.listen as string[])[0] as string).port);
});

afterAll(async () => {
  await node?.stop();
  await redis?.stop();
  certificate?.remove();
});

test(`all of ${CONNECTIONS} sessions are resumed, whichever of ${WORKERS} workers has them`, async () => {
  const options = { port, host: '127.0.0.1', servername: 'app.test', ca: certificate.cert };
  const first = connect(options);
  const [session] = (await once(first, 'session')) as [Buffer];
  first.destroy();
  let resumed = 0;
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = connect({ ...options, session });
    await once(socket, 'secureConnect');
    if (socket.isSessionReused()) resumed++;
    socket.destroy();
  }
  expect(resumed).toBe(CONNECTIONS);
});
