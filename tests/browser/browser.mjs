// A browser without a network, and pages in it of which every error is recorded.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const CNNKIT = process.env.CNNKIT ?? 'target/debug/cnnkit';
export const FOLDER = process.env.CNNKIT_PAGES ?? 'target/browser/pages';
const BROWSER = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

mkdirSync(FOLDER, { recursive: true });

/** Runs the program; returns what it prints. */
export function cnnkit(...args) {
  return execFileSync(CNNKIT, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
}

/** Writes a report; returns its path and the seconds that it took. */
export function report(name, ...args) {
  const file = join(process.cwd(), FOLDER, `${name.replace(/\W+/g, '-')}.html`);
  const start = performance.now();
  cnnkit('report', ...args, '-o', file);
  return { file, seconds: (performance.now() - start) / 1000 };
}

/** Writes a file beside the pages; returns its path. */
export function written(name, text) {
  const file = join(process.cwd(), FOLDER, name);
  writeFileSync(file, text);
  return file;
}

/** Opens browsers and pages, and closes them. */
export class Browser {
  static async start() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({
      executablePath: BROWSER,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'],
    });
    return browser;
  }

  /** Opens a page offline; `page.faults` has every error, warning of the policy and request. */
  async open(file, options = {}) {
    const context = await this.chromium.newContext({ viewport: { width: 1280, height: 900 }, offline: true, acceptDownloads: true, ...options });
    const page = await context.newPage();
    page.faults = [];
    // The tests read pixels back, which the browser thinks slow.
    page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !message.text().includes('willReadFrequently')) page.faults.push(message.text()); });
    page.on('pageerror', (error) => page.faults.push(String(error.stack)));
    page.on('dialog', (dialog) => { page.faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('request', (request) => { if (!/^(file|data|blob):/.test(request.url())) page.faults.push(`request: ${request.url()}`); });
    // A machine that compiles at the same time is slow.
    await page.goto(`file://${file}`, { timeout: 120_000 });
    await page.waitForSelector('main', { timeout: 120_000 });
    return page;
  }

  async close() {
    await this.chromium.close();
  }
}
