/**
 * Every error that pullproxy gives to a client, once: its stable code, the HTTP status, the RFC 9209 `Proxy-Status` error
 * type and whose fault it is.
 */
export type Side = 'client' | 'linker' | 'application' | 'pullproxy';

export interface ErrorKind {
  readonly status: number;
  /** RFC 9209 section 2.3 error type. */
  readonly proxyStatus: string;
  readonly details?: string;
  readonly side: Side;
  /** Seconds for `Retry-After`. */
  readonly retryAfter?: number;
  readonly message: string;
}

export const ERRORS = {
  https_only: {
    status: 308,
    proxyStatus: 'proxy_internal_response',
    details: 'https_only',
    side: 'client',
    message: 'this host is served by https only',
  },
  bad_request: {
    status: 400,
    proxyStatus: 'http_request_error',
    side: 'client',
    message: 'malformed or ambiguous request',
  },
  unknown_route: {
    status: 404,
    proxyStatus: 'destination_not_found',
    side: 'client',
    message: 'no application has this name',
  },
  directory_away: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'directory_away',
    side: 'pullproxy',
    retryAfter: 1,
    message: 'whether an application has this name is not known now: Redis does not answer',
  },
  unknown_key: {
    status: 404,
    proxyStatus: 'destination_not_found',
    details: 'unknown_key',
    side: 'client',
    message: 'the application has no instance for what was asked: its key is missing, or does not exist',
  },
  keys_full: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'keys_full',
    side: 'pullproxy',
    retryAfter: 5,
    message: 'as many keys are awake as may be',
  },
  key_unchecked: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'key_unchecked',
    side: 'pullproxy',
    retryAfter: 1,
    message: 'whether the key exists is not known now: keyCheck gave no answer',
  },
  wrong_protocol: {
    status: 421,
    proxyStatus: 'http_request_denied',
    details: 'wrong_protocol',
    side: 'client',
    message: 'the application of this name does not speak HTTP',
  },
  head_timeout: {
    status: 408,
    proxyStatus: 'http_request_error',
    side: 'client',
    message: 'the request head did not arrive in time',
  },
  head_too_large: {
    status: 431,
    proxyStatus: 'http_request_error',
    side: 'client',
    message: 'the request head is too large',
  },
  too_costly: {
    status: 413,
    proxyStatus: 'http_request_denied',
    details: 'too_costly',
    side: 'client',
    message: 'the request takes more slots than any instance can have',
  },
  application_refused: {
    status: 502,
    proxyStatus: 'connection_refused',
    side: 'application',
    message: 'the application refused the connection',
  },
  application_broke_off: {
    status: 502,
    proxyStatus: 'connection_terminated',
    side: 'application',
    message: 'the application closed the connection before its response',
  },
  link_lost: {
    status: 502,
    proxyStatus: 'connection_terminated',
    side: 'linker',
    message: 'the link to the instance broke before its response',
  },
  application_bad_answer: {
    status: 502,
    proxyStatus: 'http_protocol_error',
    side: 'application',
    message: "the application's response is malformed",
  },
  queue_full: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'queue_full',
    side: 'pullproxy',
    retryAfter: 1,
    message: 'too many clients are held already',
  },
  overload: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'overload',
    side: 'pullproxy',
    retryAfter: 1,
    message: 'more clients come than are served: this one would leave before it has a slot',
  },
  hold_timeout: {
    status: 503,
    proxyStatus: 'connection_timeout',
    details: 'hold_timeout',
    side: 'pullproxy',
    retryAfter: 5,
    message: 'no slot was free in time',
  },
  deadline: {
    status: 503,
    proxyStatus: 'connection_timeout',
    details: 'deadline',
    side: 'pullproxy',
    retryAfter: 5,
    message: 'no slot was free within the time that the request allows',
  },
  start_failed: {
    status: 503,
    proxyStatus: 'destination_unavailable',
    details: 'start_failed',
    side: 'application',
    retryAfter: 5,
    message: 'its instances fail to start',
  },
  asleep: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'asleep',
    side: 'pullproxy',
    retryAfter: 60,
    message: 'no instance is there, and a request of this kind starts none',
  },
  waiting_page: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'waiting_page',
    side: 'pullproxy',
    retryAfter: 1,
    message: 'the application is starting, or busy',
  },
  internal_error: {
    status: 500,
    proxyStatus: 'proxy_internal_error',
    side: 'pullproxy',
    message: 'an internal error of the proxy',
  },
  draining: {
    status: 503,
    proxyStatus: 'proxy_internal_response',
    details: 'draining',
    side: 'pullproxy',
    retryAfter: 1,
    message: 'this node is leaving',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** A failed visit, as its client is told. */
export class PullproxyError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  /** The URL that the client is sent to. */
  location: string | null = null;
  /** HTML instead of the message, and header lines with it, each with its CRLF. */
  page: { readonly html: string; readonly lines: string } | null = null;

  /** `known`: what is known better than the kind of error says. */
  constructor(code: ErrorCode, reason?: string, known?: Partial<Pick<ErrorKind, 'retryAfter' | 'status'>>) {
    super(reason ?? ERRORS[code].message);
    this.name = 'PullproxyError';
    this.code = code;
    this.kind = known === undefined ? ERRORS[code] : { ...ERRORS[code], ...known };
  }
}

/** The link's peer broke the protocol; the link is closed, nothing else is touched. */
export class LinkProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LinkProtocolError';
  }
}

/** Bad flags, environment, file or route settings: all problems at once, each naming the key, the value and what was expected. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** A worker ended before it served. Its own messages are in the log. */
export class WorkerEnded extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WorkerEnded';
  }
}

/** The message of an error. Errors of others may be no Error at all. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The part of an error to log: its first line only, because Redis's client adds the command, which may contain a password. */
export function reasonOf(error: unknown): string {
  return messageOf(error).split('\n', 1)[0] ?? '';
}
