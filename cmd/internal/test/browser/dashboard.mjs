// The checks of the dashboard; see drive.mjs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const pages = ['overview', 'versions', 'retention', 'features', 'health', 'quality', 'settings', 'audit'];
const sizes = { narrow: { width: 360, height: 740 }, tablet: { width: 768, height: 1024 }, medium: { width: 1280, height: 900 }, wide: { width: 2560, height: 1440 } };

// signedIn opens a tab and signs in.
async function signedIn(open, url, token, options) {
  const tab = await open(url, options);
  await tab.page.getByLabel('Token').fill(token);
  await tab.follow(tab.page.getByRole('button', { name: 'Sign in' }));
  await tab.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  return tab;
}

// panelMenu opens the menu of a panel.
async function panelMenu(page, panel) {
  await page.locator(`#${panel} .more summary`).click();
  return page.locator(`#${panel} .more .drop`);
}

// rangeMenu opens the menu of the range.
const rangeMenu = (page) => page.locator('.bar .menu summary').click();

// number reads a figure, whatever separates its digits.
const number = (text) => Number(text.replace(/[^0-9]/g, ''));

export async function dashboardEverywhere({ url, token, open }) {
  const tab = await open(url, { reducedMotion: 'reduce' });
  await tab.accessible('signin');
  await tab.screenshot('dashboard-signin');
  await tab.page.getByLabel('Token').fill(token);
  await tab.follow(tab.page.getByRole('button', { name: 'Sign in' }));
  await tab.page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await tab.page.goto(`${url}a/fleet/health`);
  const fault = new URL(await tab.page.locator('#faults .bars a').first().getAttribute('href'), url).search;
  for (const path of [...pages.map((page) => `a/fleet/${page}`), 'a/nobody/overview', 'a/nobody/versions', 'a/fleet/features?trend=system', 'a/fleet/versions?segment=system%3Dlinux',
    'a/fleet/overview?compare=previous&segment=system%3Dlinux', 'a/fleet/version?version=1.2.2', 'a/fleet/version?version=1.2.2&segment=system%3Dlinux', `a/fleet/fault${fault}`]) {
    await tab.page.goto(url + path);
    const name = `dashboard-${path.replace(/[^a-z]+/g, '-')}`;
    assert.equal(await tab.page.locator('.pages [aria-current]').count(), 1, name);
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
  // The table of the first chart is the truth, day by day, the newest first.
  const rows = (await page.locator('#active tbody tr').all()).reverse();
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
  for (const link of await page.locator('.more a[download]').all()) {
    const response = await page.request.get(new URL(await link.getAttribute('href'), page.url()).href);
    assert.equal(response.status(), 200);
  }
  const csv = await (await page.request.get(`${url}a/fleet/overview/active.csv?days=28`)).text();
  assert.equal(csv.trim().split('\n').length, series.length + 1);

  // Switches: ranges, a chosen range, pages, the app.
  for (const days of [7, 28, 90, 400]) {
    await rangeMenu(page);
    await tab.follow(page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: `${days} days` }));
    assert.equal(new URL(page.url()).searchParams.get('days'), String(days));
    assert.equal(await page.locator('nav[aria-label=Range] [aria-current]').textContent(), `Last ${days} days`);
  }
  await rangeMenu(page);
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
  await page.locator('.apps summary').click();
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
  for (const printed of ['#active .chart .end', '.apps summary', '.bar summary']) assert.ok(await tab.page.locator(printed).first().isVisible(), `${printed} is not printed`);
  await tab.screenshot('dashboard-print');
  await tab.page.emulateMedia({ media: 'screen', forcedColors: 'active', reducedMotion: 'reduce' });
  await tab.accessible('dashboard in forced colours');
  await tab.screenshot('dashboard-forced-colors');
  tab.clean();
}

