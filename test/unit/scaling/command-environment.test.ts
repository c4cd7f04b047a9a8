import { expect, test } from '@jest/globals';
import { selectCommandEnvironment } from '../../../src/scaling/command-environment.ts';

const OURS = {
  PATH: '/bin',
  HOME: '/root',
  DOCKER_HOST: 'unix:///run/docker.sock',
  KUBERNETES_SERVICE_HOST: '10.0.0.1',
  KUBERNETES_SERVICE_PORT: '443',
  PULLPROXY_SECRET: 'secret',
  PULLPROXY_REDIS: 'redis://:password@redis',
  AWS_REGION: 'eu-west-1',
  EMPTY: undefined,
};

test('passes on what commands need to run and to reach their scheduler, and no secret', () => {
  expect(selectCommandEnvironment(OURS)).toEqual({
    PATH: '/bin',
    HOME: '/root',
    DOCKER_HOST: 'unix:///run/docker.sock',
    KUBERNETES_SERVICE_HOST: '10.0.0.1',
    KUBERNETES_SERVICE_PORT: '443',
  });
});

test('passes on what the user names', () => {
  expect(selectCommandEnvironment(OURS, ['AWS_REGION', 'EMPTY', 'MISSING'])).toMatchObject({ AWS_REGION: 'eu-west-1' });
  expect(Object.keys(selectCommandEnvironment(OURS, ['AWS_REGION', 'EMPTY', 'MISSING']))).toHaveLength(6);
});
