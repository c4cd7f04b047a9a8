import type { ListenUrl } from '../../config/listen-url.ts';
import type { HttpService } from '../http1/connection.ts';
import type { ClientPort } from './client-port.ts';
import { type HttpsCertificate, httpPort, httpsPort } from './http.ts';
import { type TcpService, tcpPort, tlsPort } from './tcp.ts';

/** The port that a listen URL describes, not bound yet. */
export function portFor(
  url: ListenUrl,
  service: HttpService & TcpService,
  connectionsMax: number,
  certificate: HttpsCertificate | undefined,
): ClientPort {
  switch (url.protocol) {
    case 'http':
      return httpPort(service, connectionsMax);
    case 'https':
      if (certificate === undefined) throw new Error('an https listener needs a certificate');
      return httpsPort(service, connectionsMax, certificate);
    case 'tls':
      return tlsPort(service, connectionsMax);
    case 'tcp':
      return tcpPort(service, connectionsMax, url.route ?? '');
  }
}
