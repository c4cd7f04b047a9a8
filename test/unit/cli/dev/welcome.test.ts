import { expect, test } from '@jest/globals';
import { welcome } from '../../../../src/cli/dev/welcome.ts';

test('the welcome says where to click, in addresses that can be clicked', () => {
  const text = welcome({ listen: ['http://0.0.0.0:8080'], admin: '[::]:9090', route: '*', command: ['node', 'app.js'], minInstances: 0 });
  expect(text).toContain('Your application:   http://127.0.0.1:8080/\n');
  expect(text).toContain('What is going on:   http://[::1]:9090/\n');
  expect(text).toContain('No instance runs yet. The first request starts one of\n      node app.js\n');
  expect(text).not.toContain('curl');
  expect(text).toContain('Other machines reach it, too.');
});

test('it says all that it listens at', () => {
  const listen = ['http://127.0.0.1:8080', 'tcp://127.0.0.1:5432'];
  const text = welcome({ listen, admin: '127.0.0.1:9090', route: '*', command: ['x'], minInstances: 0 });
  expect(text).toContain('It also listens at:  tcp://127.0.0.1:5432\n');
  expect(text).not.toContain('Other machines');
});

test('for one host it says how to ask for it', () => {
  const text = welcome({ listen: ['http://127.0.0.1:1'], admin: '127.0.0.1:2', route: 'app.test', command: ['x'], minInstances: 2 });
  expect(text).toContain('http://127.0.0.1:1/   (for the host app.test)');
  expect(text).toContain('curl -H "Host: app.test" http://127.0.0.1:1/');
  expect(text).toContain('At least 2 kept running:\n');
});
