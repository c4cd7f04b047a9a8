import { randomBytes } from 'node:crypto';
import { customRandom } from 'nanoid';

/** Ids fit into names of pods, containers and units. With nanoid's own random bytes Node would load its Web Crypto. */
export const newInstanceId = customRandom('abcdefghijklmnopqrstuvwxyz0123456789', 12, randomBytes);
