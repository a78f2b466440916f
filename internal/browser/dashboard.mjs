// What is checked of the dashboard in the browser; see drive.mjs.
import assert from 'node:assert/strict';

const pages = ['overview', 'versions', 'retention', 'features', 'health', 'quality', 'settings'];
const sizes = { narrow: { width: 360, height: 740 }, medium: { width: 1280, height: 900 }, wide: { width: 2560, height: 1440 } };

// signedIn gives a tab with a session.
async function signedIn(open, url, token, options) {
  const tab = await open(url, options);
  await tab.page.getByLabel('Token').fill(token);
  await tab.page.getByRole('button', { name: 'Sign in' }).click();
  await tab.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  return tab;
}

// number reads a figure, whatever stands between its digits.
const number = (text) => Number(text.replace(/[^0-9]/g, ''));

export async function dashboardEverywhere({ url, token, open }) {
  const tab = await open(url, { reducedMotion: 'reduce' });
  await tab.accessible('signin');
  await tab.screenshot('dashboard-signin');
  await tab.page.getByLabel('Token').fill(token);
  await tab.page.getByRole('button', { name: 'Sign in' }).click();
  await tab.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  for (const path of [...pages.map((page) => `a/fleet/${page}`), 'a/nobody/overview', 'a/nobody/versions', 'a/fleet/features?trend=system']) {
    await tab.page.goto(url + path);
    const name = `dashboard-${path.replace(/[^a-z]+/g, '-')}`;
    for (const colorScheme of ['light', 'dark']) {
      await tab.page.emulateMedia({ colorScheme });
      for (const [size, viewport] of Object.entries(sizes)) {
        const what = `${name}-${colorScheme}-${size}`;
        await tab.page.setViewportSize(viewport);
        await tab.fits(what);
        if (size !== 'wide' && colorScheme === 'light') await tab.accessible(what);
        if (size === 'medium' && colorScheme === 'dark') await tab.accessible(what, ['color-contrast']);
        await tab.screenshot(what);
      }
    }
  }
  tab.clean();
}

export async function dashboardTruth({ url, token, tiles, versions, series, open }) {
  const tab = await signedIn(open, url, token, { acceptDownloads: true });
  const { page } = tab;
  await page.goto(`${url}a/fleet/overview?days=28`);
  for (const [name, want] of Object.entries(tiles)) {
    const tile = page.locator('.tile').filter({ has: page.getByText(name, { exact: true }) });
    assert.equal(number(await tile.locator('.tile-value').textContent()), want, name);
  }
  // The table twin of the first chart is the truth, day by day.
  const rows = await page.locator('#active tbody tr').all();
  assert.equal(rows.length, series.length);
  for (const [i, row] of rows.entries()) {
    const cells = await row.locator('th, td').allTextContents();
    assert.equal(cells[0], series[i].day);
    const got = cells.slice(1, 7).map(number);
    const { active, established } = series[i];
    assert.deepEqual(got, [active[2], active[1], active[0], established[2], established[1], established[0]], series[i].day);
  }
  const shown = {};
  for (const row of await page.locator('#by-version tbody tr').all()) {
    const cells = await row.locator('th, td').allTextContents();
    shown[cells[0]] = number(cells[1]);
  }
  assert.deepEqual(shown, versions);

  // What is downloaded is what is shown, and the same address shows the same.
  for (const link of await page.locator('.links a[download]').all()) {
    const response = await page.request.get(new URL(await link.getAttribute('href'), page.url()).href);
    assert.equal(response.status(), 200);
  }
  const csv = await (await page.request.get(`${url}a/fleet/overview/active.csv?days=28`)).text();
  assert.equal(csv.trim().split('\n').length, series.length + 1);

  // Switches: ranges, pages, an own range, the app.
  for (const days of [7, 28, 90, 400]) {
    await page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: `${days} days` }).click();
    assert.equal(new URL(page.url()).searchParams.get('days'), String(days));
    assert.equal(await page.locator('nav[aria-label=Range] [aria-current]').textContent(), `${days} days`);
  }
  await page.getByLabel('from', { exact: true }).fill(series[0].day);
  await page.getByLabel('to', { exact: true }).fill(series[6].day);
  await page.getByRole('button', { name: 'Show' }).click();
  assert.equal(await page.locator('#active tbody tr').count(), 7);
  for (const link of await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').all()) {
    const response = await page.request.get(new URL(await link.getAttribute('href'), page.url()).href);
    assert.equal(response.status(), 200);
  }
  await page.goto(`${url}a/fleet/retention`);
  for (const grain of ['day', 'month', 'week']) {
    await page.getByRole('navigation', { name: 'Cohorts by' }).getByRole('link', { name: grain }).click();
    await page.getByRole('heading', { name: `by ${grain} of first sight` }).waitFor();
  }
  await page.getByRole('navigation', { name: 'Apps' }).getByRole('link', { name: 'Nobody yet' }).click();
  await page.goto(`${url}a/nobody/overview`);
  await page.getByRole('heading', { name: 'No installation has reported yet' }).waitFor();

  // The keyboard alone: the first stop leads past the navigation.
  await page.goto(`${url}a/fleet/overview`);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the figures');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.ok(await page.evaluate(() => document.querySelector('main').contains(document.activeElement)), 'the focus is not in the page');
  tab.clean();

  // Without JavaScript all figures are there too.
  const plain = await signedIn(open, url, token, { javaScriptEnabled: false });
  await plain.page.goto(`${url}a/fleet/overview?days=28`);
  assert.equal(await plain.page.locator('#active tbody tr').count(), series.length);
  plain.clean();
}

