// The checks of the operator's page; see drive.mjs. Each receives the pages by name and a function to open them.
import assert from 'node:assert/strict';

const sizes = { narrow: { width: 320, height: 640 }, medium: { width: 1280, height: 900 }, wide: { width: 2560, height: 1440 } };

// Every page in every form: accessible, within the window, without an error, and nothing from another host.
export async function everywhere({ sites, open }) {
  for (const [name, url] of Object.entries(sites)) {
    const tab = await open(url, { reducedMotion: 'reduce' }); // so that axe judges the final colours
    for (const colorScheme of ['light', 'dark']) {
      await tab.page.emulateMedia({ colorScheme });
      for (const [size, viewport] of Object.entries(sizes)) {
        const what = `${name}-${colorScheme}-${size}`;
        await tab.page.setViewportSize(viewport);
        await tab.fits(what);
        if (size !== 'wide' && colorScheme === 'light') await tab.accessible(what); // wide only adds room,
        if (size === 'medium' && colorScheme === 'dark') await tab.accessible(what, ['color-contrast']); // and dark changes colours
        await tab.screenshot(what);
      }
    }
    tab.clean();
    await tab.page.context().close();
  }
}

// The page in print and in forced colours.
export async function otherMedia({ url, open }) {
  const tab = await open(url);
  await tab.page.emulateMedia({ media: 'print' });
  assert.ok(await tab.page.getByText('"schema":1').first().isVisible(), 'the bytes are not printed');
  assert.ok(!(await tab.page.getByRole('button').first().isVisible()), 'a button is printed');
  await tab.screenshot('print');
  await tab.pdf('print');
  await tab.page.emulateMedia({ media: 'screen', forcedColors: 'active', reducedMotion: 'reduce' });
  await tab.accessible('forced colours');
  await tab.screenshot('forced-colors');
  const motion = await tab.page.locator('button').first().evaluate((b) => getComputedStyle(b).transitionProperty);
  assert.equal(motion, 'none');
  tab.clean();
}

// Buttons alone turn telemetry on and off.
export async function withoutJavaScript({ url, open }) {
  const tab = await open(url, { javaScriptEnabled: false });
  const { page } = tab;
  await page.getByRole('heading', { name: 'Nothing is sent' }).waitFor();
  assert.ok(!(await page.getByText('Copy').isVisible()), 'the copy button is shown, but cannot work');
  await tab.follow(page.getByRole('button', { name: 'Turn on telemetry' }));
  await page.getByRole('status').filter({ hasText: 'Telemetry is on.' }).waitFor();
  await page.getByRole('heading', { name: 'A heartbeat is sent once a day' }).waitFor();
  await tab.follow(page.getByRole('button', { name: 'Turn on health reports' }));
  await page.getByRole('status').filter({ hasText: 'Health reports are on.' }).waitFor();
  await tab.follow(page.getByRole('button', { name: 'Send a heartbeat now' }));
  await page.getByRole('status').filter({ hasText: 'accepted the heartbeat' }).waitFor();
  await page.getByText('Byte for byte').first().click();
  assert.ok(await page.getByText('"schema":1').first().isVisible());
  await tab.follow(page.getByRole('button', { name: 'Turn off telemetry' }));
  await page.getByRole('status').filter({ hasText: 'Telemetry is off.' }).waitFor();
  tab.clean();
}

// A new ID, and forgetting, each after a confirmation.
export async function confirmed({ url, open }) {
  const tab = await open(url, { javaScriptEnabled: false });
  const { page } = tab;
  const id = page.locator('#installation-id');
  const first = await id.textContent();
  await tab.follow(page.getByRole('link', { name: 'Make a new ID' }));
  await tab.follow(page.getByRole('link', { name: 'Cancel' }));
  assert.equal(await id.textContent(), first);
  await tab.follow(page.getByRole('link', { name: 'Make a new ID' }));
  await tab.follow(page.getByRole('button', { name: 'Make a new ID' }));
  await page.getByRole('status').filter({ hasText: 'This installation has a new ID.' }).waitFor();
  const second = await id.textContent();
  assert.notEqual(second, first);
  await tab.follow(page.getByRole('link', { name: 'Forget this installation' }));
  await tab.follow(page.getByRole('button', { name: 'Forget this installation' }));
  await page.getByRole('status').filter({ hasText: 'deleted this installation' }).waitFor();
  assert.notEqual(await id.textContent(), second);
  await page.getByRole('heading', { name: 'Nothing is sent' }).waitFor();
  tab.clean();
}

