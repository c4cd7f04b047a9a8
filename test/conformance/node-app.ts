/** A node by itself, for the kit. Says where it listens and serves until it is killed. */
import { startLoneNode } from '../support/harness/lone-node.ts';

const [route = '', secret = ''] = process.argv.slice(2);
void startLoneNode({ routes: { [route]: {} }, secrets: () => [secret] }).then(({ port, backendPort }) =>
  console.log(JSON.stringify({ port, backendPort })),
);
