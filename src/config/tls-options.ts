import { constants } from 'node:crypto';

/**
 * Options of every TLS connection, as server and as client. A peer that may renegotiate in TLS 1.2 makes the other side compute a handshake as
 * often as it likes on one connection (CVE-2011-1473), and nothing here needs it: OpenSSL answers `no_renegotiation`.
 */
export const TLS_OPTIONS = { minVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;
