/** Lines about linkers and instances, scalers, files and the admin port. */
import { happened, MINUTE, type Row, wrong } from './row.ts';

export const OTHER_ROWS: Readonly<Record<string, Row>> = {
  'linker refused': wrong(
    'warning',
    'linker_refused',
    (say) => refusal(say('reason'), say('peer')),
    'It serves nobody until that is mended. Compare --secret (or --secret-file), certificates and versions of both sides; a stranger gets nothing.',
    5 * MINUTE,
  ),
  'the node has no room for a linker': wrong(
    'warning',
    'linker_without_room',
    (say) => `refused a linker of ${say('route')}: ${say('reason')}`,
    'It tries other nodes. Raise --links-per-secret-max or --routes-per-secret-max, or find out who starts so many linkers.',
    5 * MINUTE,
  ),
  'a linker could not be accepted': wrong(
    'error',
    'linker_not_accepted',
    (say) => `a linker could not be accepted: ${say('err')}`,
    'It dials again. Open files (ulimit -n)?',
  ),
  'a linker is sent away: its secret is no longer valid': happened(
    'linker_sent_away',
    (say) => `instance ${say('instance')} was sent away: its secret counts no longer`,
  ),
  'an instance is not ready yet': wrong(
    'warning',
    'instance_not_ready',
    (say) => `an instance is not ready yet: ${say('reason')}`,
    'The application has to listen at the port in the environment variable PORT. If it only needs longer to start, raise startTimeout.',
  ),
  'linker gone': happened('linker_gone', (say) => `instance ${say('instance')} is gone: ${say('reason')}`),
  'an instance came after its start was given up: it is turned away': wrong(
    'warning',
    'instance_too_late',
    (say) => `instance ${say('instance')} came after its start was given up, and was turned away`,
    'Starts take longer than startTimeout: raise it, or make them faster.',
  ),
  'linker linked': happened('linker_linked', (say) => `instance ${say('instance')} is linked`),
  'the first requests to a new instance failed: others are preferred': wrong(
    'warning',
    'new_instance_fails',
    (say) => `the first requests to the new instance ${say('instance')} failed: others are preferred`,
    'The older instances serve. Is the new version broken?',
  ),
  'clients of a route leave before they are served: those who would wait for too long are refused': wrong(
    'warning',
    'overload',
    (say) =>
      `more clients of ${say('route')} come than are served, and they leave: nobody waits for longer than ${say('waitMs')} ms, the others get a 503`,
    'It ends by itself when fewer come. If this lasts: more instances (maxInstances), or a higher concurrency.',
    MINUTE,
  ),
  'instances of a route fail to start: its clients are not held for now': wrong(
    'error',
    'not_held',
    () => 'its instances fail to start: clients get a 503 at once',
    'See why starts fail.',
    MINUTE,
  ),
  'could not look up a route': wrong(
    'warning',
    'lookup_failed',
    (say) => `a route could not be looked up: ${say('err')}`,
    'Its client gets a response all the same.',
    MINUTE,
  ),
  'the node can not relay': wrong(
    'warning',
    'relay_failed',
    (say) => `slots can not be moved to another node: ${say('reason')}`,
    'Do the nodes reach the backend port of each other (--advertise), and have they one secret?',
  ),
  'a connection was refused': wrong(
    'warning',
    'proxy_header',
    (say) => `a connection to ${say('listen')} was refused: ${say('reason')}`,
    'Who connects there must send a PROXY header, and be trusted.',
    MINUTE,
  ),

  'startup command finished': happened('command_run', (say) => `the startup command has run (${say('startId')})`),
  'stop command finished': happened('stop_run', () => 'the stop command has run'),
  'startup command failed': wrong(
    'warning',
    'command_failed',
    (say) => say('failure'),
    'What it wrote is under Startup jobs; mend it where the scaler runs.',
    0,
  ),
  'startup job failed': wrong(
    'warning',
    'job_failed',
    (say) => `a startup job failed: ${say('reason')}`,
    'It is tried again with growing pauses.',
    0,
  ),
  'startup jobs can not be ordered; trying again': wrong(
    'error',
    'jobs_not_ordered',
    (say) => `startup jobs can not be ordered: ${say('reason')}`,
    'Nothing is started until Redis takes them.',
    MINUTE,
  ),
  'instances could not be started; trying again': wrong(
    'error',
    'not_started',
    (say) => `instances could not be started: ${say('reason')}`,
    'It tries again.',
    MINUTE,
  ),
  'what a startup command left late could not be cancelled': wrong(
    'warning',
    'late_start_not_cancelled',
    (say) => `what start ${say('startId')} left late could not be cancelled: ${say('reason')}`,
    'The scheduler may still have something of this start: remove it there by its id.',
    MINUTE,
  ),
  'a failed start could not be removed from the directory yet': wrong(
    'warning',
    'start_not_ended',
    (say) => `a failed start is still counted: ${say('reason')}`,
    'It lapses by itself.',
    MINUTE,
  ),
  'starts with an unknown end are decided again': happened('starts_anew', () => 'starts with an unknown end are decided again'),
  'startup jobs are no longer taken': wrong(
    'error',
    'jobs_not_taken',
    (say) => `this scaler takes no more startup jobs: ${say('reason')}`,
    'Restart it.',
    15 * MINUTE,
  ),
  'a startup job was interrupted and begins again': wrong(
    'warning',
    'job_stalled',
    () => 'a startup job was interrupted and begins again',
    'Did a scaler die?',
    0,
  ),
  'error in the queue of startup jobs': wrong(
    'warning',
    'jobs_trouble',
    (say) => `trouble with startup jobs: ${say('reason')}`,
    'It tries again.',
  ),
  'startup commands write into pipes of this process: programs that they leave running may end with it (--output-dir)': wrong(
    'warning',
    'output_pipes',
    () => 'startup commands write into pipes of the scaler',
    'What they leave running may break with it: name a directory with --output-dir.',
    10 * MINUTE,
  ),
  'no file for the output of a startup command: a program that it leaves running may end with the scaler': wrong(
    'warning',
    'output_no_file',
    (say) => `the output of a startup command has no file: ${say('reason')}`,
    'Is the disk full (--output-dir)?',
  ),
  'the output files of startup commands could not be limited': wrong(
    'warning',
    'output_unbounded',
    (say) => `the output of startup commands can not be bounded: ${say('reason')}`,
    'Look at --output-dir.',
  ),

  'admin request failed': wrong(
    'error',
    'admin_failed',
    (say) => `a request to the admin port failed: ${say('method')} ${say('url')}`,
    'A fault in pullproxy: the log has its stack.',
  ),
  'the access log can not be written': wrong(
    'error',
    'access_log',
    (say) => `the access log can not be written: ${say('err')}`,
    'Lines are lost until it can. Is the disk full?',
  ),
  'the new secrets can not be used: the previous ones stay': wrong(
    'error',
    'secrets_bad',
    (say) => `the new secrets can not be used: ${say('err')}`,
    'The former ones stay. Mend the file.',
    15 * MINUTE,
  ),
  'the new configuration can not be used: nothing was changed': wrong(
    'error',
    'reload_failed',
    (say) => `the new configuration can not be used, and nothing was changed: ${say('err')}`,
    'The former one counts. Mend it, and reload again.',
    15 * MINUTE,
  ),
  'the files with routes can not be used: nothing was changed': wrong(
    'error',
    'route_files_bad',
    (say) => `the files with routes can not be used, and nothing was changed: ${say('err')}`,
    'The former routes count. Mend the files: they are read again when they change.',
    24 * 60 * MINUTE,
  ),
  'the routes of the files are set anew': happened('route_files_read', (say) => `has set the ${say('routes')} routes of its files anew`, [
    'route_files_bad',
  ]),
  'configuration reloaded': happened('reloaded', (say) => `has read its configuration anew; changed: ${say('changed') || 'nothing'}`, [
    'reload_failed',
    'route_files_bad',
    'needs_restart',
  ]),
  'changed settings count only after a restart': wrong(
    'warning',
    'needs_restart',
    (say) => `changed settings count only after a restart: ${say('settings')}`,
    'Restart the process when it suits ("node --workers": SIGUSR2 replaces the workers), or take the settings back and reload.',
    24 * 60 * MINUTE,
  ),
  'secrets reloaded': happened('secrets_read', () => 'has read the secrets anew', ['secrets_bad']),
  'the new keys of TLS session tickets can not be used: the previous ones stay': wrong(
    'warning',
    'ticket_keys_bad',
    (say) => `the new keys of TLS session tickets can not be used: ${say('err')}`,
    'The former ones stay. Mend the file.',
    15 * MINUTE,
  ),
  'keys of TLS session tickets reloaded': happened('ticket_keys_read', () => 'has read the keys of TLS session tickets anew', [
    'ticket_keys_bad',
  ]),
  'the new certificates can not be used: the previous ones stay': wrong(
    'error',
    'certificates_bad',
    (say) => `the new certificates can not be used: ${say('err')}`,
    'The former ones stay. Mend the files.',
    15 * MINUTE,
  ),
  'certificates reloaded': happened('certificates_read', () => 'has read its certificates anew', [
    'certificates_bad',
    'certificate_expires',
    'certificate_expired',
  ]),
  'the new certificate of the backend port can not be used: the previous one stays': wrong(
    'error',
    'backend_certificate_bad',
    (say) => `the new certificate of the backend port can not be used: ${say('err')}`,
    'The former one stays. Mend the files.',
    15 * MINUTE,
  ),
  'the certificate of the backend port was reloaded': happened(
    'backend_certificate_read',
    () => 'has another certificate at its backend port',
    ['backend_certificate_bad', 'certificate_expires', 'certificate_expired'],
  ),
  'environment variables belong to no setting': wrong(
    'warning',
    'unknown_variables',
    (say) => `has environment variables that belong to no setting: ${say('variables')}`,
    'They have no effect. A misspelt name? `--help` names the settings.',
    24 * 60 * MINUTE,
  ),
  'without --secret or --secret-file, everybody who reaches the backend port can be a linker': wrong(
    'warning',
    'no_secret',
    () => 'has no secret: everybody who reaches its backend port can be a linker',
    'Give nodes and linkers one: --secret-file.',
    24 * 60 * MINUTE,
  ),
  'a short secret can be guessed': wrong(
    'warning',
    'short_secret',
    () => 'a secret is so short that it can be guessed',
    'openssl rand -hex 24 makes a good one.',
    24 * 60 * MINUTE,
  ),
  'the application gets no control socket': wrong(
    'warning',
    'no_control',
    (say) => `has no control socket for its application: ${say('reason')}`,
    'Give it a directory that can be written (TMPDIR), or another place (--control).',
  ),
  'OpenTelemetry reports an error': wrong(
    'warning',
    'telemetry',
    (say) => `traces can not be sent: ${say('reason')}`,
    'Requests go on without them.',
  ),
  'the last traces could not be sent': happened('telemetry_end', () => 'the last traces could not be sent'),
};

function refusal(reason: string, peer: string): string {
  const from = peer.replace(/:\d+$/, '');
  if (/secret|proof|prove/i.test(reason)) return `a linker (or node) at ${from} has another secret: ${reason}`;
  if (/certificate|tls|ssl|alert/i.test(reason)) return `a linker (or node) at ${from} has no certificate that fits: ${reason}`;
  if (/version|protocol/i.test(reason)) return `a linker (or node) at ${from} speaks another version: ${reason}`;
  return `a linker (or node) at ${from} was refused: ${reason}`;
}
