import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { TLS_OPTIONS } from '../../config/tls-options.ts';
import { TicketKeys } from './ticket-keys.ts';

export interface HttpsCertificate {
  /** PEM, with the chain. */
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Every process with the ticket keys can resume a session. By default Node derives the session context from the command line. */
const SESSION_ID_CONTEXT = 'https';

/** The certificates of https listeners, each for the names that it carries. They may be replaced while connections last. */
export class Certificates {
  /** Sessions are resumed with them also after certificates were replaced. */
  readonly ticketKeys: TicketKeys;
  readonly #replaced: ((first: SecureContextOptions) => void)[] = [];
  #first!: SecureContextOptions;
  #byName: ReadonlyMap<string, SecureContext> = new Map();
  #given: readonly HttpsCertificate[] = [];

  /** @throws Error when one is not a certificate, or its key belongs to another. */
  constructor(certificates: readonly [HttpsCertificate, ...HttpsCertificate[]], ticketKeys = new TicketKeys()) {
    this.ticketKeys = ticketKeys;
    this.replace(certificates);
  }

  /** All of them, in order. */
  get given(): readonly HttpsCertificate[] {
    return this.#given;
  }

  /** The certificate for a client that asks for no name, or for an unknown one. */
  get first(): SecureContextOptions {
    return this.#first;
  }

  /** All or nothing. @throws as the constructor; then those before stay. */
  replace(certificates: readonly [HttpsCertificate, ...HttpsCertificate[]]): void {
    this.prepare(certificates)();
  }

  /** Checks them, and returns what makes them count. @throws as the constructor */
  prepare(certificates: readonly [HttpsCertificate, ...HttpsCertificate[]]): () => void {
    const byName = new Map<string, SecureContext>();
    for (const certificate of certificates) {
      const context = createSecureContext(optionsFor(certificate));
      // The one that was given first counts.
      for (const name of namesOf(certificate.cert)) if (!byName.has(name)) byName.set(name, context);
    }
    const first = optionsFor(certificates[0]);
    return () => {
      this.#given = certificates;
      this.#byName = byName;
      this.#first = first;
      for (const tell of this.#replaced) tell(first);
    };
  }

  /** Calls `tell` whenever certificates were replaced. */
  onReplaced(tell: (first: SecureContextOptions) => void): void {
    this.#replaced.push(tell);
  }

  /** For the name in a ClientHello; undefined: the first. */
  contextFor(name: string): SecureContext | undefined {
    const asked = name.toLowerCase().replace(/\.$/, '');
    // A wildcard stands for one label (RFC 9525 section 6.3).
    return this.#byName.get(asked) ?? this.#byName.get(`*${asked.slice(asked.indexOf('.'))}`);
  }
}

function optionsFor({ cert, key }: HttpsCertificate): SecureContextOptions {
  return { cert, key, sessionIdContext: SESSION_ID_CONTEXT, honorCipherOrder: true, ...TLS_OPTIONS };
}

/** Its DNS names, lower-cased; the common name only where it has none (RFC 9525 section 2). */
function namesOf(cert: Buffer): string[] {
  const { subjectAltName, subject } = new X509Certificate(cert);
  const alternatives = (subjectAltName ?? '').split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4)] : []));
  const common = /^CN=(.+)$/m.exec(subject)?.[1];
  const names = alternatives.length > 0 || common === undefined ? alternatives : [common];
  return names.map((name) => name.toLowerCase());
}
