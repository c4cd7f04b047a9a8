import type { ClientLimits } from '../../config/listener-settings.ts';

export const HTTP2_LIMITS = {
  /** Entries of one SETTINGS frame. */
  settingsMax: 32,
  /** Pieces of cookies, which a client may cut as it likes (RFC 9113 section 8.2.3); they count as one field. */
  cookieCrumbsMax: 1_000,
  /** Streams that are refused or reset for the client's fault, at once, and a tenth of it in each second. */
  faultsMax: 100,
  /** So many bytes may lie here for one connection before its next request is refused. */
  sessionBytesMax: 4 * 1_048_576,
} as const;

const RATE_SHARE = 0.1;

/** Limits for the frames of one connection. Each one stops a known attack: CVE-2023-44487 (rapid reset), CVE-2019-9512, -9515, -9518. */
export interface WireLimits {
  /** Streams that a client may cancel at once, and in each second. Each one that was answered is worth another. */
  readonly resetsMax: number;
  readonly resetsPerSecondMax: number;
  /** Frames that carry nothing, at once and in each second; what is sent to the client earns it more. */
  readonly controlFramesMax: number;
  readonly controlFramesPerSecondMax: number;
  /** Streams that are reset for the client's fault. Each one that was answered is worth another. */
  readonly faultsMax: number;
  readonly faultsPerSecondMax: number;
}

export function wireLimits({
  http2ResetsMax,
  http2ControlFramesMax,
}: Pick<ClientLimits, 'http2ResetsMax' | 'http2ControlFramesMax'>): WireLimits {
  return {
    resetsMax: http2ResetsMax,
    resetsPerSecondMax: http2ResetsMax * RATE_SHARE,
    controlFramesMax: http2ControlFramesMax,
    controlFramesPerSecondMax: http2ControlFramesMax * RATE_SHARE,
    faultsMax: HTTP2_LIMITS.faultsMax,
    faultsPerSecondMax: HTTP2_LIMITS.faultsMax * RATE_SHARE,
  };
}
