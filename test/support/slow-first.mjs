/** Begins with the files that take longest: see slow-files.ts. */
import Sequencer from '@jest/test-sequencer';
import { SLOW } from './slow-files.ts';

export default class SlowFirst extends Sequencer {
  sort(tests) {
    const place = ({ path, context }) => {
      const at = SLOW.indexOf(path.slice(`${context.config.rootDir}/test/`.length, -'.test.ts'.length));
      return at === -1 ? SLOW.length : at;
    };
    return super.sort(tests).toSorted((a, b) => place(a) - place(b));
  }
}
