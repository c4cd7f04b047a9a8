/**
 * How far one Redis goes: a cluster of many nodes, routes and instances is registered with the real scripts on a real Redis, and what
 * each thing costs there is read from Redis itself. Needs redis-server.
 *
 *     npm run simulation [-- --nodes 100 --instances 10000 --routes 1000]
 */
import { parseArgs } from 'node:util';
import { Children } from './children.ts';
import { openSimulation, type Sizes } from './simulated-cluster.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '100' },
    instances: { type: 'string', default: '10000' },
    routes: { type: 'string', default: '1000' },
    only: { type: 'boolean', default: false },
  },
});
const whole: Sizes = { nodes: Number(values.nodes), instances: Number(values.instances), routes: Number(values.routes) };
/** What grows with what: one number at a time. */
const others: readonly Sizes[] = values.only
  ? []
  : [
      { ...whole, nodes: whole.nodes / 10 },
      { ...whole, instances: whole.instances / 10 },
      { ...whole, routes: whole.routes / 10 },
      // One application with a tenth of all instances.
      { nodes: whole.nodes, instances: whole.instances / 10, routes: 1 },
      { nodes: whole.nodes, instances: whole.instances / 100, routes: 1 },
    ];

for (const sizes of [...others, whole]) {
  const children = new Children();
  try {
    const simulation = await openSimulation(children, sizes);
    const registered = await simulation.register();
    const beat = await simulation.beat();
    const sweeps = [];
    for (const held of [10, 1_000, 10_000]) sweeps.push({ held, ...(await simulation.sweep(held)) });
    const handoff = await simulation.handoff(300);
    const picture = await simulation.picture();
    console.log(JSON.stringify({ ...sizes, registered, beat, sweeps, handoff, picture }));
    await simulation.close();
  } finally {
    await children.stopAll();
  }
}