// An app without reports shows how to send the first one, and turns live when it has come.
export async function dashboardFirst({ url, token, open }) {
  const tab = await signedIn(open, url, token, { permissions: ['clipboard-read', 'clipboard-write'] });
  const { page } = tab;
  await page.goto(`${url}a/nobody/overview`);
  const start = page.locator('#start');
  assert.ok((await start.locator('pre:visible').textContent()).includes(`App: "nobody"`), 'the Go program does not come first');
  await start.getByLabel('Go', { exact: true }).focus();
  await page.keyboard.press('ArrowRight');
  assert.ok((await start.locator('pre:visible').textContent()).includes('rollcall agent'), 'the arrow key does not change the tab');
  for (const name of ['Python', 'curl']) {
    await start.getByText(name, { exact: true }).click();
    // The button shows it only for a moment, so the page itself has to watch for it.
    const copied = start.evaluate((box) => new Promise((done) => {
      new MutationObserver(() => {
        if ([...box.querySelectorAll('button')].some((button) => button.textContent === 'Copied')) done();
      }).observe(box, { childList: true, characterData: true, subtree: true });
    }));
    await start.getByRole('button', { name: 'Copy' }).click();
    await copied;
    const code = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(code, await start.locator('pre:visible').textContent());
    if (name === 'Python') assert.equal(execFileSync('python3', ['-c', code]).toString().trim(), '200');
    else execFileSync('bash', ['-c', code], { stdio: 'pipe' });
    await page.locator('#active .figure').waitFor();
    if (name === 'Python') await page.goto(`${url}a/silent/overview`);
  }
  assert.ok(tab.csp.every((policy) => policy.includes("default-src 'none'") && !policy.includes('unsafe')));
  tab.clean();

  // Without JavaScript, the tabs work too.
  const plain = await signedIn(open, url, token, { javaScriptEnabled: false });
  await plain.page.goto(`${url}a/quiet/overview`);
  await plain.page.getByText('curl', { exact: true }).click();
  assert.ok((await plain.page.locator('#start pre:visible').textContent()).includes('curl --json'));
  plain.clean();
}

