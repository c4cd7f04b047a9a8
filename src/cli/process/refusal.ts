import { WorkerEnded } from '../../errors.ts';

/** What to do about what the system refuses, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'Another process listens there. Stop it, or choose another port: --listen, --backend and --admin name them; port 0 takes a free one.',
  EACCES: 'This user may not do that. For ports below 1024, run it as a service with CAP_NET_BIND_SERVICE, or choose a higher port.',
  EADDRNOTAVAIL: 'This machine does not have that address. 0.0.0.0 is all that it has, 127.0.0.1 is itself alone.',
  ENOTFOUND: 'That name is not known here. Is it spelled right, and does this machine resolve it?',
  EMFILE: 'Too many files and connections are open: raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit).',
};

/** An error that the system gave for what it was asked, or another process: its message says all, and no stack helps. Null: something else. */
export function refusalText(error: unknown): string | null {
  if (error instanceof WorkerEnded) return error.message;
  if (!(error instanceof Error) || !('syscall' in error)) return null;
  const advice = 'code' in error ? ADVICE[String(error.code)] : undefined;
  return advice === undefined ? error.message : `${error.message}\n  ${advice}`;
}
