/** Reads parsed JSON of which nothing is sure yet. */

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Without any field when it is no object. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

const SAID_CHARS_MAX = 300;

/** The words of a refusal, for people: the `message` of an object in JSON, or the text as it is. Empty: nothing is said. */
export function saidIn(body: string): string {
  try {
    const value: unknown = JSON.parse(body);
    if (isFields(value)) return typeof value.message === 'string' ? value.message.slice(0, SAID_CHARS_MAX) : '';
  } catch {
    // It is no JSON.
  }
  return body.slice(0, SAID_CHARS_MAX);
}
