import { describe, expect, test } from '@jest/globals';
import { addressesTo, type Reach, readEvent, readInspected, readListed } from '../../../../src/discovery/docker/containers.ts';

const ID = 'b0c72146b3c3'.padEnd(64, '0');
const INSPECTED = {
  State: { Running: true, StartedAt: '2026-12-01T11:38:55Z', ExitCode: 0, OOMKilled: false, Error: '' },
  HostConfig: { NetworkMode: 'home_default' },
  Config: { ExposedPorts: { '80/tcp': {}, '53/udp': {} } },
  NetworkSettings: {
    Networks: { home_default: { IPAddress: '172.20.0.3', GlobalIPv6Address: 'fd00::3' }, home_back: { IPAddress: '172.21.0.3' } },
    Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '81/tcp': null },
  },
};
const CONTAINER = readInspected(INSPECTED);
const DIRECT: Reach = { by: 'direct' };

const at = (reach: Reach, instance: { port?: number; network?: string } = {}, container = CONTAINER): string[] =>
  addressesTo('container web-1', container, { concurrency: 10, ...instance }, reach).map(({ host, port }) => `${host} ${port}`);

describe('a container is reached', () => {
  test('from the machine of Docker at each of its addresses', () => {
    expect(at(DIRECT)).toEqual(['172.20.0.3 80', 'fd00::3 80', '172.21.0.3 80']);
  });

  test('at the port and by the network that its labels name, also by the name that Compose knows it by', () => {
    expect(at(DIRECT, { port: 9000, network: 'home_back' })).toEqual(['172.21.0.3 9000']);
    expect(at(DIRECT, { network: 'back' })).toEqual(['172.21.0.3 80']);
    expect(() => at(DIRECT, { network: 'front' })).toThrow('is not in the network front: its networks are home_default, home_back');
  });

  test('from another container by a network that both have', () => {
    expect(at({ by: 'networks', names: new Set(['home_back', 'x']) })).toEqual(['172.21.0.3 80']);
    expect(() => at({ by: 'networks', names: new Set(['x']) })).toThrow(
      'container web-1 has no network in common with pullproxy: it is in home_default, home_back, pullproxy in x',
    );
  });

  test('from elsewhere by its published ports', () => {
    expect(at({ by: 'published', host: '192.0.2.9' })).toEqual(['192.0.2.9 8080']);
    expect(() => at({ by: 'published', host: '192.0.2.9' }, { port: 81 })).toThrow('has no published port for 81/tcp');
  });

  test('at the machine itself where it has its network', () => {
    expect(at(DIRECT, {}, { ...CONTAINER, networkMode: 'host', networks: new Map() })).toEqual(['127.0.0.1 80']);
  });

  test('at no port that nobody named', () => {
    expect(() => at(DIRECT, {}, { ...CONTAINER, exposed: [] })).toThrow(/label pullproxy\.port is missing: .* exposes no port$/);
    expect(() => at(DIRECT, {}, { ...CONTAINER, exposed: [80, 443] })).toThrow(/exposes the ports 80, 443$/);
  });
});

describe('what Docker says', () => {
  test('of a container is read', () => {
    const listed = readListed({ Id: ID, Names: ['/web-1'], State: 'running', Created: 1_700_000_000, Labels: { a: 'b' } });
    expect(listed).toEqual({ id: ID, name: 'web-1', isRunning: true, createdAt: 1_700_000_000_000, labels: { a: 'b' } });
  });

  test.each([null, 7, 'x', [], {}, { Id: 7 }, { Id: '../../etc' }, { Id: `${ID}/../..` }])(
    'and is no container, %j, is left out',
    (value) => {
      expect(readListed(value)).toBeNull();
    },
  );

  test.each([
    [{ Id: ID }, ID.slice(0, 12)],
    [{ Id: ID, Names: 'x', Labels: 7, State: {}, Created: 'y' }, ID.slice(0, 12)],
    [{ Id: ID, Names: ['/a\r\nb'] }, ID.slice(0, 12)],
  ])('and is a container in part, %j, is read as far as it goes', (value, name) => {
    expect(readListed(value)).toEqual({ id: ID, name, isRunning: false, createdAt: 0, labels: {} });
  });

  test.each([null, 7, [], { NetworkSettings: { Networks: { a: null, b: { IPAddress: 'no address' } }, Ports: { x: [{}] } } }])(
    'about a container and is %j, leads nowhere',
    (value) => {
      const read = readInspected(value);
      expect([...read.networks.values()].flat()).toEqual([]);
      expect([...read.published]).toEqual([]);
    },
  );

  test('in an event is the container, and how it has ended', () => {
    const line = JSON.stringify({ Type: 'container', Action: 'die', Actor: { ID, Attributes: { exitCode: '137' } } });
    expect(readEvent(line)).toEqual({ id: ID, action: 'die', exit: { code: 137, words: 'has ended with exit code 137' } });
    for (const bad of ['', '{', 'null', '[]', '{"Action":"die"}', '{"Action":"die","Actor":{"ID":"x"}}']) expect(readEvent(bad)).toBeNull();
  });
});
