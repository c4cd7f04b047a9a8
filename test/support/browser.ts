/** Debian's Chromium, driven by playwright-core, which brings none of its own. */
import { type Browser, chromium, type Page } from 'playwright-core';
import { eventually } from './eventually.ts';

const EXECUTABLE = '/usr/bin/chromium';
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const LIVE_MS = 8_000;
/** Chromium gives up what it is loading whenever a network of the machine comes or goes, and other tests start containers. */
const NETWORK_CHANGED = /ERR_NETWORK_CHANGED/;
const OPEN_TRIES = 4;

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  /** The content of the page as it keeps it, as if it had been asked for. */
  readonly token?: string;
  /** The page is to ask for the token. */
  readonly asksToken?: boolean;
}

export interface Opened {
  readonly page: Page;
  /** The errors of the page: in scripts, on the console, of the content security policy. */
  readonly complaints: readonly string[];
  /** Every URL that was asked for. */
  readonly requests: readonly string[];
  /** Bytes of all answers' bodies so far, those of endless ones left out. */
  bytes(): Promise<number>;
}

export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(): Promise<TestBrowser> {
    return new TestBrowser(await chromium.launch({ executablePath: EXECUTABLE, args: ARGS }));
  }

  /** Resolves when the page says that it is live, or asks for the token. */
  async open(url: string, look: Look = {}): Promise<Opened> {
    for (let left = OPEN_TRIES - 1; ; left--) {
      const opened = await this.#load(url, look);
      const live = await opened.page
        .waitForSelector(look.asksToken ? 'dialog [name=token]' : '#connection[data-state=live]', { timeout: LIVE_MS })
        .catch(() => null);
      if (live !== null) return opened;
      if (left === 0 || !opened.complaints.some((text) => NETWORK_CHANGED.test(text))) {
        throw new Error(`${url} is not live: ${opened.complaints.join('; ') || 'no complaint'}`);
      }
      await opened.page.close();
    }
  }

  close(): Promise<void> {
    return this.#browser.close();
  }

  async #load(url: string, { width = 1280, height = 900, dark = false, token }: Look): Promise<Opened> {
    const page = await this.#browser.newPage({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });
    if (token !== undefined) await page.addInitScript(`sessionStorage.setItem('pullproxy-token', ${JSON.stringify(token)})`);
    const complaints: string[] = [];
    const requests: string[] = [];
    const bodies: Promise<number>[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('request', (request) => requests.push(request.url()));
    page.on('requestfinished', (request) => {
      bodies.push(
        request.sizes().then(
          ({ responseBodySize }) => responseBodySize,
          () => 0,
        ),
      );
    });
    await page.goto(url).catch((error: unknown) => complaints.push(String(error)));
    return { page, complaints, requests, bytes: async () => (await Promise.all(bodies)).reduce((sum, one) => sum + one, 0) };
  }
}

/** The text that a person reads there, in one line. */
export async function textOf(page: Page, selector: string): Promise<string> {
  const text: unknown = await page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`);
  return String(text).replaceAll(/\s+/g, ' ').trim();
}

/** The error says what is there instead. */
export async function saysEventually(page: Page, selector: string, expected: RegExp, withinMs = 20_000): Promise<void> {
  let last = '';
  await eventually(
    `${selector} says ${expected}`,
    async () => {
      last = await textOf(page, selector);
      return expected.test(last);
    },
    withinMs,
  ).catch((error: unknown) => {
    throw new Error(`${selector} does not say ${expected} within ${withinMs} ms, but: ${last}`, { cause: error });
  });
}
