/** Closes a run's output with one line that people and machines read: `N passed, N failed`, with what was skipped. */
export default class ClosingLineReporter {
  onRunComplete(_contexts, results) {
    // A file that could not be run at all counts as one failure; its tests are not known.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    process.stdout.write(`${results.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  }
}
