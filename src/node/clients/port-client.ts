import type { Socket } from 'node:net';
import type { FailureDomain } from '../../boundary.ts';

/** A client's connection of any protocol, as its port sees it. */
export interface PortClient extends FailureDomain {
  readonly socket: Socket;
  /** When it is to be looked at again, on the monotonic clock; Infinity: not at all. */
  readonly deadline: number;
  /** Its socket is not read now. */
  readonly paused: boolean;
  /** Where its port keeps it; null: at no port. */
  place: number | null;
  /** The deadline has passed. */
  timeOut(now: number): void;
  /** The node leaves: it ends as soon as it does not cut anything off. */
  drain(now: number): void;
  /** The node is about to leave: ends soon if it is idle. Absent: it has no idle times. */
  endIdle?(now: number): void;
  /** Gone while its socket is not read; `ended`: by FIN. */
  clientVanished(ended: boolean): void;
}

/** A connection that is no client yet: its PROXY header or its TLS handshake is awaited. It counts, and has its time. */
export class PendingConnection implements PortClient {
  readonly socket: Socket;
  readonly deadline: number;
  readonly paused = false;
  place: number | null = null;

  constructor(socket: Socket, deadline: number) {
    this.socket = socket;
    this.deadline = deadline;
  }

  get where(): 'listener' {
    return 'listener';
  }

  fail(): void {
    this.socket.destroy();
  }

  timeOut(): void {
    this.socket.destroy();
  }

  /** It has asked for nothing yet. */
  drain(): void {
    this.socket.destroy();
  }

  clientVanished(): void {
    this.socket.destroy();
  }
}
