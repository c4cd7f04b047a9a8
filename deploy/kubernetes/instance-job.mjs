/**
 * The Job that begins one instance: a template in which __START_ID__, __ROUTE__, __KEY__ and __SLUG__ stand for the start's (__KEY__ for nothing where
 * the route has no keys). They are put into texts of the parsed manifest, so that they can be nothing but texts, whatever is in them. As a program it prints the Job as JSON:
 *
 *   START_ID=... ROUTE=... node deploy/kubernetes/instance-job.mjs TEMPLATE.yaml | kubectl apply --filename -
 */
import { readFileSync } from 'node:fs';
import { argv, env } from 'node:process';
import { parse } from 'yaml';

const START_ID = /^[a-z][a-z0-9]{0,62}$/;
/** As src/config/route-key.ts has them. */
const KEY = /^([A-Za-z0-9][A-Za-z0-9._@+=-]{0,127})?$/;
const SLUG = /^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$/;
const ROUTE = /^(\*|(\*\.)?[a-z0-9_][a-z0-9_.-]{0,252})$/;

/** @throws Error when the start's id, the route, the key or the slug is none */
export function instanceJob(template, { START_ID: startId = '', ROUTE: route = '', KEY: key = '', SLUG: slug = '' }) {
  if (!START_ID.test(startId)) throw new Error(`START_ID ${JSON.stringify(startId)}: expected lower-case letters and digits`);
  if (!ROUTE.test(route)) throw new Error(`ROUTE ${JSON.stringify(route)}: expected a host name`);
  if (!KEY.test(key)) throw new Error(`KEY ${JSON.stringify(key)}: expected letters, digits and . _ @ + = -`);
  if (!SLUG.test(slug)) throw new Error(`SLUG ${JSON.stringify(slug)}: expected lower-case letters, digits and -`);
  return filledIn(
    parse(template),
    new Map([
      ['__START_ID__', startId],
      ['__ROUTE__', route],
      ['__KEY__', key],
      ['__SLUG__', slug],
    ]),
  );
}

function filledIn(value, values) {
  if (typeof value === 'string') return value.replaceAll(/__START_ID__|__ROUTE__|__KEY__|__SLUG__/g, (name) => values.get(name));
  if (Array.isArray(value)) return value.map((one) => filledIn(one, values));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filledIn(one, values)]));
}

if (import.meta.main) console.log(JSON.stringify(instanceJob(readFileSync(argv[2], 'utf8'), env)));
