/** Faults that a test injects: a method of a real object throws, once, in the place of its work. Production code knows nothing of it. */

type Method = (this: unknown, ...args: never[]) => unknown;

const undo: (() => void)[] = [];

export class InjectedFault extends TypeError {
  constructor() {
    super('injected by the test');
  }
}

/** The next call of `holder[name]` for which `when` is true throws. Returns whether it has. */
export function faultOnce<T extends object>(
  holder: T,
  name: keyof T & string,
  when: (self: T, ...args: never[]) => boolean = () => true,
): () => boolean {
  const own = Object.getOwnPropertyDescriptor(holder, name);
  const usual = holder[name] as Method;
  let thrown = false;
  const faulty: Method = function (...args) {
    if (thrown || !when(this as T, ...args)) return usual.apply(this, args);
    thrown = true;
    throw new InjectedFault();
  };
  Object.defineProperty(holder, name, { value: faulty, configurable: true, writable: true });
  undo.push(() => {
    if (own === undefined) delete holder[name];
    else Object.defineProperty(holder, name, own);
  });
  return () => thrown;
}

/** For `afterEach`. */
export function mendFaults(): void {
  for (const mend of undo.splice(0)) mend();
}
