/**
 * What a history consists of: one JSON object a line. `t` is CLOCK_MONOTONIC in microseconds, which all processes of one machine share; `e` says
 * what happened. Nothing here, and nothing that reads it, knows the code of pullproxy.
 */

export type WithoutTime<E> = E extends { readonly t: number } ? Omit<E, 't'> : never;

/** Takes events, and adds the time. */
export interface Recorder {
  add(event: WithoutTime<HistoryEvent>): void;
}

export type Role = 'client' | 'node' | 'linker' | 'app' | 'command' | 'operator';

/** The first line of each file, and of each segment of it. */
export interface ProcessBegan {
  readonly e: 'process';
  readonly t: number;
  readonly role: Role;
  /** The node's id, or the start id of an instance. */
  readonly name: string;
  readonly pid: number;
  /** Processes with the same value share CLOCK_MONOTONIC. */
  readonly clock: string;
  readonly wallMs: number;
}

/** The clocks of a process side by side. */
export interface ClockRead {
  readonly e: 'clock';
  readonly t: number;
  readonly wallMs: number;
}

/** A timer of the process came so late. Without its own processor time it was the machine's doing, or that of a fault. */
export interface Stalled {
  readonly e: 'stall';
  readonly t: number;
  readonly lateMs: number;
  readonly ownCpuMs: number;
}

/** The file has no room: what follows is not recorded. */
export interface Full {
  readonly e: 'full';
  readonly t: number;
}

// ── clients ──

export interface Sent {
  readonly e: 'send';
  readonly t: number;
  readonly id: string;
  readonly node: string;
  /** Where instances have keys, ROUTE~KEY, here and in all events: each key is a route of its own. */
  readonly route: string;
  readonly method: string;
  readonly tenant?: string;
  readonly urgency?: number;
}

/** What became of a request. `status` 0: its connection broke or was refused, `why` says how. */
export interface Got {
  readonly e: 'got';
  readonly t: number;
  readonly id: string;
  readonly status: number;
  /** The id in the application's response, and the instance that says it wrote it. */
  readonly body?: string;
  readonly instance?: string;
  readonly why?: string;
  /** A part of a response was there when it broke. */
  readonly begun?: boolean;
}

// ── nodes ──

export interface Held {
  readonly e: 'held';
  readonly t: number;
  readonly id: string;
  readonly route: string;
}

/** It has a slot of the instance. */
export interface Opened {
  readonly e: 'opened';
  readonly t: number;
  readonly id: string;
  readonly route: string;
  readonly instance: string;
  readonly attempt: number;
  /** Through another node. */
  readonly relayed?: boolean;
}

export interface Over {
  readonly e: 'over';
  readonly t: number;
  readonly id: string;
  readonly status: number;
  readonly end: string;
  readonly reason?: string;
}

// ── linkers ──

export interface LinkerSaid {
  /** `lends`: its slots may be given to nodes. `withholds`: for now not. `leaves`: never again. `gone`: it ends. */
  readonly e: 'lends' | 'withholds' | 'leaves' | 'gone';
  readonly t: number;
  readonly instance: string;
  readonly route: string;
}

// ── applications ──

export interface AppUp {
  readonly e: 'up';
  readonly t: number;
  readonly instance: string;
  readonly route: string;
  readonly startId: string;
  readonly limit: number;
}

/** It has got a request. */
export interface Began {
  readonly e: 'begin';
  readonly t: number;
  readonly id: string;
  readonly method: string;
  readonly host: string;
  /** The key that it is for, where instances have keys. */
  readonly key?: string;
}

/** It has written its response, or its client is gone. */
export interface Ended {
  readonly e: 'end';
  readonly t: number;
  readonly id: string;
  readonly whole: boolean;
}

/** It asks for another limit, and hears that it is in force. */
export interface LimitSaid {
  readonly e: 'asks' | 'agreed';
  readonly t: number;
  readonly limit: number;
}

/** It was told to end. */
export interface AppTold {
  readonly e: 'told';
  readonly t: number;
}

// ── startup commands ──

export interface StartRun {
  readonly e: 'start';
  readonly t: number;
  readonly startId: string;
  readonly route: string;
  readonly pid: number;
}

// ── the operator and the nemesis ──

export interface Fault {
  readonly e: 'fault';
  readonly t: number;
  readonly n: number;
  readonly what: string;
  /** The process (ROLE:NAME) that it hits, if it hits one. */
  readonly of?: string;
  /** What happens to it: it dies at once, it ends in order, it says and hears nothing. Without it no request may be lost by the fault. */
  readonly does?: 'dies' | 'ends' | 'silent' | 'cut';
  /** Waiting is what clients do meanwhile: bounds of time do not count. */
  readonly disturbs: boolean;
  /** These nodes can not ask the directory: one by its id, or all of them. Then keys that sleep can not wake there. */
  readonly undirected?: string;
  /** Nodes do not hear each other, and have only what the directory replies to them: who waits is found with the next beat. */
  readonly deafens?: boolean;
}

export interface Mended {
  readonly e: 'mended';
  readonly t: number;
  readonly n: number;
}

export interface RouteSaid {
  readonly e: 'route';
  readonly t: number;
  readonly route: string;
  readonly maxInstances: number;
  readonly concurrency: number;
  /** How its clients wait: by age alone, or by shares and urgency. */
  readonly fair: boolean;
}

export interface PauseSaid {
  /** `paused`: the command has returned, with nothing in flight. `resumes`: the command that ends it is about to run. */
  readonly e: 'paused' | 'resumes';
  readonly t: number;
  readonly route: string;
}

/** All instances that are there are to be replaced: the command that says so is about to run. While old ones are there, one more than allowed may be there. */
export interface RestartSaid {
  readonly e: 'restarts';
  readonly t: number;
  readonly route: string;
}

export interface RunSaid {
  readonly e: 'run' | 'quiet';
  readonly t: number;
  readonly seed: number;
}

export type HistoryEvent =
  | ProcessBegan
  | ClockRead
  | Stalled
  | Full
  | Sent
  | Got
  | Held
  | Opened
  | Over
  | LinkerSaid
  | AppUp
  | Began
  | Ended
  | LimitSaid
  | AppTold
  | StartRun
  | Fault
  | Mended
  | RouteSaid
  | PauseSaid
  | RestartSaid
  | RunSaid;
