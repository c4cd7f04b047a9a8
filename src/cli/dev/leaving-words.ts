export interface Leaving {
  /** The signal, or another reason. */
  readonly why: string;
  readonly active: number;
  readonly held: number;
  readonly instances: number;
  readonly drainTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

/** The text of `dev` for the person who ends it: for which clients it waits, for how long at most, and how to end at once. */
export function leavingWords({ why, active, held, instances, drainTimeoutMs, stopTimeoutMs }: Leaving): string {
  const clients = [
    ...(active > 0 ? [`${count(active, 'request')} in progress`] : []),
    ...(held > 0 ? [`${count(held, 'client')} that wait for an instance`] : []),
  ];
  const waits = clients.length === 0 ? '' : ` It waits for ${clients.join(' and ')}, ${seconds(drainTimeoutMs)} at most.`;
  const ends =
    instances === 0
      ? ''
      : ` ${count(instances, 'instance')} of the application ${instances === 1 ? 'is' : 'are'} told to end, and killed after ${seconds(stopTimeoutMs)}.`;
  const again = why === 'SIGINT' && waits + ends !== '' ? ' Ctrl-C again ends all at once.' : '';
  return `\npullproxy leaves (${why}).${waits}${ends}${again}\n`;
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
