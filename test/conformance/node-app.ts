/** A node by itself, for the kit: it gives starts to agents. Says where it listens and serves until it is killed. */
import { alone } from '../../src/cli/node/membership.ts';
import { createLog } from '../../src/log.ts';
import { startLoneNode } from '../support/harness/lone-node.ts';

const [route = '', secret = ''] = process.argv.slice(2);
const { join, startNeeded } = alone('conformance', createLog('node', 'silent'));
const cluster = (address: string) => join({ id: 'n1', address });
void startLoneNode({ routes: { [route]: {} }, secrets: () => [secret], cluster, startNeeded }).then(({ port, backendPort }) =>
  console.log(JSON.stringify({ port, backendPort })),
);
