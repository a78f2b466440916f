// The checks of the dashboard; see drive.mjs.
import assert from 'node:assert/strict';

const pages = ['overview', 'versions', 'retention', 'features', 'health', 'quality', 'settings'];
const sizes = { narrow: { width: 360, height: 740 }, medium: { width: 1280, height: 900 }, wide: { width: 2560, height: 1440 } };

// signedIn opens a tab and signs in.
async function signedIn(open, url, token, options) {
  const tab = await open(url, options);
  await tab.page.getByLabel('Token').fill(token);
  await tab.follow(tab.page.getByRole('button', { name: 'Sign in' }));
  await tab.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  return tab;
}

// number reads a figure, whatever separates its digits.
const number = (text) => Number(text.replace(/[^0-9]/g, ''));

export async function dashboardEverywhere({ url, token, open }) {
  const tab = await open(url, { reducedMotion: 'reduce' });
  await tab.accessible('signin');
  await tab.screenshot('dashboard-signin');
  await tab.page.getByLabel('Token').fill(token);
  await tab.follow(tab.page.getByRole('button', { name: 'Sign in' }));
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
  // The table of the first chart is the truth, day by day.
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

  // Downloads hold what the page shows.
  for (const link of await page.locator('.links a[download]').all()) {
    const response = await page.request.get(new URL(await link.getAttribute('href'), page.url()).href);
    assert.equal(response.status(), 200);
  }
  const csv = await (await page.request.get(`${url}a/fleet/overview/active.csv?days=28`)).text();
  assert.equal(csv.trim().split('\n').length, series.length + 1);

  // Switches: ranges, a chosen range, pages, the app.
  for (const days of [7, 28, 90, 400]) {
    await tab.follow(page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: `${days} days` }));
    assert.equal(new URL(page.url()).searchParams.get('days'), String(days));
    assert.equal(await page.locator('nav[aria-label=Range] [aria-current]').textContent(), `${days} days`);
  }
  await page.getByLabel('From', { exact: true }).fill(series[0].day);
  await page.getByLabel('To', { exact: true }).fill(series[6].day);
  await tab.follow(page.getByRole('button', { name: 'Show' }));
  assert.equal(await page.locator('#active tbody tr').count(), 7);
  for (const link of await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').all()) {
    const response = await page.request.get(new URL(await link.getAttribute('href'), page.url()).href);
    assert.equal(response.status(), 200);
  }
  await page.goto(`${url}a/fleet/retention`);
  for (const grain of ['day', 'month', 'week']) {
    await tab.follow(page.getByRole('navigation', { name: 'Cohorts by' }).getByRole('link', { name: grain }));
    await page.getByRole('heading', { name: `by the ${grain} they were first seen` }).waitFor();
  }
  await tab.follow(page.getByRole('navigation', { name: 'Apps' }).getByRole('link', { name: 'Nobody yet' }));
  assert.equal(new URL(page.url()).pathname, '/a/nobody/retention');
  await page.getByRole('heading', { name: 'No installation has reported yet' }).waitFor();

  // By keyboard, the first stop skips the navigation.
  await page.goto(`${url}a/fleet/overview`);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the figures');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.ok(await page.evaluate(() => document.querySelector('main').contains(document.activeElement)), 'the focus is not in the page');
  tab.clean();

  // Without JavaScript, the figures are complete.
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

// count reads from the overview's table how many installations are active today.
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

  const tab = await open(operator);
  const { page } = tab;
  await page.getByRole('heading', { name: 'Nothing is sent' }).waitFor();
  await page.getByText('Byte for byte').first().click();
  assert.ok(await page.getByText('"version":"3.2.1"').first().isVisible(), 'the preview is not shown');
  assert.equal(await count(counted.page, overview), 0);
  await tab.follow(page.getByRole('button', { name: 'Turn on telemetry' }));
  await page.getByRole('status').filter({ hasText: 'Telemetry is on.' }).waitFor();
  await tab.follow(page.getByRole('button', { name: 'Send a heartbeat now' }));
  await page.getByRole('status').filter({ hasText: 'accepted the heartbeat' }).waitFor();
  assert.equal(await count(counted.page, overview), 1);
  await counted.page.getByRole('heading', { name: 'Versions', exact: true }).waitFor();
  assert.ok((await counted.page.locator('#by-version tbody').textContent()).includes('3.2.1'));
  await counted.screenshot('walk-counted');

  await tab.follow(page.getByRole('link', { name: 'Forget this installation' }));
  await tab.follow(page.getByRole('button', { name: 'Forget this installation' }));
  await page.getByRole('status').filter({ hasText: 'deleted this installation' }).waitFor();
  assert.equal(await count(counted.page, overview), 0);
  tab.clean();
  counted.clean();
}

