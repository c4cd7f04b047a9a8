/** A PROXY header of version 2, right or wrong. `command`: 0x21 for a client, 0x20 for the proxy itself; `family`: 0x11 is TCP over IPv4. */
export function proxyV2(command: number, family: number, rest: Buffer = Buffer.alloc(0)): Buffer {
  const fixed = Buffer.from(`0d0a0d0a000d0a515549540a${'00'.repeat(4)}`, 'hex');
  fixed[12] = command;
  fixed[13] = family;
  fixed.writeUInt16BE(rest.length, 14);
  return Buffer.concat([fixed, rest]);
}
