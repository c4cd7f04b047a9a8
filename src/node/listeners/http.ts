import { createServer as createTlsServer } from 'node:tls';
import { ClientConnection, type HttpService } from '../http1/connection.ts';
import type { Certificates } from './certificates.ts';
import { ClientPort, type PortLimits } from './client-port.ts';
import { type Step, tlsStep } from './entrance.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

/** A port on which clients speak HTTP/1.1 in the clear. */
export function httpPort(service: HttpService, limits: PortLimits, steps: readonly Step[], trusted: TrustedProxies): ClientPort {
  return new ClientPort('http', limits, steps, (socket, remoteAddress, gone) => {
    return new ClientConnection(socket, { remoteAddress, proto: 'http', trusted: trusted.has(remoteAddress) }, service, gone);
  });
}

/** The same behind TLS, which ends here. */
export function httpsPort(
  service: HttpService,
  limits: PortLimits,
  steps: readonly Step[],
  trusted: TrustedProxies,
  certificates: Certificates,
): ClientPort {
  const tls = createTlsServer({
    ...certificates.first,
    SNICallback: (name, choose) => choose(null, certificates.contextFor(name)),
    ALPNProtocols: ['http/1.1'],
    allowHalfOpen: true,
  });
  certificates.onReplaced((first) => tls.setSecureContext(first));
  return new ClientPort('https', limits, [...steps, tlsStep(tls)], (socket, remoteAddress, gone) => {
    return new ClientConnection(socket, { remoteAddress, proto: 'https', trusted: trusted.has(remoteAddress) }, service, gone);
  });
}
