/** The secrets of nodes and linkers, out of a setting or a file that is read again. */
import { readSecretFile, secretsFor } from '../../config/secret-file.ts';
import type { Log } from '../../log.ts';
import { followFiles } from './follow-files.ts';

export interface SecretSettings {
  readonly secret?: string | undefined;
  readonly secretFile?: string | undefined;
}

/** Those of a node. */
export class Secrets {
  readonly #file: string | undefined;
  #entries: ReturnType<typeof readSecretFile>;

  /** @throws ConfigError when the file is none. */
  constructor({ secret, secretFile }: SecretSettings) {
    this.#file = secretFile;
    this.#entries = secretFile === undefined ? [{ secret: secret ?? '', routes: [] }] : readSecretFile(secretFile);
  }

  /** The secrets with which a linker may serve `route`. */
  for(route: string): readonly string[] {
    return secretsFor(this.#entries, route);
  }

  /** Calls `changed` whenever the file was read again. What can't be used leaves everything as it is. */
  follow(log: Log, changed: () => void): void {
    const file = this.#file;
    if (file === undefined) return;
    followFiles(
      () => [file],
      () => {
        try {
          this.#entries = readSecretFile(file);
          log.info({ secrets: this.#entries.length }, 'secrets reloaded');
          changed();
        } catch (error) {
          log.warn({ err: error }, 'the secrets have changed and can not be used: the former ones stay');
        }
      },
    );
  }
}

/** That of a linker, as it is when it dials. @throws ConfigError when the file is none. */
export function secretOf({ secret, secretFile }: SecretSettings): () => string {
  if (secretFile === undefined) return () => secret ?? '';
  const read = (): string => readSecretFile(secretFile)[0]?.secret ?? '';
  read();
  return read;
}

/** Whoever a linker dials, or listens in between, can try guesses at home: this many characters of `openssl rand -hex` are beyond that. */
const SECRET_CHARS_MIN = 16;

/** Says what does not keep strangers out. */
export function warnOfWeakSecrets({ secret, secretFile }: SecretSettings, log: Log): void {
  const secrets = secretFile === undefined ? [secret] : readSecretFile(secretFile).map((entry) => entry.secret);
  if (secrets[0] === undefined) {
    log.warn('without --secret or --secret-file, whoever reaches the backend port can be a linker');
    return;
  }
  const short = secrets.filter((one) => one !== undefined && one.length < SECRET_CHARS_MIN).length;
  if (short > 0)
    log.warn({ short }, `a secret of fewer than ${SECRET_CHARS_MIN} characters can be guessed: openssl rand -hex 24 makes a good one`);
}