export async function dashboardOtherMedia({ url, token, open }) {
  const tab = await signedIn(open, url, token);
  await tab.page.emulateMedia({ media: 'print' });
  assert.ok(!(await tab.page.getByRole('navigation', { name: 'Pages' }).isVisible()), 'the navigation is printed');
  await tab.screenshot('dashboard-print');
  await tab.page.emulateMedia({ media: 'screen', forcedColors: 'active', reducedMotion: 'reduce' });
  await tab.accessible('dashboard in forced colours');
  await tab.screenshot('dashboard-forced-colors');
  tab.clean();
}

// count reads how many installations are active today, from the table of the overview.
async function count(page, overview) {
  await page.goto(overview);
  const rows = page.locator('#active tbody tr');
  if ((await rows.count()) === 0) return 0;
  return number(await rows.last().locator('td').nth(2).textContent());
}

export async function walk({ operator, dashboard, open }) {
  const counted = await open(dashboard);
  const overview = new URL('/a/walk/overview', dashboard).href;
  assert.equal(await count(counted.page, overview), 0);

  const { page, ...tab } = await open(operator);
  await page.getByRole('heading', { name: 'Nothing is sent' }).waitFor();
  await page.getByText('Byte for byte').first().click();
  assert.ok(await page.getByText('"version":"3.2.1"').first().isVisible(), 'the preview is not shown');
  assert.equal(await count(counted.page, overview), 0);
  await page.getByRole('button', { name: 'Grant telemetry' }).click();
  await page.getByRole('status').filter({ hasText: 'telemetry is granted' }).waitFor();
  await page.getByRole('button', { name: 'Send a heartbeat now' }).click();
  await page.getByRole('status').filter({ hasText: 'has accepted the heartbeat' }).waitFor();
  assert.equal(await count(counted.page, overview), 1);
  await counted.page.getByRole('heading', { name: 'Opted-in installations by version' }).waitFor();
  assert.ok((await counted.page.locator('#by-version tbody').textContent()).includes('3.2.1'));
  await counted.screenshot('walk-counted');

  await page.getByRole('link', { name: 'Have this installation forgotten' }).click();
  await page.getByRole('button', { name: 'Forget this installation' }).click();
  await page.getByRole('status').filter({ hasText: 'has deleted this installation' }).waitFor();
  assert.equal(await count(counted.page, overview), 0);
  assert.deepEqual(tab.wrong, []);
  counted.clean();
}
