import { MemoryBell } from '../../src/cluster/memory/bell.ts';
import { MemoryDirectory } from '../../src/cluster/memory/directory.ts';
import { describeCluster } from './cluster-contract.ts';

describeCluster({
  name: 'in memory',
  async open() {
    const directory = new MemoryDirectory();
    return {
      connect: async () => ({ directory, bell: new MemoryBell(directory) }),
      lose: async () => directory.lose(),
    };
  },
  async close() {},
});
