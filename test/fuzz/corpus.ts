/** Inputs on file: one JSON string a line, each letter a byte. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { latin1, type Target } from './target.ts';
import { AFFINITY } from './targets/affinity.ts';
import { APPLICATION_ANSWER } from './targets/application-answer.ts';
import { CONFIG } from './targets/config.ts';
import { DIRECTORY } from './targets/directory.ts';
import { REQUEST_HEAD, RESPONSE_HEAD } from './targets/http1.ts';
import { HTTP2_APPLICATION } from './targets/http2-application.ts';
import { HTTP2_CLIENT } from './targets/http2-client.ts';
import { HANDSHAKE, LINK_FRAMES } from './targets/link.ts';
import { LINKER_LINK_END, NODE_LINK_END } from './targets/link-ends.ts';
import { CLIENT_HELLO, PROXY_HEADER } from './targets/listeners.ts';
import { RECIPE_INPUTS } from './targets/recipes.ts';

export const TARGETS: readonly Target[] = [
  REQUEST_HEAD,
  RESPONSE_HEAD,
  LINK_FRAMES,
  HANDSHAKE,
  CLIENT_HELLO,
  PROXY_HEADER,
  CONFIG,
  HTTP2_CLIENT,
  APPLICATION_ANSWER,
  HTTP2_APPLICATION,
  DIRECTORY,
  NODE_LINK_END,
  LINKER_LINK_END,
  RECIPE_INPUTS,
  AFFINITY,
];

/** `crashes`: what has once broken something. */
type Kind = 'corpus' | 'crashes';

function fileOf(kind: Kind, name: string): URL {
  return new URL(`./${kind}/${name}.jsonl`, import.meta.url);
}

export function readInputs(kind: Kind, name: string): Buffer[] {
  const file = fileOf(kind, name);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => latin1(JSON.parse(line) as string));
}

export function writeInputs(kind: Kind, name: string, inputs: readonly Buffer[]): void {
  const lines = new Set(inputs.map((input) => JSON.stringify(input.toString('latin1'))));
  writeFileSync(fileOf(kind, name), `${[...lines].join('\n')}\n`);
}
