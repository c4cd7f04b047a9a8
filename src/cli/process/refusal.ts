import { WorkerEnded } from '../../errors.ts';

/** The advice for a refusal of the system, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'Another process listens there. Stop it, or choose another port with --listen, --backend and --admin; port 0 takes a free one.',
  EACCES: 'This user may not do that. For ports below 1024, run it as a service with CAP_NET_BIND_SERVICE, or choose a higher port.',
  EADDRNOTAVAIL: 'This machine does not have that address. 0.0.0.0 means all its addresses, 127.0.0.1 means this machine only.',
  ENOTFOUND: 'That name can not be resolved. Is it spelled right, and does the DNS of this machine know it?',
  EMFILE: 'Too many files and connections are open: raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit).',
};

/** An error of the system, or of another process, whose message is enough without a stack. Null: another error. */
export function refusalText(error: unknown): string | null {
  if (error instanceof WorkerEnded) return error.message;
  if (!(error instanceof Error) || !('syscall' in error)) return null;
  const advice = 'code' in error ? ADVICE[String(error.code)] : undefined;
  return advice === undefined ? error.message : `${error.message}\n  ${advice}`;
}
