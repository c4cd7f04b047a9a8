/** Clients of a node: plain HTTP requests, each on a connection of its own unless an agent is given. */
import { type Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface ApplicationResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Ask {
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  /** Breaks the connection off. */
  readonly signal?: AbortSignal;
}

/** Resolves with the whole answer; rejects when the connection breaks before its end. */
export function ask(
  node: string,
  { host, path = '/', method = 'GET', headers = {}, body, agent, signal }: Ask,
): Promise<ApplicationResponse> {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { ...headers, host }, agent: agent ?? false, signal };
    const outgoing = request(new URL(path, node), options, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('error', reject);
      incoming.once('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks).toString() }),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

/** `count` clients at once; `node(i)` says where the i-th goes. Failures are answers with status 0. */
export function crowd(count: number, node: (i: number) => string, what: Ask | ((i: number) => Ask)): Promise<ApplicationResponse[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      ask(node(i), typeof what === 'function' ? what(i) : what).catch((error: Error) => ({ status: 0, headers: {}, body: error.message })),
    ),
  );
}

/** How many answers have which status: `{ '200': 500 }` is what a test wants to see. */
export function statuses(answers: readonly ApplicationResponse[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
