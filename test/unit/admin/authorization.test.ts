import { describe, expect, test } from '@jest/globals';
import { refusal } from '../../../src/admin/authorization.ts';

const LOCAL = '127.0.0.1';
const REMOTE = '10.1.2.3';
const HOST = { host: '127.0.0.1:9090' };

describe('with a token', () => {
  const token = 'the-token';
  test.each([
    ['nothing', {}, 401],
    ['another token', { authorization: 'Bearer the-tokem' }, 401],
    ['the start of the token', { authorization: 'Bearer the' }, 401],
    ['another scheme', { authorization: 'Basic the-token' }, 401],
    ['the token', { authorization: 'Bearer the-token' }, undefined],
    ['the token, the scheme in lower case', { authorization: 'bearer the-token' }, undefined],
  ])('a change with %s', (_, headers, status) => {
    for (const peer of [LOCAL, REMOTE]) {
      expect(refusal({ changes: true, peer, headers: { ...HOST, ...headers } }, token, '0.0.0.0')?.status).toBe(status);
    }
  });

  test('reading needs it too, by any name, but for what shows nothing of the cluster', () => {
    const reads = { changes: false, peer: REMOTE, headers: { host: 'node1.example.com:9090' } };
    expect(refusal(reads, token, '0.0.0.0')?.status).toBe(401);
    expect(refusal({ ...reads, headers: { ...reads.headers, authorization: `Bearer ${token}` } }, token, '0.0.0.0')).toBeNull();
    expect(refusal({ ...reads, tokenless: true }, token, '0.0.0.0')).toBeNull();
  });

  test('a page of another site is refused although it has the token', () => {
    const headers = { ...HOST, authorization: 'Bearer the-token', origin: 'https://evil.example' };
    expect(refusal({ changes: true, peer: LOCAL, headers }, token, '127.0.0.1')?.status).toBe(403);
  });
});

describe('without a token', () => {
  test('changes come from this machine only', () => {
    for (const peer of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      expect(refusal({ changes: true, peer, headers: HOST }, undefined, '0.0.0.0')).toBeNull();
    }
    expect(refusal({ changes: true, peer: REMOTE, headers: HOST }, undefined, '0.0.0.0')?.status).toBe(403);
    expect(refusal({ changes: false, peer: REMOTE, headers: { host: '10.0.0.1:9090' } }, undefined, '0.0.0.0')).toBeNull();
  });

  test('changes are not passed on by a proxy of this machine', () => {
    for (const name of ['x-forwarded-for', 'forwarded', 'via']) {
      expect(refusal({ changes: true, peer: LOCAL, headers: { ...HOST, [name]: 'x' } }, undefined, '127.0.0.1')?.status).toBe(403);
    }
  });

  test.each([
    ['localhost:9090', true],
    ['LOCALHOST', true],
    ['127.0.0.1:9090', true],
    ['[::1]:9090', true],
    ['10.0.0.1', true],
    ['admin.internal:9090', true],
    ['evil.example:9090', false],
    ['127.0.0.1.evil.example', false],
    ['localhost.evil.example', false],
    ['', false],
    ['localhost:9090@evil', false],
  ])('the Host %s is ours: %s', (host, ours) => {
    for (const changes of [true, false]) {
      expect(refusal({ changes, peer: LOCAL, headers: { host } }, undefined, 'admin.internal') === null).toBe(ours);
    }
  });
});

describe('pages of other sites', () => {
  test.each([
    ['an Origin of another host', { origin: 'http://evil.example' }],
    ['an Origin of another port of this machine', { origin: 'http://127.0.0.1:3000' }],
    ['an opaque Origin', { origin: 'null' }],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'sec-fetch-site': 'same-site' }],
  ])('%s: no change', (_, headers) => {
    expect(refusal({ changes: true, peer: LOCAL, headers: { ...HOST, ...headers } }, undefined, '127.0.0.1')).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
  });

  test('our own page may', () => {
    const headers = { ...HOST, origin: 'http://127.0.0.1:9090', 'sec-fetch-site': 'same-origin' };
    expect(refusal({ changes: true, peer: LOCAL, headers }, undefined, '127.0.0.1')).toBeNull();
  });
});
