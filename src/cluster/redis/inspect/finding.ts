export interface Finding {
  /** `broken`: it does harm; `odd`: it should not be, and heals by itself or harms nobody. */
  readonly severity: 'broken' | 'odd';
  /** Where to look: a key, or a setting of the server. */
  readonly key: string;
  readonly what: string;
  readonly advice: string;
}