// The switch by keyboard, with a visible focus.
export async function keyboard({ url, open }) {
  const tab = await open(url);
  const { page } = tab;
  await tabTo(page, 'Turn on telemetry');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid', 'the focus is not visible');
  await tab.screenshot('focus');
  await tab.follow('Enter');
  await page.getByRole('status').filter({ hasText: 'Telemetry is on.' }).waitFor();
  assert.match(await page.title(), /^✓ Turned on – Telemetry/);
  assert.equal(new URL(page.url()).search, '', 'the outcome stays in the address');
  await tabTo(page, 'Turn off telemetry');
  await tab.follow('Space');
  await page.getByRole('status').filter({ hasText: 'Telemetry is off.' }).waitFor();
  await page.reload();
  assert.equal(await page.title(), 'Telemetry – Example Server', 'a reload shows the outcome again');
  await tabTo(page, 'Turn on telemetry');
  await tab.follow('Enter');
  await page.getByRole('heading', { name: 'A heartbeat is sent once a day' }).waitFor();
  tab.clean();
}

async function tabTo(page, name) {
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press('Tab');
    if ((await focused()) === name) return;
  }
  assert.fail(`${name} cannot be reached with the Tab key`);
}

// The copy button, where the browser allows writing to the clipboard.
export async function copy({ url, open }) {
  const tab = await open(url, { permissions: ['clipboard-read', 'clipboard-write'] });
  const { page } = tab;
  await page.getByRole('button', { name: 'Copy the installation ID' }).click();
  await page.getByRole('status').filter({ hasText: 'Copied.' }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, await page.locator('#installation-id').textContent());
  tab.clean();
}

// Plain HTTP to another machine has neither Sec-Fetch-Site nor a clipboard.
export async function overTheNetwork({ url, lanName, open }) {
  const lan = new URL(url);
  lan.hostname = lanName;
  const tab = await open(lan.href);
  const { page } = tab;
  assert.equal(await page.evaluate(() => window.isSecureContext), false);
  await page.getByRole('button', { name: 'Copy the installation ID' }).click();
  await page.getByRole('status').filter({ hasText: 'Copied.' }).waitFor();
  await tab.follow(page.getByRole('button', { name: 'Turn on telemetry' }));
  await page.getByRole('status').filter({ hasText: 'Telemetry is on.' }).waitFor();
  tab.clean();
}

// A page of another origin can neither read, nor change, nor frame anything. Its link leads to the page after one more
// click.
export async function otherSites({ url, foreign, open }) {
  const tab = await open(foreign);
  const { page } = tab;
  const read = await page.evaluate((target) => fetch(target).then((r) => r.text(), () => 'refused'), url);
  assert.equal(read, 'refused');
  const blind = await page.evaluate((target) => fetch(`${target}consent`, {
    method: 'POST', mode: 'no-cors', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'decision=grant',
  }).then((r) => r.type, () => 'refused'), url);
  assert.equal(blind, 'refused'); // by Cross-Origin-Resource-Policy; the caller checks the config
  const frame = page.frameLocator('iframe');
  assert.equal(await frame.getByText('Installation ID').count(), 0, 'the page is framed');

  const answer = page.waitForResponse((r) => r.url() === `${url}consent` && r.request().isNavigationRequest());
  await page.getByRole('button', { name: 'Win a prize' }).click();
  assert.equal((await answer).status(), 403);

  await page.goto(foreign);
  await tab.follow(page.getByRole('link', { name: 'The page' }));
  await page.getByRole('heading', { name: 'Opened from another site' }).waitFor();
  await tab.follow(page.getByRole('link', { name: 'Open the page' }));
  await page.getByRole('heading', { name: 'Nothing is sent' }).waitFor();
}

// A link signs in once, even from a page of another site, and nobody else gets the cookie.
export async function signIn({ url, link, foreign, open }) {
  const tab = await open(foreign);
  const { page } = tab;
  await tab.follow(page.getByRole('link', { name: 'A terminal' }));
  await tab.fits('sign-in');
  await tab.accessible('sign-in');
  await tab.screenshot('sign-in');
  await tab.follow(page.getByRole('button', { name: 'Sign in as the operator' }));
  assert.match(page.url(), /\/operator\/[A-Z2-7]{26}\/$/);
  const own = page.url();
  await tab.follow(page.getByRole('button', { name: 'Turn on telemetry' }));
  await page.getByRole('status').filter({ hasText: 'Telemetry is on.' }).waitFor();
  await tab.follow(page.getByRole('link', { name: 'Make a new ID' }));
  await tab.follow(page.getByRole('button', { name: 'Make a new ID' }));
  await page.getByRole('status').filter({ hasText: 'This installation has a new ID.' }).waitFor();

  await page.goto(url);
  await page.getByText('Only the operator can change more.').waitFor();
  assert.equal(await page.getByRole('link', { name: 'Make a new ID' }).count(), 0);
  await tab.screenshot('not-signed-in');
  await page.goto(foreign);
  await page.goto(link);
  await tab.follow(page.getByRole('button', { name: 'Sign in as the operator' }));
  await page.getByRole('heading', { name: 'This link does not work' }).waitFor();
  await tab.accessible('used link');
  await page.goto(own);
  await page.getByRole('button', { name: 'Turn off telemetry' }).waitFor();

  const stranger = await open(own);
  assert.equal(stranger.page.url(), url);
  await stranger.page.getByText('Only the operator can change more.').waitFor();
}
