import { formatListenUrl, type ListenUrl } from '../../config/listen-url.ts';
import type { Log } from '../../log.ts';
import type { TrustedProxies } from '../clients/trusted-proxies.ts';
import type { HeadAdditions } from '../http1/head/forwarding.ts';
import type { Http2Service } from '../http2/stream-client.ts';
import { proxyHeaderStep, type Step } from './before-request.ts';
import type { Certificates } from './certificates.ts';
import type { ClientPort, PortLimits } from './client-port.ts';
import { httpPort, httpsPort } from './http.ts';
import { type TcpService, tcpPort, tlsPort } from './tcp.ts';

export interface PortSurroundings extends PortLimits {
  readonly trusted: TrustedProxies;
  readonly additions: HeadAdditions;
  /** For https listeners. */
  readonly certificates?: Certificates;
  readonly log: Log;
}

/** The port that a listen URL describes, not bound yet. */
export function portFor(url: ListenUrl, service: Http2Service & TcpService, surroundings: PortSurroundings): ClientPort {
  const { certificates } = surroundings;
  const steps = proxySteps(url, surroundings);
  switch (url.protocol) {
    case 'http':
      return httpPort(service, surroundings, steps);
    case 'https':
      if (certificates === undefined) throw new Error('an https listener needs a certificate');
      return httpsPort(service, surroundings, steps, certificates);
    case 'tls':
      return tlsPort(service, surroundings, steps);
    case 'tcp':
      return tcpPort(service, surroundings, steps, url.route ?? '');
  }
}

function proxySteps(url: ListenUrl, { trusted, log }: PortSurroundings): Step[] {
  if (url.proxyProtocol === null) return [];
  const listen = formatListenUrl(url);
  return [proxyHeaderStep(url.proxyProtocol, trusted, (peer, reason) => log.warn({ listen, peer, reason }, 'a connection was refused'))];
}
