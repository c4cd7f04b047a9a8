/** The control socket's interface, for people and for generators of clients. */
const PICTURE = { $ref: '#/components/schemas/Instance' } as const;
const ANSWER = { description: 'The instance as it is now', content: { 'application/json': { schema: PICTURE } } } as const;
const BAD = {
  description: 'The request was not understood; `error` says why',
  content: { 'application/json': { schema: { type: 'object' } } },
} as const;

export function openApi(version: string | null): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'pullproxy: the control socket of an instance',
      version: version ?? '0',
      description: 'The application says here how many requests it takes. Its path is in PULLPROXY_CONTROL.',
    },
    paths: {
      '/': { get: { operationId: 'getInstance', summary: 'The instance as it is now', responses: { 200: ANSWER } } },
      '/concurrency': {
        put: {
          operationId: 'setConcurrency',
          summary: 'Sets how many requests the application gets at once',
          description: 'A whole number, or `auto`. 0: none now. The answer comes once the limit is in force.',
          requestBody: { required: true, content: { 'text/plain': { schema: { type: 'string', examples: ['8', '0', 'auto'] } } } },
          responses: { 200: ANSWER, 400: BAD, 413: BAD },
        },
      },
      '/start': {
        post: {
          operationId: 'startAnother',
          summary: 'Asks for one more, newer instance of the route',
          responses: { 202: ANSWER, 503: { ...BAD, description: 'No node is there to ask' } },
        },
      },
      '/leave': {
        post: {
          operationId: 'leave',
          summary: 'The instance leaves: it ends what it serves, and gets nothing more',
          responses: { 202: ANSWER },
        },
      },
    },
    components: {
      schemas: {
        Instance: {
          type: 'object',
          required: ['instance', 'route', 'state', 'concurrency', 'setBy', 'active', 'newest', 'version'],
          properties: {
            instance: { type: 'string' },
            route: { type: 'string' },
            state: { enum: ['starting', 'ready', 'paused', 'draining'] },
            concurrency: { type: 'integer', minimum: 0, description: 'How many requests the application gets at once' },
            setBy: { enum: ['flag', 'header', 'control', 'auto'], description: 'Who has set the limit' },
            active: { type: 'integer', minimum: 0, description: 'Requests that the application has, or that wait for it at the linker' },
            newest: { type: 'boolean', description: 'Whether it is the newest instance of its route' },
            version: { type: ['string', 'null'], description: 'Of the linker' },
          },
        },
      },
    },
  };
}
