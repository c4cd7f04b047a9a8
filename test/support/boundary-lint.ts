/**
 * Looks through a source file for what a boundary is there for: calls that throw, events that enter our code, promises that nobody waits
 * for. It knows names, not types: what it finds is either behind a boundary that it can see, or allowed with a reason.
 */
import { parseSync } from '@swc/core';

export interface Finding {
  /** `throws`: a call that throws. `enters`: an event's handler. `floats`: a promise that nobody waits for. */
  readonly kind: 'throws' | 'enters' | 'floats';
  /** The name of the call. */
  readonly call: string;
  readonly line: number;
}

/** Methods that throw for what a peer, a user or another process can bring about, whoever has them. */
const THROWING_METHODS: ReadonlySet<string> = new Set([
  // node:http2: a stream that the peer has reset meanwhile, a field or status that Node does not like
  ...['respond', 'additionalHeaders', 'sendTrailers', 'pushStream', 'altsvc', 'goaway', 'settings', 'setLocalWindowSize'],
  // node:tls, node:net
  ...['setSecureContext', 'setTypeOfService', 'addContext', 'addSubnet'],
  // Buffer, beyond its end or beyond the number's range
  ...['readUInt8', 'readUInt16BE', 'readUInt32BE', 'readUIntBE', 'readInt32BE', 'readBigUInt64BE'],
  ...['writeUInt8', 'writeUInt16BE', 'writeUInt32BE', 'writeUIntBE', 'writeInt32BE', 'writeBigUInt64BE'],
  // A date that is none
  'toISOString',
]);
const THROWING_STATICS: ReadonlySet<string> = new Set(['JSON.parse', 'String.fromCodePoint', 'process.kill', 'WebAssembly.Instance']);
const THROWING_FUNCTIONS: ReadonlySet<string> = new Set([
  ...['decodeURIComponent', 'decodeURI', 'encodeURIComponent', 'encodeURI', 'BigInt', 'structuredClone', 'atob'],
  ...['createSecureContext', 'connectTls', 'performServerHandshake', 'spawn'],
  ...['readFileSync', 'openSync', 'statSync', 'fstatSync', 'readdirSync', 'writeSync', 'closeSync', 'mkdirSync', 'appendFileSync'],
]);
const THROWING_CLASSES: ReadonlySet<string> = new Set(['URL', 'X509Certificate', 'RegExp', 'Intl']);

