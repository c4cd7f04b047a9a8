/** The linker's command in one file: .config/bundle-linker.mjs makes dist/cli/linker.cjs of it, with all that it imports. */
import { unawaited } from '../boundary.ts';
import { linker } from './commands/linker.ts';
import { runProgram } from './program.ts';

unawaited('unknown', runProgram(process.argv.slice(2), { linker: async () => linker }));
