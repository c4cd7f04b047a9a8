import type { Socket } from 'node:net';
import { createServer as createTlsServer, type SecureContext, TLSSocket } from 'node:tls';
import { caught } from '../../boundary.ts';
import type { Origin } from '../clients/origin.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import { ClientConnection } from '../http1/connection.ts';
import type { ForwardedFrom, HeadAdditions } from '../http1/head/forwarding.ts';
import { beginsHttp2 } from '../http2/preface.ts';
import { Http2Connection } from '../http2/session.ts';
import type { Http2Service } from '../http2/stream-client.ts';
import { type Step, tlsStep } from './before-request.ts';
import type { Certificates } from './certificates.ts';
import { ClientPort, type Gone, type PortLimits } from './client-port.ts';

interface HttpSurroundings extends PortLimits {
  readonly trusted: TrustedProxies;
  readonly additions: HeadAdditions;
}

/** A port on which clients speak HTTP/1.1 in the clear, or HTTP/2 if they know beforehand that they may. */
export function httpPort(service: Http2Service, surroundings: HttpSurroundings, steps: readonly Step[]): ClientPort {
  return new ClientPort('http', surroundings, steps, (socket, origin, gone) => {
    return plainClient(socket, fromOf(origin, 'http', surroundings), service, gone);
  });
}

function plainClient(socket: Socket, from: ForwardedFrom, service: Http2Service, gone: Gone): ClientConnection {
  return new ClientConnection(socket, from, service, gone, {
    begins: beginsHttp2,
    takeOver: (connection) => gone(connection, new Http2Connection(socket, from, service, gone)),
  });
}

/** The same behind TLS, which ends here. */
export function httpsPort(
  service: Http2Service,
  surroundings: HttpSurroundings,
  steps: readonly Step[],
  certificates: Certificates,
): ClientPort {
  const tls = createTlsServer({
    ...certificates.first,
    SNICallback: (name, choose) => choose(null, contextFor(certificates, name)),
    ALPNProtocols: ['h2', 'http/1.1'],
    allowHalfOpen: true,
  });
  certificates.ticketKeys.arm(tls);
  certificates.onReplaced((first) => {
    tls.setSecureContext(first);
    certificates.ticketKeys.arm(tls);
  });
  return new ClientPort('https', surroundings, [...steps, tlsStep(tls)], (socket, origin, gone) => {
    const from = fromOf(origin, 'https', surroundings);
    const isHttp2 = socket instanceof TLSSocket && socket.alpnProtocol === 'h2';
    return isHttp2 ? new Http2Connection(socket, from, service, gone) : new ClientConnection(socket, from, service, gone);
  });
}

/** Called by Node within a handshake. Undefined: the first certificate. */
function contextFor(certificates: Certificates, name: string): SecureContext | undefined {
  try {
    return certificates.contextFor(name);
  } catch (error) {
    caught('listener', error);
    return undefined;
  }
}

function fromOf(origin: Origin, proto: 'http' | 'https', { trusted, additions }: HttpSurroundings): ForwardedFrom {
  return { origin, proto, proxies: trusted.has(origin.address) ? trusted : undefined, additions };
}
