/** The common part of the API's calls. */
import { problem } from '../config/kinds.ts';
import { isServedName } from '../config/route-key.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from '../config/route-name.ts';
import { ConfigError } from '../errors.ts';

/** An error response: its status, and a stable code for programs. */
export class RequestError extends Error {
  readonly statusCode: number;
  readonly code: string;

  constructor(statusCode: number, code: string, message: string) {
    super(message);
    this.name = 'RequestError';
    this.statusCode = statusCode;
    this.code = code;
  }
}

export const NOTHING = { type: 'object', properties: {}, additionalProperties: false } as const;

/** The parameters of a call about one route. */
export const NAMED = {
  type: 'object',
  properties: { name: { type: 'string', description: 'a route, such as app.example.com' } },
  required: ['name'],
  additionalProperties: false,
} as const;

/** `schema`: of what it responds with 200; null: nothing. `failures`: the statuses that it may have instead. */
export function responses(schema: string | null, ...failures: readonly number[]): Record<number, unknown> {
  const done = schema === null ? { 204: { type: 'null', description: 'done' } } : { 200: { $ref: `${schema}#` } };
  return { ...done, ...Object.fromEntries(failures.map((status) => [status, { $ref: 'Error#' }])) };
}

export function accepted(properties: Readonly<Record<string, unknown>>, ...failures: readonly number[]): Record<number, unknown> {
  const done = { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
  return { 202: done, ...Object.fromEntries(failures.map((status) => [status, { $ref: 'Error#' }])) };
}

/** The name of a route, or of one of its keys. @throws ConfigError */
export function servedNameOf(params: { readonly name: string }): string {
  return isServedName(params.name) ? params.name : nameOf(params);
}

/** @throws ConfigError */
export function nameOf(params: { readonly name: string }): string {
  const name = validRouteName(params.name);
  if (name === null) throw new ConfigError([problem('the route', params.name, ROUTE_NAME_EXPECTED)]);
  return name;
}