const LISTENING: ReadonlySet<string> = new Set(['on', 'once', 'addListener', 'prependListener', 'prependOnceListener']);
const LATER: ReadonlySet<string> = new Set(['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'nextTick']);
const BOUNDARIES: ReadonlySet<string> = new Set(['guard', 'guardEach', 'attempt', 'unawaited', 'bounded']);
/** Calls that do nothing but end a thing, or settle a promise: they do not throw. */
const HARMLESS: ReadonlySet<string> = new Set([
  'destroy',
  'resolve',
  'reject',
  'removeEventListener',
  'clearTimeout',
  'unref',
  'uncork',
  'ignore',
  'nothing',
]);

interface Node {
  readonly type: string;
  readonly span?: { readonly start: number };
  readonly [key: string]: unknown;
}

export function findUnbounded(source: string): Finding[] {
  const text = source.replace(/^#!/, '//');
  // Its places count on over all that was ever parsed: the first statement says where this file begins.
  const module = parseSync(`;${text}`, { syntax: 'typescript', target: 'es2024' }) as unknown as Node & { readonly body: readonly [Node] };
  return new Walk(Buffer.from(`;${text}`), module.body[0].span?.start ?? 0, module).findings;
}

class Walk {
  readonly findings: Finding[] = [];
  readonly #text: Buffer;
  readonly #base: number;
  /** Names in this file of what `guard` made. */
  readonly #guarded = new Set<string>();

  constructor(text: Buffer, base: number, module: Node) {
    this.#text = text;
    this.#base = base;
    this.#collect(module);
    this.#visit(module, false);
  }

  /** Handlers that are named: constants, and fields. */
  #collect(node: Node): void {
    const { type } = node;
    const value = (type === 'VariableDeclarator' ? node.init : node.value) as Node | null | undefined;
    if (['VariableDeclarator', 'ClassProperty', 'PrivateProperty'].includes(type) && value && this.#isSafeHandler(value)) {
      this.#guarded.add(nameOf((type === 'VariableDeclarator' ? node.id : node.key) as Node));
    }
    for (const child of childrenOf(node)) this.#collect(child);
  }

  /** `bounded`: a boundary stands around it. */
  #visit(node: Node, bounded: boolean): void {
    if (node.type === 'TryStatement') {
      if (node.block) this.#visit(node.block as Node, bounded || node.handler !== null);
      for (const part of [node.handler, node.finalizer]) if (part) this.#visit(part as Node, bounded);
      return;
    }
    if (!bounded) this.#judge(node);
    const within = bounded || (node.type === 'CallExpression' && BOUNDARIES.has(lastName(node))) || this.#saysThrows(node);
    for (const child of childrenOf(node)) this.#visit(child, within);
  }

  #judge(node: Node): void {
    if (node.type === 'NewExpression' && THROWING_CLASSES.has(calleeText(node))) this.#found('throws', `new ${calleeText(node)}`, node);
    if (node.type === 'UnaryExpression' && node.operator === 'void') {
      const argument = node.argument as Node;
      if (
        argument.type === 'CallExpression' &&
        lastName(argument) !== 'catch' &&
        !HARMLESS.has(lastName(argument)) &&
        !LATER.has(lastName(argument))
      ) {
        this.#found('floats', calleeText(argument), node);
      }
    }
    if (node.type !== 'CallExpression') return;
    const name = lastName(node);
    const text = calleeText(node);
    const isMethod = text.includes('.');
    if (/session\.request$/i.test(text)) this.#found('throws', text, node);
    if (THROWING_STATICS.has(text) || (isMethod ? THROWING_METHODS.has(name) : THROWING_FUNCTIONS.has(name)))
      this.#found('throws', text, node);
    const args = (node.arguments as { expression: Node }[]).map(({ expression }) => expression);
    const handler = isMethod && LISTENING.has(name) ? args[1] : LATER.has(name) ? args[0] : undefined;
    if (handler !== undefined && !this.#isSafeHandler(handler)) this.#found('enters', `${text}(${eventOf(args)})`, node);
  }

  #isSafeHandler(node: Node): boolean {
    if (node.type === 'Identifier' || node.type === 'MemberExpression') {
      const name = lastName(node);
      return this.#guarded.has(name) || HARMLESS.has(name);
    }
    if (node.type !== 'ArrowFunctionExpression') return this.#isBounded(node);
    const body = node.body as Node & { readonly stmts?: readonly Node[] };
    return (body.stmts ?? [body]).every((statement) => {
      const does = statement.type === 'ExpressionStatement' ? (statement.expression as Node) : statement;
      return isHarmless(does) || this.#isBounded(does) || this.#handsOver(does);
    });
  }

  /** `() => setImmediate(guarded)` */
  #handsOver(node: Node): boolean {
    if (node.type !== 'CallExpression' || !LATER.has(lastName(node))) return false;
    const [first] = node.arguments as { expression: Node }[];
    return first !== undefined && this.#isSafeHandler(first.expression);
  }

  #isBounded(node: Node): boolean {
    return node.type === 'CallExpression' && BOUNDARIES.has(lastName(node));
  }

  /** A function that says what it throws leaves that to those who call it. */
  #saysThrows(node: Node): boolean {
    if (!['FunctionDeclaration', 'ClassMethod', 'PrivateMethod', 'Constructor', 'ExportDeclaration'].includes(node.type)) return false;
    const at = (node.span?.start ?? 0) - this.#base;
    const before = this.#text.toString('utf8', Math.max(0, at - 1_200), at);
    const comment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*(?:export\s+|static\s+|async\s+|readonly\s+|override\s+)*$/.exec(before)?.[0];
    return comment?.includes('@throws') ?? false;
  }

  #found(kind: Finding['kind'], call: string, node: Node): void {
    const at = (node.span?.start ?? 0) - this.#base;
    const line = this.#text.toString('utf8', 0, Math.max(0, at)).split('\n').length;
    this.findings.push({ kind, call, line });
  }
}

function isHarmless(node: Node): boolean {
  if (node.type === 'CallExpression') return HARMLESS.has(lastName(node));
  if (node.type === 'AssignmentExpression')
    return ['BooleanLiteral', 'NullLiteral', 'NumericLiteral', 'Identifier'].includes((node.right as Node).type);
  if (node.type === 'UnaryExpression') return isHarmless(node.argument as Node);
  if (node.type === 'OptionalChainingExpression') return isHarmless(node.base as Node);
  return ['UpdateExpression', 'Identifier'].includes(node.type);
}

function eventOf(args: readonly Node[]): string {
  const [first] = args;
  return first?.type === 'StringLiteral' ? String(first.value) : '';
}

/** The last name of what is called, or read. */
function lastName(node: Node): string {
  return calleeText(node).split('.').at(-1) ?? '';
}

/** `a.b.c` for a call of it, or for itself; what is no name is `…`. */
function calleeText(node: Node): string {
  if (node.type === 'CallExpression' || node.type === 'NewExpression') return calleeText(node.callee as Node);
  if (node.type === 'OptionalChainingExpression') return calleeText(node.base as Node);
  if (node.type === 'MemberExpression') return `${calleeText(node.object as Node)}.${nameOf(node.property as Node)}`;
  return nameOf(node);
}

function nameOf(node: Node): string {
  if (node.type === 'Identifier') return String(node.value);
  if (node.type === 'PrivateName')
    return nameOf((typeof node.id === 'object' ? node.id : { type: 'Identifier', value: node.value }) as Node);
  return node.type === 'ThisExpression' ? 'this' : '…';
}

function childrenOf(node: object): Node[] {
  return Object.values(node).flatMap((value: unknown) => (Array.isArray(value) ? value.flatMap(nodesIn) : nodesIn(value)));
}

/** Functions' bodies, arguments and elements are wrapped once more, in what has no type. */
function nodesIn(value: unknown): Node[] {
  if (typeof value !== 'object' || value === null) return [];
  return 'type' in value && typeof value.type === 'string' ? [value as Node] : childrenOf(value);
}
