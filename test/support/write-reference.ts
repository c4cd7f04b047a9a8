/** `npm run reference`: writes the tables of deploy/reference.md anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { withReference } from './reference.ts';

const reference = new URL('../../deploy/reference.md', import.meta.url);
writeFileSync(reference, withReference(readFileSync(reference, 'utf8')));
