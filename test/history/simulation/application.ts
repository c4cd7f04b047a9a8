/** A simulated application: it takes HTTP/1.1 requests from its linker, one after the other on each connection, and answers them in its time. */
import { createServer, type Socket } from 'node:net';
import type { HistoryEvent, WithoutTime } from '../events.ts';

export interface ApplicationOptions {
  readonly host: string;
  readonly port: number;
  readonly instance: string;
  readonly record: (event: WithoutTime<HistoryEvent>) => void;
}

const HEAD_END = '\r\n\r\n';
const COLON = 58;

/** To be called as the simulated process that it is. */
export function startApplication({ host, port, instance, record }: ApplicationOptions): void {
  createServer({ allowHalfOpen: true }, (socket) => serve(socket, instance, record)).listen({ host, port });
}

function serve(socket: Socket, instance: string, record: ApplicationOptions['record']): void {
  let text = '';
  let current: string | null = null;
  let timer: NodeJS.Timeout | null = null;
  let worksOn = false;
  let hasEnded = false;
  const over = (whole: boolean): void => {
    if (current === null) return;
    const id = current;
    current = null;
    if (timer !== null) clearTimeout(timer);
    record({ e: 'end', id, whole });
  };
  const look = (): void => {
    const end = text.indexOf(HEAD_END);
    if (end === -1 || current !== null) return;
    const lines = text.slice(0, end).split('\r\n');
    const field = (name: string): string =>
      lines
        .find((line) => isField(line, name))
        ?.slice(name.length + 1)
        .trim() ?? '';
    const length = Number(field('content-length') || 0);
    if (text.length < end + HEAD_END.length + length) return;
    text = text.slice(end + HEAD_END.length + length);
    const [method = '', target = ''] = (lines[0] ?? '').split(' ', 2);
    const id = field('x-request-id');
    current = id;
    worksOn = target.includes('&on');
    const key = field('x-key');
    record({ e: 'begin', id, method, host: field('host'), ...(key === '' ? {} : { key }) });
    timer = setTimeout(
      () => {
        over(true);
        socket.write(`HTTP/1.1 200 OK\r\nx-instance: ${instance}\r\ncontent-length: ${id.length}\r\n\r\n${id}`);
        if (hasEnded) socket.end();
        else look();
      },
      Number(/ms=(\d+)/.exec(target)?.[1] ?? 0),
    );
  };
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    look();
  });
  socket.on('error', () => {});
  socket.on('end', () => {
    hasEnded = true;
    // It computes in silence, and its connection stays half open.
    if (current !== null && worksOn) return;
    over(false);
    socket.end();
  });
  socket.on('close', () => over(false));
}

function isField(line: string, name: string): boolean {
  return line.charCodeAt(name.length) === COLON && line.slice(0, name.length).toLowerCase() === name;
}
