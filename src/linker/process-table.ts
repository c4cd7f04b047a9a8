/** The processes of this machine, from /proc (proc(5)). Without /proc everything is empty. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTENS = '0A';

/** Whether a process of the group lives. In a container whose first process does not collect orphans the dead stay in it for good. */
export function groupLives(group: number): boolean {
  if (process.platform !== 'linux') return true;
  return pids().some((pid) => isOf(group, pid));
}

/** Living processes outside the group that were started with `NAME=value` in their environment, by it or by what it started. */
export function strays(variable: string, group: number): number[] {
  return pids().filter((pid) => !isOf(group, pid) && isAlive(pid) && environmentOf(pid).includes(variable));
}

function isAlive(pid: number): boolean {
  const [state] = statOf(pid);
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Living processes of the group. */
export function groupMembers(group: number): number[] {
  return pids().filter((pid) => isOf(group, pid));
}

/** The TCP ports at which these processes listen. */
export function portsOf(processes: readonly number[]): number[] {
  const ports = listeningPorts();
  const found = new Set<number>();
  for (const pid of processes) {
    for (const inode of socketsOf(pid)) {
      const port = ports.get(inode);
      if (port !== undefined) found.add(port);
    }
  }
  return [...found].sort((a, b) => a - b);
}

function pids(): number[] {
  return entriesOf('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

function isOf(group: number, pid: number): boolean {
  const [state, , its] = statOf(pid);
  return its === String(group) && state !== 'Z' && state !== 'X';
}

/** State, parent and group: the fields after the name in parentheses. */
function statOf(pid: number): string[] {
  const text = textOf(`/proc/${pid}/stat`);
  return text === '' ? [] : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function environmentOf(pid: number): string[] {
  return textOf(`/proc/${pid}/environ`).split('\0');
}

/** The socket's inode → the port. */
function listeningPorts(): Map<string, number> {
  const ports = new Map<string, number>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of textOf(table).split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (state === LISTENS) ports.set(inode, Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16));
    }
  }
  return ports;
}

function socketsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return entriesOf(directory).flatMap((entry) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${directory}/${entry}`))?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
