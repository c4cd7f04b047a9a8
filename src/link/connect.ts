/** The connection from a linker, or a relaying node, to a node's backend port. */
import { X509Certificate } from 'node:crypto';
import { connect, isIP, type Socket } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { TLS_OPTIONS } from '../config/tls-options.ts';
import type { ReadMemory } from '../memory/reused-reads.ts';

/** Contents, not paths. */
export interface NodeTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Every node's certificate has this name, also when a node is dialled by another name. */
  readonly name?: string;
  /** Certificates (PEM) that count as a node's, whatever names they have; by default those of `ca`. */
  readonly pinned?: string | Buffer;
}

export interface NodeEndpoint {
  /** A name or an IP address, from the user or the directory. */
  readonly name: string;
  readonly ip: string;
  readonly port: number;
}

/** TLS 1.3 alone, whose exporter is bound to the whole handshake (RFC 9266 section 4.2): both ends of a link are always pullproxy. */
export const LINK_TLS_OPTIONS = { ...TLS_OPTIONS, minVersion: 'TLSv1.3' } as const;

/** RFC 5280 section 4.2.1.12. */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** The event after which the handshake of the link may begin. */
export function connectedEvent(tls: NodeTls | undefined): 'connect' | 'secureConnect' {
  return tls === undefined ? 'connect' : 'secureConnect';
}

/** Loaded where a link needs it: it takes 4 MB, which each linker without TLS would have as well. */
function tlsOfNode(): typeof import('node:tls') {
  return process.getBuiltinModule('node:tls');
}

/** @throws TypeError and others when the contents of `tls` are no PEM. */
export function connectToNode({ name, ip, port }: NodeEndpoint, tls: NodeTls | undefined, memory: ReadMemory): Socket {
  if (tls === undefined) {
    const socket: Socket = connect({ host: ip, port, onread: memory.options(() => socket) });
    return socket;
  }
  const { ca, cert, key } = tls;
  return tlsOfNode().connect({ ...LINK_TLS_OPTIONS, host: ip, port, ca, cert, key, ...identity(name, tls) });
}

/**
 * A node that is dialled by a name must have a certificate for it, or for the name that the operator gave all nodes. One that is dialled by an
 * IP address, as nodes advertise themselves, must have one that is made for servers: the certificates of linkers are from the same authority.
 */
function identity(dialled: string, { name, ca, pinned = ca }: NodeTls): object {
  if (name !== undefined) return { servername: name };
  if (isIP(dialled) === 0) return { servername: dialled };
  if (ca === undefined) return {};
  return {
    checkServerIdentity(_host: string, certificate: PeerCertificate) {
      if (certificate.ext_key_usage?.includes(SERVER_AUTH) === true || isPinned(certificate, pinned)) return undefined;
      const otherwise = tlsOfNode().checkServerIdentity(dialled, certificate);
      if (otherwise === undefined) return undefined;
      return new Error(`the certificate at ${dialled} is not a node's: it has neither the extended key usage serverAuth nor this address`);
    },
  };
}

/** The operator has named this very certificate. */
function isPinned({ raw }: PeerCertificate, pinned: string | Buffer | undefined): boolean {
  const all = String(pinned ?? '').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return all.some((pem) => rawOf(pem)?.equals(raw) === true);
}

function rawOf(pem: string): Buffer | null {
  try {
    return new X509Certificate(pem).raw;
  } catch {
    return null;
  }
}
