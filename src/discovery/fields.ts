/** Reads parsed JSON of which nothing is sure yet. */

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Without any field when it is no object. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}
