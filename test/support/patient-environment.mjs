/** Multiplies the limit of time of each test and hook, its own or the default, by PATIENCE. */
import { TestEnvironment } from 'jest-environment-node';
import { PATIENCE } from './patience.ts';

export default class PatientEnvironment extends TestEnvironment {
  #longer = new WeakSet();

  handleTestEvent({ name, test, hook }, { testTimeout }) {
    const timed = name === 'test_start' ? test : name === 'hook_start' ? hook : null;
    if (timed === null || this.#longer.has(timed)) return;
    this.#longer.add(timed);
    timed.timeout = (timed.timeout ?? testTimeout) * PATIENCE;
  }
}
