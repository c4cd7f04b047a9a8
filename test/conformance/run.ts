/**
 * Tests a linker, or a node, against the rules of src/link/PROTOCOL.md:
 *
 *     npm run link-conformance -- HOST:PORT [--route R] [--secret S] [--only RULE,...] -- COMMAND ARG...
 *     npm run link-conformance -- HOST:PORT --agent [--route R] [--secret S] [--only RULE,...] -- COMMAND ARG...
 *     npm run link-conformance -- HOST:PORT --clients HOST:PORT [--route R] [--secret S] [--only RULE,...]
 */
import { parseArgs } from 'node:util';
import { parseHostPort } from '../../src/config/host-port.ts';
import { testAgent, testLinker, testNode, type Verdict } from './kit.ts';
import { isRule, RULES, type RuleId } from './rules.ts';

const OPTIONS = {
  clients: { type: 'string' },
  agent: { type: 'boolean', default: false },
  route: { type: 'string', default: 'conformance.test' },
  secret: { type: 'string', default: process.env.PULLPROXY_SECRET ?? '' },
  only: { type: 'string', default: '' },
} as const;

function usage(problem: string): never {
  process.stderr.write(
    `${problem}\n\nHOST:PORT [--agent] -- COMMAND ARG... tests a linker, or an agent, HOST:PORT --clients HOST:PORT tests a node\n`,
  );
  process.exit(2);
}

function addressOf(text: string | undefined): { host: string; port: number } {
  const address = text === undefined ? null : parseHostPort(text);
  return address ?? usage(`${text ?? 'no address'}: expected HOST:PORT`);
}

function tell({ rule, broken, output }: Verdict): void {
  if (broken === null) process.stdout.write(`ok      ${rule}\n`);
  else {
    const other = broken.rule === rule ? '' : ` (seen while ${rule} was looked at)`;
    process.stdout.write(`BROKEN  ${broken.rule}: ${broken.message}${other}\n        the rule: ${RULES[broken.rule][1]}\n`);
    if (output !== '') process.stdout.write(`${output.trimEnd().replaceAll(/^/gm, '        | ')}\n`);
  }
}

const args = process.argv.slice(2);
const end = args.indexOf('--');
const command = end < 0 ? [] : args.slice(end + 1);
const { values, positionals } = parseArgs({ args: end < 0 ? args : args.slice(0, end), options: OPTIONS, allowPositionals: true });
const { route, secret } = values;
const named = values.only.split(',').filter((text) => text !== '');
const unknown = named.find((text) => !isRule(text));
if (unknown !== undefined) usage(`${unknown}: no such rule`);
if (positionals.length !== 1) usage('expected one address');
if (secret === '') usage('--secret or PULLPROXY_SECRET: expected the secret of the route');
const address = addressOf(positionals[0]);
const only = named as RuleId[];
if (command.length > 0 === (values.clients !== undefined)) usage('expected a command or --clients');

const good =
  command.length > 0
    ? await (values.agent ? testAgent : testLinker)({ ...address, route, secret, command }, only, tell)
    : await testNode({ backend: address, clients: addressOf(values.clients), route, secret }, only, tell);
process.exit(good ? 0 : 1);