// rowsOf returns the texts of a panel's table, row by row.
async function rowsOf(page, panel) {
  const all = [];
  for (const row of await page.locator(`#${panel} tbody tr`).all()) all.push(await row.locator('th, td').allTextContents());
  return all;
}

// The figures of the other pages are the truth, and filters and forms work.
export async function dashboardPanels({ url, token, floor, cohorts, faults, day, open }) {
  const tab = await signedIn(open, url, token, { permissions: ['clipboard-read', 'clipboard-write'] });
  const { page } = tab;

  await page.goto(`${url}a/fleet/versions?days=28`);
  assert.deepEqual((await rowsOf(page, 'floor')).map(([version, kept]) => ({ version, kept: number(kept) })), floor);

  await page.goto(`${url}a/fleet/retention?days=28`);
  const cells = cohorts.flatMap(({ from, size, cells: active }) => active.map((n, age) => [from, size, age, n]));
  assert.deepEqual((await rowsOf(page, 'triangle')).map((row) => [row[0], ...row.slice(1, 4).map(number)]), cells);

  await page.goto(`${url}a/fleet/health?days=28&status=all`);
  const shown = (await rowsOf(page, 'faults')).map(([name, affected, occurrences]) => [name, number(affected), number(occurrences)]);
  assert.deepEqual(shown.sort(), faults.map((f) => [`${f.key.Component}: ${f.key.Reason}`, f.affected, f.occurrences]).sort());

  // A filter stays when a panel's form is sent.
  await tab.follow(page.getByRole('navigation', { name: 'Severity' }).getByRole('link', { name: 'critical', exact: true }));
  const critical = faults.filter((f) => f.key.Severity === 'critical').length;
  assert.ok(critical > 0 && critical < faults.length);
  assert.equal(await page.locator('#faults tbody tr').count(), critical);
  await page.locator('#rates').getByRole('combobox').selectOption({ index: critical - 1 });
  await tab.follow(page.locator('#rates').getByRole('button', { name: 'Show' }));
  assert.equal(new URL(page.url()).searchParams.get('severity'), 'critical');
  assert.equal(await page.locator('#faults tbody tr').count(), critical);

  // Triage.
  const form = page.locator('#triage form').first();
  await form.getByLabel('Note').fill('<b>Known</b>');
  await form.getByLabel('Status').selectOption('ignored');
  await tab.follow(form.getByRole('button'));
  await page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor();
  assert.ok((await page.locator('#faults tbody').textContent()).includes('<b>Known</b>'));

  await page.goto(`${url}a/fleet/features`);
  await page.locator('#trend').getByLabel('Dimension').selectOption('deployment');
  await tab.follow(page.locator('#trend').getByRole('button', { name: 'Show' }));
  await page.getByRole('heading', { name: 'Deployment over time' }).waitFor();
  await page.locator('#pairs').getByLabel('Rows').selectOption('machine');
  await page.locator('#pairs').getByLabel('Columns').selectOption('system');
  await tab.follow(page.locator('#pairs').getByRole('button', { name: 'Show' }));
  await page.getByRole('heading', { name: 'CPU architecture × Operating system' }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get('trend'), 'deployment');

  // A copied link reproduces the view, whatever the usual range is.
  await page.goto(`${url}a/fleet/overview?days=7`);
  const before = await rowsOf(page, 'active');
  await page.locator('#active').getByRole('link', { name: 'Copy link' }).click();
  await page.getByRole('status').filter({ hasText: 'Link copied.' }).waitFor();
  const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
  await page.goto(link.href);
  assert.deepEqual([link.searchParams.get('days'), link.searchParams.get('to'), link.hash], [null, day, '#active']);
  assert.deepEqual(await rowsOf(page, 'active'), before);

  // Hovering and the arrow keys show the values of a place; the JSON holds the same.
  const json = await (await page.request.get(new URL(await page.locator('#active a[href*=".json"]').getAttribute('href'), page.url()).href)).json();
  assert.equal(json.rows.length, 7);
  assert.equal(json.to, day);
  const tip = page.locator('#active .tip');
  assert.ok(!(await tip.isVisible()));
  const box = await page.locator('#active svg.chart').boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  assert.match(await tip.textContent(), /^\d{4}-\d\d-\d\d.*28 days: /);
  await page.mouse.move(0, 0);
  await page.locator('#active .figure').focus();
  await page.keyboard.press('Home');
  assert.ok((await tip.textContent()).startsWith(json.rows[0].day));
  assert.ok((await tip.textContent()).includes(`28 days: ${new Intl.NumberFormat('en-US').format(json.rows[0]['28 days'])}`));
  await page.keyboard.press('ArrowRight');
  assert.ok((await tip.textContent()).startsWith(json.rows[1].day));
  await page.keyboard.press('Escape');
  assert.ok(!(await tip.isVisible()));
  tab.clean();
}

