/** One object in so many bytes is looked at. */
const SAMPLE_BYTES = 4_096;

/** What one function made, and those that it called. */
interface Made {
  readonly selfSize: number;
  readonly children: readonly Made[];
}

/** Asks a Node process about its heap, by the protocol of its debugger. */
export class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: Record<string, unknown>) => void>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, result } = JSON.parse(String(data)) as { id?: number; result?: Record<string, unknown> };
      if (id === undefined) return;
      this.#waiting.get(id)?.(result ?? {});
      this.#waiting.delete(id);
    });
  }

  /** `port`: what the process was given as `--inspect=127.0.0.1:PORT`. */
  static async open(port: number): Promise<Inspector> {
    const [target] = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { webSocketDebuggerUrl: string }[];
    if (target === undefined) throw new Error(`nothing can be inspected at port ${port}`);
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    return new Inspector(socket);
  }

  /** From now on what objects are made is sampled, also those that are collected meanwhile. */
  async startSampling(): Promise<void> {
    await this.#call('HeapProfiler.enable');
    const samplingInterval = SAMPLE_BYTES;
    const includeCollected = { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true };
    await this.#call('HeapProfiler.startSampling', { samplingInterval, ...includeCollected });
  }

  /** Bytes of all objects that were made since, as the samples tell. */
  async stopSampling(): Promise<number> {
    const { profile } = (await this.#call('HeapProfiler.stopSampling')) as { profile: { head: Made } };
    return bytesOf(profile.head);
  }

  /** What is in use after everything that nobody refers to has been collected, in bytes; `code`: the part of `heapUsed` that V8 has compiled. */
  async memoryAfterCollection(): Promise<NodeJS.MemoryUsage & { readonly code: number }> {
    // What a finalizer lets go of is collected by the second.
    for (let i = 0; i < 2; i++) await this.#call('HeapProfiler.collectGarbage');
    const { result } = (await this.#call('Runtime.evaluate', { expression: `(${readMemory})()` })) as { result: { value: string } };
    return JSON.parse(result.value);
  }

  close(): void {
    this.#socket.close();
  }

  #call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }
}

/** Runs in the process that is asked. */
function readMemory(): string {
  const spaces = process.getBuiltinModule('node:v8').getHeapSpaceStatistics();
  const compiled = spaces.filter(({ space_name }) => /code|trusted/.test(space_name));
  const code = compiled.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
  return JSON.stringify({ ...process.memoryUsage(), code });
}

function bytesOf({ selfSize, children }: Made): number {
  return children.reduce((sum, child) => sum + bytesOf(child), selfSize);
}
