/** The secrets of nodes and linkers, from a setting or from a file that is read again. */
import { readSecretFile, secretsFor } from '../../config/secret-file.ts';
import type { Log } from '../../log.ts';
import { digestOf, outcomesOf, type Prepared, type Reloadable, rereadChanged } from './reloadable.ts';

export interface SecretSettings {
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
}

/** The secrets of a node. */
export class Secrets implements Reloadable<SecretSettings> {
  #settings: SecretSettings;
  #entries: ReturnType<typeof readSecretFile>;
  #changed: (count: number) => void = () => {};

  /** @throws ConfigError when the file is not valid. */
  constructor(settings: SecretSettings) {
    this.#settings = settings;
    this.#entries = entriesOf(settings);
  }

  /** The secrets with which a linker may serve `route`. */
  for(route: string): readonly string[] {
    return secretsFor(this.#entries, route);
  }

  prepare(next: SecretSettings): Prepared {
    const entries = entriesOf(next);
    const outcomes = outcomesOf(digestsOf(this.#settings, this.#entries), digestsOf(next, entries));
    return {
      outcomes,
      apply: () => {
        this.#settings = next;
        this.#entries = entries;
        this.#changed(entries.length);
      },
    };
  }

  /** Calls `changed` after each reload. A file that can't be used changes nothing. */
  follow(log: Log, changed: () => void): void {
    this.#changed = (secrets) => {
      log.info({ secrets }, 'secrets reloaded');
      changed();
    };
    rereadChanged(
      () => (this.#settings.secretFile === undefined ? [] : [this.#settings.secretFile]),
      () => this.prepare(this.#settings),
      log,
      'the new secrets can not be used: the previous ones stay',
    );
  }
}

function entriesOf({ secret, secretFile }: SecretSettings): ReturnType<typeof readSecretFile> {
  return secretFile === undefined ? [{ secret: secret ?? '', routes: [] }] : readSecretFile(secretFile);
}

function digestsOf({ secret, secretFile }: SecretSettings, entries: ReturnType<typeof readSecretFile>): Record<string, string> {
  return {
    secret: digestOf([secret ?? '']),
    'secret-file': secretFile === undefined ? '' : digestOf([secretFile, JSON.stringify(entries)]),
  };
}

/** A peer that a linker dials, or somebody who listens in between, can try guesses offline. This many characters of `openssl rand -hex` cannot be guessed. */
const SECRET_CHARS_MIN = 16;

/** Warns when strangers are not kept out. */
export function warnOfWeakSecrets({ secret, secretFile }: SecretSettings, log: Log): void {
  const secrets = secretFile === undefined ? [secret] : readSecretFile(secretFile).map((entry) => entry.secret);
  if (secrets[0] === undefined) {
    log.warn('without --secret or --secret-file, everybody who reaches the backend port can be a linker');
    return;
  }
  const short = secrets.filter((one) => one !== undefined && one.length < SECRET_CHARS_MIN).length;
  if (short > 0)
    log.warn({ short }, `a secret of fewer than ${SECRET_CHARS_MIN} characters can be guessed: openssl rand -hex 24 makes a good one`);
}
