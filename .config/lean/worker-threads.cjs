/** In the place of node:worker_threads in the linker's file, which is never run in a thread and begins none. It takes 1 MB. */
module.exports = {
  isMainThread: true,
  Worker: class {
    constructor(...args) {
      const { Worker } = process.getBuiltinModule('node:worker_threads');
      // biome-ignore lint/correctness/noConstructorReturn: it is the real one.
      return new Worker(...args);
    }
  },
};
