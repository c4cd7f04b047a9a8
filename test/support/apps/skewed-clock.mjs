/** Preloaded (`node --import`): this process' clock is wrong by SKEW_MS. */
const skewMs = Number(process.env.SKEW_MS ?? 0);
const RightDate = Date;

globalThis.Date = class extends RightDate {
  constructor(...args) {
    if (args.length === 0) super(RightDate.now() + skewMs);
    else super(...args);
  }

  static now() {
    return RightDate.now() + skewMs;
  }
};
