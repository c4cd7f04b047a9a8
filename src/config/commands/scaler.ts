import { command } from '../command-spec.ts';
import { argumentVector, dialAddress, directoryPath, duration, listenAddress, problem, startRate, text, whole, yesNo } from '../kinds.ts';
import { kubernetesApi, kubernetesPlaceOf, namespaceName } from '../kubernetes-api.ts';
import { LISTENER_SETTINGS } from '../listener-settings.ts';
import { many, onOff, optional, setting } from '../settings.ts';
import { TRACING_SETTINGS } from '../telemetry.ts';
import {
  DISCOVERY,
  discoveryProblems,
  LINK_VERSION_MIN,
  PROXY_TLS,
  problemsOf,
  proxyTlsProblems,
  REDIS,
  SECRET,
  SECRET_FILE,
  SERVER,
  secretProblems,
} from './common-settings.ts';

export const SCALER = command({
  name: 'scaler',
  summary: 'runs your startup command when clients wait for an application',
  usage: [
    '[--redis URL] [--rate auto|N/DURATION] [--parallel N] [--command-timeout DURATION] [--discover docker --proxy HOST:PORT | --discover kubernetes] -- CMD ARG...',
  ],
  about:
    'Runs CMD once for each instance that is missing. {route}, {start_id}, {desired} and {count} inside its arguments are replaced; ROUTE, START_ID, DESIRED, COUNT, HELD and READY are in its environment. CMD starts the instance through your scheduler and ends; no shell is involved.',
  settings: {
    redis: REDIS,
    rate: setting(
      'rate',
      startRate,
      'auto',
      'how many startup jobs may begin in this time, in the whole cluster. auto: starts begin at up to 50 a second, slower while they fail (at least 2), faster while they link (at most 500)',
    ),
    parallel: setting('parallel', whole(1, 1000), 4, 'startup jobs that this scaler runs at the same time'),
    commandTimeoutMs: setting('command-timeout', duration(1), 60_000, 'a startup command that takes longer is stopped and tried again'),
    allowRouteCommands: onOff(
      'allow-route-commands',
      yesNo,
      'also run the commands in the settings of routes (command, stopCommand): everybody who can set a route can then run programs here',
    ),
    agentsOnly: onOff(
      'agents-only',
      yesNo,
      'no startup command: starts are given to agents (linker --instances), and wait for one that has room',
    ),
    cancelCommand: optional(
      'cancel-command',
      argumentVector,
      "run for each start that failed or was given up, and for each instance that nobody has heard of for half a minute, to remove what is left at the scheduler; {route} and {start_id} are replaced. By default the route's stopCommand. It must not fail when there is nothing to remove",
    ),
    commandEnv: many(
      'command-env',
      text('NAME', 'the name of an environment variable', /^[A-Za-z_]\w*$/),
      [],
      'an environment variable that is passed to the startup command; may be repeated. Without it the command gets no secrets',
    ),
    outputDir: optional(
      'output-dir',
      text('DIR', 'a directory', /^[^\0]{1,4096}$/),
      'directory for the output of startup commands, one file for each run (at most 1 MiB of it is kept; a file is removed an hour after its last writer ended, or when there are more than 100); by default pullproxy-UID in the directory for temporary files, or in /dev/shm if that is read-only',
    ),
    ...DISCOVERY,
    discoverNamespace: optional(
      'discover-namespace',
      namespaceName,
      'with --discover kubernetes: where the Deployments are; without it POD_NAMESPACE, or the namespace of the service account',
    ),
    kubernetesApi: optional(
      'kubernetes-api',
      kubernetesApi,
      'with --discover kubernetes: where its API is; without it that of the cluster of this Pod',
    ),
    kubernetesCredentials: optional(
      'kubernetes-credentials',
      directoryPath,
      'with --discover kubernetes: directory with the files token and ca.crt, read again for each request; by default /var/run/secrets/kubernetes.io/serviceaccount',
    ),
    proxy: many('proxy', dialAddress, [], "with --discover docker: a node's backend port, for the instances; may be repeated"),
    secret: SECRET,
    secretFile: SECRET_FILE,
    ...PROXY_TLS,
    linkVersionMin: LINK_VERSION_MIN,
    admin: optional('admin', listenAddress, 'address of the scaler for health, metrics and the API; without it there is no such port'),
    adminToken: LISTENER_SETTINGS.adminToken,
    adminMetricsOpen: LISTENER_SETTINGS.adminMetricsOpen,
    ...TRACING_SETTINGS,
    ...SERVER,
  },
  tail: 'optional',
  operands: false,
  routes: false,
  examples: [
    ['pullproxy scaler -- docker run -d --rm -e PULLPROXY_START_ID={start_id} my-app', 'one container per missing instance'],
    ['pullproxy scaler --rate 2/1s -- systemctl start "my-app@{start_id}"', 'at most two jobs a second'],
    [
      'pullproxy scaler --redis redis://redis.example.com --discover docker --proxy proxy.example.com:9080',
      'containers of this machine with the label pullproxy.route=NAME',
    ],
    ['pullproxy scaler --discover kubernetes', 'in a Pod: Deployments with the annotation pullproxy/route: NAME'],
    ['pullproxy scaler --agents-only', 'agents on the machines start instances (pullproxy linker --instances)'],
    ['pullproxy scaler --allow-route-commands', 'each route names its own command'],
  ],
  check: (values, tail) => [
    ...(tail.length === 0 && !values.allowRouteCommands && !values.agentsOnly && values.discover === undefined
      ? [
          '-- CMD ARG...: expected the startup command at the end of the line, --allow-route-commands, --agents-only, or --discover docker|kubernetes',
        ]
      : []),
    ...(values.discover === 'docker' && values.proxy.length === 0
      ? ["--proxy is missing: expected with --discover docker the address of a node's backend port, HOST:PORT"]
      : []),
    ...(values.agentsOnly && (tail.length > 0 || values.discover !== undefined)
      ? [problem('--agents-only', true, 'no startup command and no --discover with it')]
      : []),
    ...discoveryProblems(values),
    ...kubernetesProblems(values),
    ...secretProblems(values),
    ...proxyTlsProblems(values),
  ],
});

/** Typed by hand, since it is named in what it is the type of. */
interface OfKubernetes {
  readonly discover?: string | undefined;
  readonly discoverNamespace?: string | undefined;
  readonly kubernetesApi?: URL | undefined;
  readonly kubernetesCredentials?: string | undefined;
}

function kubernetesProblems(values: OfKubernetes): string[] {
  if (values.discover !== 'kubernetes') {
    const { discoverNamespace, kubernetesApi: api, kubernetesCredentials } = values;
    const given = {
      'discover-namespace': discoverNamespace,
      'kubernetes-api': api?.origin,
      'kubernetes-credentials': kubernetesCredentials,
    };
    const said = Object.entries(given).filter(([, value]) => value !== undefined);
    return said.map(([name, value]) => problem(`--${name}`, value, '--discover kubernetes with it'));
  }
  return problemsOf(() => kubernetesPlaceOf(values));
}
