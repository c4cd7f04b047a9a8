/** Describes the API: the document is made of the routes' own schemas, so it can't say anything else than they do. */
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';

const ABOUT = `What pullproxy shows and how it is changed, at the admin port of any node; all of it is of the whole cluster.
Calls carry "Authorization: Bearer" with the token that --admin-token names, those that only read too. Where none is named everybody
reads, and changing calls work from the same machine only. A page of another site is never let through.`;

/** Before the routes that it describes. */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'pullproxy', version, description: ABOUT.replaceAll('\n', ' ') },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      tags: [
        { name: 'state', description: 'what is there' },
        { name: 'changes', description: 'what can be done' },
        { name: 'health', description: 'for probes and scrapers' },
      ],
    },
    // Where a route judges its body itself, the schema by which fastify judges says less than there is to know.
    transform: ({ schema, url, route }) => {
      const described = (route.config as { readonly describedBody?: string } | undefined)?.describedBody;
      return { url, schema: described === undefined ? schema : { ...schema, body: { $ref: `${described}#` } } };
    },
    refResolver: { buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === 'string' ? $id : `schema-${i}`) },
  });
  app.get('/api/v1/openapi.json', { schema: { hide: true } }, () => app.swagger());
}
