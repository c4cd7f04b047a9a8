import { constants } from 'node:http2';
import { FrameFlag, FrameType } from './frames.ts';

const ID_MAX = 2 ** 31 - 1;
const { NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_FRAME_SIZE_ERROR } = constants;

/** The connection error that a frame is by its size, its stream and its kind (RFC 9113 section 6), whatever came before it. */
export function faultOf(type: number, flags: number, stream: number, payload: Buffer): number {
  switch (type) {
    case FrameType.SETTINGS:
      return onNone(stream, (flags & FrameFlag.ACK) === 0 || payload.length === 0);
    case FrameType.PING:
      return onNone(stream, payload.length === 8);
    case FrameType.GOAWAY:
      return onNone(stream, payload.length >= 8);
    case FrameType.RST_STREAM:
      return stream === 0 ? NGHTTP2_PROTOCOL_ERROR : sized(payload.length === 4);
    case FrameType.WINDOW_UPDATE:
      if (payload.length !== 4) return NGHTTP2_FRAME_SIZE_ERROR;
      return stream === 0 && numberOf(payload) === 0 ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR;
    case FrameType.PRIORITY:
      if (payload.length !== 5) return NGHTTP2_FRAME_SIZE_ERROR;
      // RFC 9113 asks for the first only, RFC 7540 for both.
      return stream === 0 || numberOf(payload) === stream ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR;
    case FrameType.PUSH_PROMISE:
      // No client may push, and no application: it was told so.
      return NGHTTP2_PROTOCOL_ERROR;
    default:
      // Unknown types are ignored (RFC 9113 section 5.5).
      return NGHTTP2_NO_ERROR;
  }
}

/** The number of 31 bits that a payload begins with. */
export function numberOf(payload: Buffer): number {
  return payload.readUInt32BE(0) & ID_MAX;
}

/** The error's code of a RST_STREAM, or of a GOAWAY. */
export function codeOf(payload: Buffer): number {
  return payload.readUInt32BE(payload.length === 4 ? 0 : 4);
}

function onNone(stream: number, isSized: boolean): number {
  return stream === 0 ? sized(isSized) : NGHTTP2_PROTOCOL_ERROR;
}

function sized(isSized: boolean): number {
  return isSized ? NGHTTP2_NO_ERROR : NGHTTP2_FRAME_SIZE_ERROR;
}
