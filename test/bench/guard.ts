/**
 * How many bytes of objects a warm request makes in the node and in the linker, compared with what it made when allocations.json was written:
 * other than times this hardly depends on the machine. Exit code 1 when one has grown by more than a tenth.
 *
 *     npm run bench:guard [-- --write]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { freePort } from '../../src/linker/free-port.ts';
import { Inspector } from './inspector.ts';
import { median, wrk } from './load.ts';
import { Surroundings } from './surroundings.ts';

const FILE = new URL('./allocations.json', import.meta.url);
const GROWTH_MAX = 1.1;
const CLIENTS = 50;
const ROUNDS = 5;

type Bytes = Record<'node' | 'linker', number>;

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const surroundings = new Surroundings();
try {
  const found = await measure();
  const written = values.write ? found : (JSON.parse(readFileSync(FILE, 'utf8')) as Bytes);
  if (values.write) writeFileSync(FILE, `${JSON.stringify(found, null, 2)}\n`);
  for (const name of ['node', 'linker'] as const) {
    const growth = found[name] / written[name];
    console.log(`${name}: ${found[name]} bytes a request, ${growth.toFixed(2)} times the ${written[name]} in allocations.json`);
    if (growth > GROWTH_MAX) process.exitCode = 1;
  }
} finally {
  await surroundings.close();
}

async function measure(): Promise<Bytes> {
  const origin = await surroundings.startOrigin();
  const ports = { node: await freePort(), linker: await freePort() };
  const flags = (port: number): string[] => [`--inspect=127.0.0.1:${port}`];
  const { address, backend } = await surroundings.startNode({ flags: flags(ports.node) });
  await surroundings.startLinker(backend, origin, { flags: flags(ports.linker) });
  const inspectors = { node: await Inspector.open(ports.node), linker: await Inspector.open(ports.linker) };
  const round = async (): Promise<Bytes> => {
    for (const one of Object.values(inspectors)) await one.startSampling();
    const { count } = await wrk(`http://${address}/`, { clients: CLIENTS, seconds: 1 });
    return { node: (await inspectors.node.stopSampling()) / count, linker: (await inspectors.linker.stopSampling()) / count };
  };
  // Code that is not compiled yet makes more.
  for (let i = 0; i < 3; i++) await round();
  const rounds: Bytes[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round());
  for (const one of Object.values(inspectors)) one.close();
  return { node: Math.round(median(rounds.map(({ node }) => node))), linker: Math.round(median(rounds.map(({ linker }) => linker))) };
}
