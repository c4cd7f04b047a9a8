/** The linker of this package in one process, for wrong agents. */
import { linker } from '../../src/cli/commands/linker.ts';

void linker(process.argv.slice(2)).then((code) => process.exit(code));
