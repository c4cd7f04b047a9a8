/** The result for a setting when the configuration was read anew. `needs_restart`: it is another one, and the former one counts until the process is restarted. */
export type ReloadOutcome = 'changed' | 'unchanged' | 'needs_restart';

export interface ReloadReport {
  /** Every setting by its flag, without its value, and `routes`. A setting that names a file has changed also when only the file has. */
  readonly settings: readonly { readonly name: string; readonly outcome: ReloadOutcome }[];
}

/** Nothing was changed, and why. */
export class ReloadRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ReloadRefused';
  }
}
