/** Ids that come from linkers, startup commands and Redis. They are used in keys, in arguments of commands and in names of containers. */

/** Ids of instances and of starts: lower-case letters and digits, as names of pods, containers and units allow them. */
export function isInstanceId(id: unknown): id is string {
  return typeof id === 'string' && /^[a-z\d]{1,64}$/.test(id);
}

/** They look the same. */
export function isStartId(id: unknown): id is string {
  return isInstanceId(id);
}

/** `--id` has at most 64 characters, and a worker adds its number. A colon would split a key of the directory. */
export function isNodeId(id: unknown): id is string {
  return typeof id === 'string' && /^[\w.-]{1,72}$/.test(id);
}
