/** Versions of an application, deployed by writing a file: test/support/apps/versioned-app.mjs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const APP = fileURLToPath(new URL('./apps/versioned-app.mjs', import.meta.url));

export type Mode = 'ok' | 'exit' | 'breaks' | 'dies' | 'fails' | 'warms' | 'fades' | 'sighs';

export class Versions {
  readonly #directory = mkdtempSync(join(tmpdir(), 'pullproxy-versions-'));
  readonly #file = join(this.#directory, 'version');

  /** The application's command line. */
  get app(): string[] {
    return [process.execPath, APP, this.#file];
  }

  /** Instances that start from now on are this version. */
  deploy(version: string, mode: Mode = 'ok'): void {
    writeFileSync(this.#file, JSON.stringify({ version, mode }));
  }

  /** Clients that asked for /gate are answered. */
  openGate(): void {
    writeFileSync(`${this.#file}.gate`, '');
  }

  /** Versions that warm up are warm. */
  warm(): void {
    writeFileSync(`${this.#file}.warm`, '');
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
