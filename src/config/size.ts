const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

/** `16384`, `64KiB`, `512MiB`, `1GiB`, also decimal `500MB`, in bytes; null when `text` is not a size. */
export function parseSize(text: string): number | null {
  const match = /^(\d{1,15}) ?([a-z]*)$/.exec(text.trim().toLowerCase());
  const unit = UNIT_BYTES[match?.[2] ?? ''];
  if (match === null || unit === undefined) return null;
  const bytes = Number(match[1]) * unit;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** The shortest form that `parseSize` reads back as the same number. */
export function formatSize(bytes: number): string {
  if (bytes > 0 && bytes % 1024 ** 3 === 0) return `${bytes / 1024 ** 3}GiB`;
  if (bytes > 0 && bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}MiB`;
  if (bytes > 0 && bytes % 1024 === 0) return `${bytes / 1024}KiB`;
  return String(bytes);
}