// A finger reads a chart, opens menus and explanations, and a heat map scrolls.
export async function dashboardPhone({ url, token, open }) {
  const tab = await signedIn(open, url, token, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  const { page } = tab;
  await page.goto(`${url}a/fleet/overview`);
  const head = await page.locator('header.top').boundingBox();
  assert.ok(head.height < 70, `the header is ${head.height} px high`);
  const chart = await page.locator('#active svg.chart').boundingBox();
  assert.ok(chart.y + chart.height <= 740, `the first chart ends at ${chart.y + chart.height} px`);
  await page.touchscreen.tap(chart.x + chart.width / 2, chart.y + chart.height / 2);
  await page.locator('#active .tip').filter({ hasText: /all: \d/ }).waitFor();
  await page.getByRole('heading', { level: 1 }).tap(); // elsewhere
  await page.locator('#active .tip').waitFor({ state: 'hidden' });
  await page.locator('#active .info summary').tap();
  await page.locator('#active .info .drop').waitFor();
  const drop = await page.locator('#active .info .drop').boundingBox();
  assert.ok(drop.x >= 0 && drop.x + drop.width <= 360, 'the explanation is cut off');
  await page.locator('.pages-button').tap();
  await tab.follow(page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Retention' }));
  const scroll = page.locator('#triangle .wide-table');
  const [content, shown] = await scroll.evaluate((box) => [box.scrollWidth, box.clientWidth]);
  assert.ok(content > shown, 'the heat map does not scroll');
  await scroll.evaluate((box) => { box.scrollLeft = 1000; });
  assert.ok((await page.locator('#triangle .heat tbody th').first().boundingBox()).x >= 0, 'the names scroll away');
  await tab.fits('retention');

  // What the page is about takes one row, also when it is compared.
  for (const query of ['', '?compare=previous']) {
    await page.goto(`${url}a/fleet/health${query}`);
    const [segment, compare] = await page.locator('.asking summary').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
    assert.equal(segment, compare, `${query}: segment and comparison are on two rows`);
  }
  // A fault's triage takes two lines.
  const form = page.locator('#triage form').first();
  assert.ok((await form.boundingBox()).height < 110, `the form of a fault is ${(await form.boundingBox()).height} px high`);
  for (const label of ['Status', 'Fixed in', 'Note']) assert.ok(await form.getByLabel(label).isVisible(), label);

  // A finger reads a band instead of following it. The legend has the links.
  await page.goto(`${url}a/fleet/versions`);
  const bands = await page.locator('#share svg.chart').boundingBox();
  await page.touchscreen.tap(bands.x + bands.width / 2, bands.y + bands.height / 2);
  await page.locator('#share .tip').filter({ hasText: /%/ }).waitFor();
  assert.equal(new URL(page.url()).pathname, '/a/fleet/versions');
  await tab.follow(page.locator('#share .legend a').first());
  assert.equal(new URL(page.url()).pathname, '/a/fleet/version');
  tab.clean();
}

// Menus and tables work by keyboard, and many apps have a search.
export async function dashboardMenus({ url, token, open }) {
  const tab = await signedIn(open, url, token);
  const { page } = tab;
  await page.goto(`${url}a/fleet/versions`);
  await page.locator('.apps summary').focus();
  await page.keyboard.press('Enter');
  await page.getByPlaceholder('Find an app').fill('FLEE');
  assert.deepEqual(await page.getByRole('navigation', { name: 'Apps' }).getByRole('link').allTextContents().then((all) => all.length), 1);
  await page.keyboard.press('Escape');
  assert.ok(!(await page.getByPlaceholder('Find an app').isVisible()), 'Escape does not close the menu');
  await page.locator('#share .info summary').focus();
  await page.keyboard.press('Enter');
  assert.ok(await page.locator('#share .info .drop').isVisible());
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  assert.ok(!(await page.locator('#share .info .drop').isVisible()), 'the explanation stays open');

  // A table shows on demand, sorts, and filters.
  await (await panelMenu(page, 'share')).getByRole('link', { name: 'Table' }).click();
  await page.locator('#share-table').waitFor();
  const days = async () => (await rowsOf(page, 'share')).map((row) => row[0]);
  const newest = await days();
  assert.deepEqual(newest, newest.slice().sort().reverse());
  await page.locator('#share-table').getByRole('button', { name: 'day' }).click();
  await page.locator('#share-table').getByRole('button', { name: 'day' }).click();
  assert.deepEqual(await days(), newest.slice().reverse());
  await page.locator('#share-table').getByRole('button', { name: 'active' }).click();
  const active = (await rowsOf(page, 'share')).map((row) => number(row[1]));
  assert.deepEqual(active, active.slice().sort((a, b) => b - a));
  await page.locator('#share-table').getByPlaceholder('Filter').fill(newest[3]);
  assert.equal(await page.locator('#share-table tbody tr:visible').count(), 1);
  await page.locator('#share-table').getByRole('link', { name: 'Hide table' }).click();
  await page.locator('#share-table').waitFor({ state: 'hidden' });

  // Four figures choose what the large chart shows.
  await page.goto(`${url}a/fleet/overview`);
  const titles = [];
  for (const name of ['28-day active', '1-day active', 'New', 'Lost']) {
    await tab.follow(page.locator('.tiles.pick').getByRole('link', { name, exact: true }));
    assert.equal(await page.locator('.tile.chosen .tile-name').textContent(), name);
    titles.push(await page.locator('#active h2').textContent());
  }
  assert.equal(new Set(titles).size, 4);
  await tab.accessible('a chosen figure');
  // A range that is the wrong way round is turned.
  await page.goto(`${url}a/fleet/overview?from=${newest[0]}&to=${newest[9]}`);
  assert.equal(await page.locator('#active .data tbody tr').count(), 10);
  tab.clean();
}

// dashboardQuestions puts ten questions to the pages. Each is answered in at most two clicks.
export async function dashboardQuestions({ url, token, release, oldest, fault, open }) {
  const tab = await signedIn(open, url, token);
  const { page } = tab;
  // Each click is on the first visible link with a text, in a panel.
  for (const [question, from, clicks, panels, text] of [
    ['which version do Windows users of 30 days run', 'overview?days=30', [['by-system', 'windows']], ['by-version'], 'Operating system'],
    ['did the newest release lose more new users than the one before', 'versions', [['releases', release]], ['kept'], 'of its new installations'],
    ['who still runs what I want to drop, and where', 'versions', [['floor', `${oldest} or newer`]], [], 'CPU architecture'],
    ['what broke last week, and for whom', 'health?days=7', [['faults', fault]], ['versions'], 'Operating system'],
    ['is a fault more frequent in the newest release', 'versions', [['releases', release]], ['faults'], 'Faults'],
    ['where did the users of a release come from', 'versions', [['releases', release]], ['from', 'to'], ''],
    ['how are these days beside the ones before', 'overview', [['', 'period before']], ['active'], 'period before'],
    ['which CPU architectures do Linux installations have', 'features', [['split-1', 'linux']], [], 'CPU architecture'],
    ['what became of the installations of one week', 'retention', [['triangle', '100']], ['releases'], 'First seen'],
    ['who said what of a fault', 'health', [['faults', fault]], ['history'], ''],
  ]) {
    await page.goto(`${url}a/fleet/${from}`);
    assert.ok(clicks.length <= 2, question);
    for (const [panel, name] of clicks) {
      const link = page.locator(panel === '' ? 'main a' : `#${panel} a`).filter({ hasText: new RegExp(`^\\s*${name.replace(/[^\w ]/g, '\\$&')}\\s*$`), visible: true });
      if (panel === '') await page.locator('summary', { hasText: 'Compare' }).click(); // opens a menu
      assert.ok(await link.first().isVisible(), `${question}: no link ${name} on ${page.url()}`);
      await tab.follow(link.first());
    }
    for (const panel of panels) assert.ok(await page.locator(`#${panel}`).isVisible(), `${question}: no panel ${panel} on ${page.url()}`);
    const main = await page.locator('main').innerText();
    assert.ok(main.includes(text), `${question}: no ${text} on ${page.url()}`);
  }

  // Dragging over a chart zooms into days of it, as the form does.
  await page.goto(`${url}a/fleet/overview`);
  const chart = await page.locator('#active svg[data-hover]').boundingBox();
  await page.mouse.move(chart.x + chart.width * 0.4, chart.y + chart.height / 2);
  await page.mouse.down();
  await page.mouse.move(chart.x + chart.width * 0.6, chart.y + chart.height / 2, { steps: 5 });
  await Promise.all([page.waitForEvent('load'), page.mouse.up()]);
  const range = new URL(page.url()).searchParams;
  assert.match(range.get('from') ?? '', /^\d{4}-\d\d-\d\d$/);
  assert.ok(range.get('from') < range.get('to'), page.url());

  // A click on a band opens what it is, and dragging across bands zooms. For the keyboard, the legend has the links.
  await page.goto(`${url}a/fleet/versions`);
  const bands = page.locator('#share svg.chart');
  const { x, y, width, height } = await bands.boundingBox();
  await page.mouse.move(x + width * 0.3, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.5, y + height / 2, { steps: 5 });
  await Promise.all([page.waitForEvent('load'), page.mouse.up()]);
  assert.equal(new URL(page.url()).pathname, '/a/fleet/versions');
  assert.ok(new URL(page.url()).searchParams.has('from'), page.url());
  const names = await page.locator('#share .legend a').allTextContents();
  assert.equal(await bands.locator('a').evaluateAll((all) => all.filter((one) => one.tabIndex >= 0).length), 0);
  const hrefs = async (links) => new Set(await links.evaluateAll((all) => all.map((one) => one.getAttribute('href'))));
  assert.deepEqual(await hrefs(bands.locator('a')), await hrefs(page.locator('#share .legend a')));
  await Promise.all([page.waitForEvent('load'), page.mouse.click(x + width * 0.45, y + height * 0.75)]);
  assert.equal(new URL(page.url()).pathname, '/a/fleet/version', page.url());
  assert.ok(names.includes(await page.getByRole('heading', { level: 1 }).textContent()));

  // Nothing lies over the marks, and a column of new installations opens these.
  await page.goto(`${url}a/fleet/overview?show=new`);
  const column = page.locator('#active svg.chart a').first();
  await tab.follow(column);
  assert.match(new URL(page.url()).searchParams.get('segment'), /^first_seen=/);
  await page.goto(`${url}a/fleet/versions`);
  const marks = await page.locator('#share .event line').evaluateAll((all) => all.map((line) => {
    const box = line.getBoundingClientRect();
    return document.elementsFromPoint(box.x, box.y + box.height / 2).some((shape) => shape.classList.contains('band')) &&
      Boolean(line.compareDocumentPosition([...document.querySelectorAll('#share .band')].at(-1)) & Node.DOCUMENT_POSITION_PRECEDING);
  }));
  assert.ok(marks.length > 0 && marks.every(Boolean), 'bands lie over the marks');
  tab.clean();
}

// dashboardPaint reports the median time to the first paint of the overview. It loads the overview and the page that it is
// compared with in turn, so that both meet the same load.
export async function dashboardPaint({ url, token, open }) {
  const tab = await signedIn(open, url, token);
  const addresses = [`${url}signin`, `${url}a/fleet/overview`];
  const times = [[], []];
  for (let i = 0; i < 2 * 9; i++) {
    await tab.page.goto(addresses[i % 2]);
    times[i % 2].push(await tab.page.evaluate(() => new Promise((done) => {
      const seen = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
      const wait = () => (seen() ? done(seen()) : requestAnimationFrame(wait));
      wait();
    })));
  }
  const [bare, overview] = times.map((all) => all.sort((a, b) => a - b)[4]);
  console.log(`first paint: ${overview.toFixed(0)} ms, of the sign-in page ${bare.toFixed(0)} ms`);
  assert.ok(overview < 300 || overview < 8 * bare, `the overview takes ${overview} ms, the sign-in page ${bare} ms`);
  tab.clean();
}

// count reads from the overview's table how many installations are active today.
async function count(page, overview) {
  await page.goto(overview);
  const rows = page.locator('#active tbody tr');
  if ((await rows.count()) === 0) return 0;
  return number(await rows.first().locator('td').nth(2).textContent());
}

export async function walk({ operator, dashboard, open }) {
  const counted = await open(dashboard);
  const overview = new URL('/a/walk/overview', dashboard).href;
  assert.equal(await count(counted.page, overview), 0);

  const tab = await open(operator);
  const { page } = tab;
  await tab.follow(page.getByRole('button', { name: 'Sign in as the operator' }));
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

// choose chooses an option, which counts at once.
async function choose(tab, select, option) {
  await Promise.all([tab.page.waitForEvent('load'), select.selectOption(option)]);
}

// rowsOf returns the texts of a panel's table, row by row.
async function rowsOf(page, panel) {
  const all = [];
  for (const row of await page.locator(`#${panel} .data tbody tr`).all()) all.push(await row.locator('th, td').allTextContents());
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
  await page.locator('.filters summary').filter({ hasText: 'Severity' }).click();
  await tab.follow(page.getByRole('navigation', { name: 'Severity' }).getByRole('link', { name: 'critical', exact: true }));
  const critical = faults.filter((f) => f.key.Severity === 'critical').length;
  assert.ok(critical > 0 && critical < faults.length);
  assert.equal(await page.locator('#faults tbody tr').count(), critical);
  await choose(tab, page.locator('#rates').getByRole('combobox'), { index: critical - 1 });
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
  await choose(tab, page.locator('#trend').getByLabel('Dimension'), 'deployment');
  await page.getByRole('heading', { name: 'Deployment over time' }).waitFor();
  await choose(tab, page.locator('#pairs').getByLabel('Rows'), 'machine');
  await choose(tab, page.locator('#pairs').getByLabel('Columns'), 'system');
  await page.getByRole('heading', { name: 'CPU architecture × Operating system' }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get('trend'), 'deployment');

  // A copied link reproduces the view, whatever the usual range is.
  await page.goto(`${url}a/fleet/overview?days=7`);
  const before = await rowsOf(page, 'active');
  await (await panelMenu(page, 'active')).getByRole('link', { name: 'Copy link' }).click();
  await page.getByRole('status').filter({ hasText: 'Link copied.' }).waitFor();
  const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
  await page.goto(link.href);
  assert.deepEqual([link.searchParams.get('days'), link.searchParams.get('to'), link.hash], [null, day, '#active']);
  assert.deepEqual(await rowsOf(page, 'active'), before);

  // Hovering and the arrow keys show the values of a place; the JSON holds the same.
  const json = await (await page.request.get(new URL(await page.locator('#active a[href*=".json"]').getAttribute('href'), page.url()).href)).json();
  assert.equal(json.rows.length, 8); // with today, which is in progress
  assert.equal(json.to, day);
  const tip = page.locator('#active .tip');
  assert.ok(!(await tip.isVisible()));
  const box = await page.locator('#active svg.chart').boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await tip.filter({ hasText: /^\d{4}-\d\d-\d\d.*all: / }).waitFor();
  await page.mouse.move(0, 0);
  await page.locator('#active .figure').focus();
  await page.keyboard.press('Home');
  assert.ok((await tip.textContent()).startsWith(json.rows[0].day));
  assert.ok((await tip.textContent()).includes(`all: ${new Intl.NumberFormat('en-US').format(json.rows[0]['28 days'])}`));
  await page.keyboard.press('ArrowRight');
  assert.ok((await tip.textContent()).startsWith(json.rows[1].day));
  await page.keyboard.press('Escape');
  assert.ok(!(await tip.isVisible()));
  tab.clean();
}

// Forms add and remove releases, alert rules, and webhooks, and secrets are never shown.
export async function dashboardSettings({ url, token, open }) {
  const tab = await signedIn(open, url, token);
  const { page } = tab;
  await page.goto(`${url}a/fleet/settings`);
  const release = page.locator('form').filter({ hasText: 'Severity' });
  await release.getByLabel('Version').fill('2.1.0');
  await release.getByLabel('Link').fill('https://example.com/releases/2.1.0/with/an/address/that/is/longer/than/a/narrow/page');
  await release.getByLabel('Severity').selectOption('security');
  await tab.follow(release.getByRole('button', { name: 'Publish' }));
  await page.getByText('2.1.0 (current)', { exact: true }).waitFor();
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
  await tab.follow(page.getByRole('button', { name: 'Remove 2.1.0 from stable' }));
  await page.getByText('No releases yet.').waitFor();

  // A note stands on the time axes, and the weekly report has a day.
  await page.getByLabel('Send what changed').selectOption('friday');
  await tab.follow(page.getByRole('button', { name: 'Save the day of the weekly report' }));
  assert.equal(await page.getByLabel('Send what changed').inputValue(), 'friday');
  const note = page.locator('form').filter({ hasText: 'Add the note' });
  const day = new Date(Date.now() - 9 * 24 * 3600 * 1000).toISOString().slice(0, 10);
  await note.getByLabel('Day').fill(day);
  await note.getByLabel('Text').fill('A talk <b>with</b> a long name '.repeat(6).trim());
  await tab.follow(note.getByRole('button', { name: 'Add the note' }));
  await tab.accessible('settings with a note');
  await page.goto(`${url}a/fleet/overview`);
  assert.ok((await page.locator('.changed li').count()) > 0, 'nothing is said of the week');
  await page.locator('#events summary').click();
  await page.locator('#events li').filter({ hasText: 'A talk <b>with</b>' }).waitFor();
  assert.equal(await page.locator('#active .event.note').count(), 1);
  await tab.accessible('overview with marks');
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
    ['Overview', 'Versions', 'Platforms', 'Health']);
  assert.equal(await page.locator('header .app').textContent(), 'Fleet'); // the only one that is public
  assert.equal(await page.getByRole('navigation', { name: 'Apps' }).count(), 0);
  assert.ok((await page.locator('main').textContent()).includes('Public figures cover 28 days at a time'), 'the page does not say what is public');
  for (const row of await rowsOf(page, 'active')) {
    for (const cell of row.slice(1, 2)) assert.ok(cell === '<\u00a020' || number(cell) % 20 === 0, cell);
  }
  for (const path of ['versions', 'features', 'health']) {
    await page.goto(`${url}a/fleet/${path}`);
    await tab.accessible(`public ${path}`);
    assert.equal(await page.locator('form[method=post]').count(), 0);
  }
  for (const path of ['retention', 'quality']) {
    await page.goto(`${url}a/fleet/${path}`);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  }
  tab.clean();
}
