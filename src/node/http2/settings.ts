import { constants } from 'node:http2';
import { FrameType, frameHead, HEAD_BYTES } from './frames.ts';
import { PAYLOAD_BYTES_MAX } from './hpack-encoder.ts';

const SETTING_BYTES = 6;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
const FRAME_BYTES_MAX = 2 ** 24 - 1;
const { NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_FRAME_SIZE_ERROR, NGHTTP2_ENHANCE_YOUR_CALM } =
  constants;

/** RFC 9113 section 6.5.2. */
export const Setting = {
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

export function settingsFrame(entries: readonly (readonly [setting: number, value: number])[]): Buffer {
  const frame = Buffer.alloc(HEAD_BYTES + entries.length * SETTING_BYTES);
  frameHead(frame, 0, FrameType.SETTINGS, 0, 0, entries.length * SETTING_BYTES);
  for (const [i, [setting, value]] of entries.entries()) {
    frame.writeUInt16BE(setting, HEAD_BYTES + i * SETTING_BYTES);
    frame.writeUInt32BE(value, HEAD_BYTES + i * SETTING_BYTES + 2);
  }
  return frame;
}

/** The values of a peer's SETTINGS; null: the peer did not say this one. No block of ours uses a table, and no frame is larger than all peers take. */
export interface PeerSettings {
  /** An error's code. */
  readonly error: number;
  readonly streamWindow: number | null;
  readonly streamsMax: number | null;
}

export function readSettings(payload: Buffer, entriesMax: number, pushMax = 1): PeerSettings {
  let streamWindow: number | null = null;
  let streamsMax: number | null = null;
  let error: number = payload.length % SETTING_BYTES === 0 ? NGHTTP2_NO_ERROR : NGHTTP2_FRAME_SIZE_ERROR;
  if (payload.length > entriesMax * SETTING_BYTES) error = NGHTTP2_ENHANCE_YOUR_CALM;
  for (let at = 0; at < payload.length && error === NGHTTP2_NO_ERROR; at += SETTING_BYTES) {
    const value = payload.readUInt32BE(at + 2);
    switch (payload.readUInt16BE(at)) {
      case Setting.MAX_CONCURRENT_STREAMS:
        streamsMax = value;
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_BYTES_MAX) error = NGHTTP2_FLOW_CONTROL_ERROR;
        streamWindow = value;
        break;
      case Setting.ENABLE_PUSH:
        if (value > pushMax) error = NGHTTP2_PROTOCOL_ERROR;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < PAYLOAD_BYTES_MAX || value > FRAME_BYTES_MAX) error = NGHTTP2_PROTOCOL_ERROR;
        break;
      default:
    }
  }
  return { error, streamWindow, streamsMax };
}
