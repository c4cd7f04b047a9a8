/** Describes the API. The document is made of the routes' own schemas, so it can't differ from them. */
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';

const ABOUT = `Reads and changes the state of the whole cluster, at the admin port of any node.
Calls need "Authorization: Bearer" with the token of --admin-token, also calls that only read. Without --admin-token everybody can
read, and changing calls work from the same machine only. A page of another site is always refused.`;

/** Call it before the routes that it describes. */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'pullproxy', version, description: ABOUT.replaceAll('\n', ' ') },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      tags: [
        { name: 'state', description: 'reading' },
        { name: 'changes', description: 'changing' },
        { name: 'health', description: 'for health checks and Prometheus' },
      ],
    },
    // A route that checks its body itself has a schema for fastify that says less than the description should.
    transform: ({ schema, url, route }) => {
      const described = (route.config as { readonly describedBody?: string } | undefined)?.describedBody;
      return { url, schema: described === undefined ? schema : { ...schema, body: { $ref: `${described}#` } } };
    },
    refResolver: { buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === 'string' ? $id : `schema-${i}`) },
  });
  app.get('/api/v1/openapi.json', { schema: { hide: true } }, () => app.swagger());
}
