import { readPemFile } from '../config/pem-file.ts';
import type { NodeTls } from '../link/connect.ts';

/** TLS to nodes, by the linker's settings: the files are read each time that it dials. @throws ConfigError when one can't be used. */
export function nodeTlsOf(settings: {
  proxyTlsCa?: string | undefined;
  proxyTlsCert?: string | undefined;
  proxyTlsKey?: string | undefined;
  proxyTlsName?: string | undefined;
}): (() => NodeTls) | undefined {
  if (settings.proxyTlsCa === undefined && settings.proxyTlsCert === undefined) return undefined;
  const read = () => ({
    ca: readPemFile('--proxy-tls-ca', settings.proxyTlsCa),
    cert: readPemFile('--proxy-tls-cert', settings.proxyTlsCert),
    key: readPemFile('--proxy-tls-key', settings.proxyTlsKey),
    ...(settings.proxyTlsName === undefined ? {} : { name: settings.proxyTlsName }),
  });
  // Reports problems at the start.
  read();
  return read;
}
