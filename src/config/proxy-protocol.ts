/** Constants for reading and writing PROXY headers (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). */

export type ProxyVersion = 'v1' | 'v2';

export const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Version and command in one byte: the proxy speaks for itself, or for a client. */
export const V2_LOCAL = 0x20;
export const V2_PROXY = 0x21;
