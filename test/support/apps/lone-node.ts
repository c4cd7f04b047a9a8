/** Says where it listens and serves until it is killed. */
import { startLoneNode } from '../harness/lone-node.ts';

const { port, backendPort } = await startLoneNode();
console.log(JSON.stringify({ port, backendPort }));