// Forms add and remove alert rules and webhooks, and secrets are never shown.
export async function dashboardSettings({ url, token, open }) {
  const tab = await signedIn(open, url, token);
  const { page } = tab;
  await page.goto(`${url}a/fleet/settings`);
  const rule = page.locator('form').filter({ hasText: 'Reports stop' });
  await rule.getByLabel('For (hours)').fill('36');
  await tab.follow(rule.getByRole('button', { name: 'Add' }));
  await page.getByText('No reports for 36 hours', { exact: true }).waitFor();
  assert.ok(!(await page.locator('form').filter({ hasText: 'Reports stop' }).isVisible()), 'the forms are not collapsed');
  await page.getByLabel('URL').fill('http://127.0.0.1:9/nobody');
  await page.getByLabel('Signing secret').fill('s3cret');
  await tab.follow(page.getByRole('button', { name: 'Add the webhook' }));
  await page.getByText('http://127.0.0.1:9/nobody, signed', { exact: true }).waitFor();
  await tab.accessible('settings with alerts');
  await tab.screenshot('dashboard-alerts');
  assert.ok(!(await page.content()).includes('s3cret'), 'the secret is shown');
  await tab.follow(page.getByRole('button', { name: 'Remove the rule No reports' }));
  await page.getByText('No rules yet.').waitFor();
  await tab.follow(page.getByRole('button', { name: 'Remove http' }));
  await page.getByRole('button', { name: 'Send test' }).waitFor({ state: 'detached' });
  tab.clean();
}

// A public dashboard has five pages, with small groups hidden, and nothing else.
export async function dashboardPublic({ url, token, open }) {
  const maintainer = await signedIn(open, url, token);
  await maintainer.page.goto(`${url}a/fleet/settings`);
  await maintainer.page.getByLabel('Public dashboard').check();
  await maintainer.page.getByLabel('Smallest public group').fill('20');
  await maintainer.follow(maintainer.page.locator('form').filter({ hasText: 'Public dashboard' }).getByRole('button', { name: 'Save' }));
  await maintainer.page.getByRole('status').filter({ hasText: 'Saved.' }).waitFor();
  maintainer.clean();

  const tab = await open(`${url}a/fleet/overview`, { locale: 'de-DE' });
  const { page } = tab;
  assert.deepEqual(await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allTextContents(),
    ['Overview', 'Versions', 'Retention', 'Platforms and features', 'Health']);
  assert.deepEqual(await page.getByRole('navigation', { name: 'Apps' }).getByRole('link').allTextContents(), ['Fleet']);
  assert.ok((await page.locator('main').textContent()).includes('<\u00a020'), 'hidden figures are not marked');
  for (const row of await rowsOf(page, 'active')) {
    for (const cell of row.slice(1, 7)) assert.ok(cell === '<\u00a020' || number(cell) % 20 === 0, cell);
  }
  for (const path of ['versions', 'retention', 'features', 'health']) {
    await page.goto(`${url}a/fleet/${path}`);
    await tab.accessible(`public ${path}`);
    assert.equal(await page.locator('form[method=post]').count(), 0);
  }
  await page.goto(`${url}a/fleet/quality`);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  tab.clean();
}
