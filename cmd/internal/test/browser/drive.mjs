// Runs one check of checks.mjs or dashboard.mjs in headless Chromium:
//
//   node drive.mjs CHECK < input.json
//
// The input names the browser, the pages, and a directory for screenshots, empty for none. Whatever the check does, the
// page may not log an error or ask another host for anything.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';
import * as operator from './checks.mjs';
import * as dashboard from './dashboard.mjs';

const checks = { ...operator, ...dashboard };

const input = JSON.parse(await text(process.stdin));
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({
  executablePath: input.browser,
  chromiumSandbox: false,
  args: [
    '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', `--host-resolver-rules=MAP ${input.lanName} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost`,
  ],
});

// A Tab is one page in a context of its own. It records what goes wrong there.
class Tab {
  constructor(page, host) {
    this.page = page;
    this.host = host;
    this.wrong = [];
    this.csp = []; // the policies of all pages
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.wrong.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.wrong.push(`script: ${error}`));
    page.on('request', (request) => {
      if (new URL(request.url()).host !== this.host) this.wrong.push(`request off the host: ${request.url()}`);
    });
    page.on('requestfailed', (request) => {
      // The browser drops requests for an icon, and those of an empty page that looks
      // whether it still is, when the test moves on.
      const dropped = request.resourceType() === 'fetch' || new URL(request.url()).pathname.includes('icon');
      if (request.failure()?.errorText === 'net::ERR_ABORTED' && dropped) return;
      this.wrong.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
    });
    page.on('response', (response) => {
      const policy = response.headers()['content-security-policy'];
      if (policy) this.csp.push(policy);
      if (response.status() >= 400) this.wrong.push(`answered ${response.status()}: ${response.url()}`);
    });
  }

  // clean asserts that nothing has gone wrong.
  clean() {
    assert.deepEqual(this.wrong, []);
  }

  // follow clicks a target or presses a key, and waits until the next page has loaded. Leaving a page that still loads
  // would fail its requests.
  async follow(target) {
    await Promise.all([
      this.page.waitForEvent('load'),
      typeof target === 'string' ? this.page.keyboard.press(target) : target.click(),
    ]);
  }

  // accessible checks the page with axe, against all rules or some.
  async accessible(what, rules) {
    if (await this.page.evaluate(() => !window.axe)) await this.page.evaluate(axe);
    const options = rules ? { preload: false, runOnly: rules } : { preload: false };
    const results = await this.page.evaluate((o) => window.axe.run(document, o), options);
    const found = results.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' | ')}`);
    assert.deepEqual(found, [], `accessibility of ${what}`);
    assert.ok(results.passes.length >= (rules?.length ?? 10), `${what}: axe checked only ${results.passes.length} rules`);
  }

  // fits asserts that nobody has to scroll sideways.
  async fits(what) {
    const [content, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${what}: ${content} px in a window of ${window} px`);
  }

  async screenshot(name) {
    if (input.artifacts === '') return;
    await mkdir(input.artifacts, { recursive: true });
    await this.page.screenshot({ path: join(input.artifacts, `${name}.png`), fullPage: true });
  }

  async pdf(name) {
    if (input.artifacts !== '') await this.page.pdf({ path: join(input.artifacts, `${name}.pdf`), format: 'A4' });
  }
}

// open opens a page in a new tab.
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(120_000); // a busy machine may need long
  const tab = new Tab(await context.newPage(), new URL(url).host);
  await tab.page.goto(url);
  return tab;
}

try {
  await checks[process.argv[2]]({ ...input, open });
} catch (error) {
  console.error(error.stack ?? error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
