// The page in a real browser: served once, then without a network.

import assert from 'node:assert/strict';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { Browser, cnnkit, written } from './browser.mjs';

const FOLDER = process.env.CNNKIT_PAGE ?? 'web/dist';
const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css', wasm: 'application/wasm' };
const KIND = /\.(\w+)$/;
/** @type {Browser} */
let browser;
let server;
let address;
before(async () => {
  browser = await Browser.start();
  server = createServer((request, response) => {
    const path = join(FOLDER, normalize(new URL(request.url, 'http://x').pathname).replace(/\/$/, '/index.html'));
    if (!existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[path.match(KIND)?.[1]] ?? 'application/octet-stream' });
    createReadStream(path).pipe(response);
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  address = `http://127.0.0.1:${server.address().port}/`;
});
after(async () => { await browser.close(); server.close(); });

/** Opens the page; what it asks for after it is ready is a fault. */
async function open(fragment = '', options = {}) {
  const context = await browser.chromium.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  // A machine that compiles beside the tests is slow.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  page.faults = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !message.text().includes('willReadFrequently')) page.faults.push(message.text()); });
  page.on('pageerror', (error) => page.faults.push(String(error.stack)));
  page.on('dialog', (dialog) => { page.faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(address + fragment);
  await page.waitForSelector('#page[data-ready]', { timeout: 120_000 });
  page.on('request', (request) => { if (!/^(data|blob):/.test(request.url())) page.faults.push(`request: ${request.url()}`); });
  await context.setOffline(true);
  return page;
}

/** Replaces the text as a user does. */
async function type(page, text) {
  await page.locator('.sheet textarea').fill(text);
}

/** Waits for a report about the text that is in the editor. */
async function reported(page) {
  await page.waitForFunction(() => !document.querySelector('.report.stale') && document.querySelector('.report main') && /finding/.test(document.querySelector('.status').textContent), null, { timeout: 120_000 });
}

/** Waits until a figure of the head has a value. */
async function figure(page, name, value) {
  await page.waitForFunction(([name, value]) => [...document.querySelectorAll('.report .figures div')].some((box) => box.querySelector('dt').textContent === name && box.textContent.includes(value)), [name, value], { timeout: 120_000 });
}

const NET = (width) => `input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: ${width}, kernel: 3}\n  - relu\n`;

test('the page shows its first network and asks for nothing more', async () => {
  const page = await open();
  await reported(page);
  await page.waitForTimeout(300);
  assert.equal(await page.locator('.report h1').innerText(), 'head');
  // The right to make requests is given up, not only unused.
  await page.context().setOffline(false);
  assert.match(await page.evaluate(() => fetch('index.html').then(() => 'fetched', String)), /TypeError/);
  assert.ok(page.faults.every((fault) => /Content Security Policy|Refused to connect|violates/.test(fault)), String(page.faults));
  await page.context().close();
});

test('typing changes the figures, and what was opened stays', async () => {
  const page = await open();
  await type(page, NET(16));
  await figure(page, 'Parameters', '448');
  await page.evaluate(() => document.querySelector('.report').model.choose(1, 'link'));
  await type(page, NET(32));
  await figure(page, 'Parameters', '896');
  assert.equal(await page.evaluate(() => document.querySelector('.report').model.chosen), 1);
  const native = JSON.parse(cnnkit('params', written('typed.yaml', NET(32)), '--format', 'json'));
  assert.equal(await page.evaluate(() => document.querySelector('.report').model.network.params.totals.macs), native.totals.macs);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('an error shows at its place, and the last figures stay', async () => {
  const page = await open();
  await type(page, NET(16));
  await figure(page, 'Parameters', '448');
  await type(page, NET(16).replace('relu', 'rellu'));
  await page.waitForSelector('.flaw.error');
  assert.equal(await page.locator('.flaw.error').innerText(), 'rellu');
  assert.match(await page.locator('.lens').innerText(), /unknown layer or block/);
  assert.equal(await page.locator('.line-numbers .error').innerText(), '4');
  assert.match(await page.locator('.problems').innerText(), /4:5[\s\S]*did you mean `relu`/);
  assert.equal(await page.locator('.report.stale').count(), 1);
  await page.locator('.problems .jump').click();
  assert.equal(await page.evaluate(() => { const area = document.querySelector('.sheet textarea'); return area.value.slice(area.selectionStart, area.selectionEnd); }), 'rellu');
  await page.keyboard.type('relu6');
  await reported(page);
  // The copy that is seen has the letters of the text that is edited.
  assert.equal(await page.evaluate(() => [...document.querySelectorAll('.row')].map((row) => row.textContent.replace('\u200b', '')).join('\n')), await page.locator('.sheet textarea').inputValue());
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a warning has a fix, and an expectation its place', async () => {
  const page = await open();
  await type(page, 'input: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n  - batch_norm\nexpect:\n  params: 7\n');
  await page.waitForSelector('.flaw.warning');
  assert.match(await page.locator('.problems').innerText(), /expected[\s\S]*7[\s\S]*found/);
  assert.equal(await page.locator('.flaw.error').innerText(), '7');
  await page.locator('.problems button.link').first().click();
  await page.waitForFunction(() => document.querySelector('.sheet textarea').value.includes('bias: false'));
  await page.waitForFunction(() => !document.querySelector('.flaw.warning'));
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('completion offers layers, arguments and values', async () => {
  const page = await open();
  const area = page.locator('.sheet textarea');
  await type(page, 'input: [3, 32, 32]\nlayers:\n');
  await area.press('End');
  await area.press('Control+End');
  await page.keyboard.type('  - max_p');
  await page.waitForSelector('.completions li');
  assert.match(await page.locator('.completions li').first().innerText(), /max_pool/);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('.sheet textarea').value.endsWith('- max_pool: {}'));
  await page.waitForSelector('.completions:not([hidden])');
  await page.keyboard.type('kern');
  await page.keyboard.press('Tab');
  await page.keyboard.type('2');
  assert.match(await area.inputValue(), /- max_pool: \{kernel: 2\}$/);
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.keyboard.type('upsample: {scale_factor: 2, mode: bil');
  await page.waitForSelector('.completions li');
  await page.keyboard.press('Enter');
  await page.keyboard.type('}');
  assert.match(await area.inputValue(), /\n {2}- upsample: \{scale_factor: 2, mode: bilinear\}$/);
  await reported(page);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a link restores the text, and a wrong link does no harm', async () => {
  const page = await open();
  const text = `# \u00fcml\u00e4ut \ud83d\ude42\n${NET(24)}`;
  await type(page, text);
  await reported(page);
  await page.getByRole('button', { name: 'Share' }).click();
  await page.waitForFunction(() => location.hash.startsWith('#spec='));
  const { hash } = new URL(page.url());
  assert.ok(hash.length < 300, hash);
  const other = await open(hash);
  await other.waitForFunction((wanted) => document.querySelector('.sheet textarea').value === wanted, text);
  await figure(other, 'Parameters', '672');
  assert.deepEqual(other.faults, []);
  await other.context().close();
  // A fragment that unfolds to very much more than it says, one that is no link, one of another built-in spec.
  const bomb = await page.evaluate(async () => {
    const bytes = new Uint8Array(await new Response(new Blob([`{"name":"x","text":"${'a'.repeat(30_000_000)}"}`]).stream().pipeThrough(new CompressionStream('deflate-raw'))).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  });
  for (const wrong of [`#spec=${bomb}`, '#spec=%%%', '#spec=', `#spec=${'A'.repeat(100_000)}`, '#zoo:nothing', '#zoo:%E0%A4%A']) {
    const broken = await open(wrong);
    await reported(broken);
    assert.match(await broken.locator('.toast').innerText(), /cannot be read/, wrong.slice(0, 20));
    assert.equal(await broken.locator('.report h1').innerText(), 'head', wrong.slice(0, 20));
    assert.deepEqual(broken.faults, []);
    await broken.context().close();
  }
  const zoo = await open('#zoo:resnet18');
  await figure(zoo, 'Parameters', '11,689,512');
  await zoo.context().close();
  await page.context().close();
});

test('a dropped model shows its figures and becomes a spec', async () => {
  const page = await open();
  await reported(page);
  for (const [path, choose] of [['tests/data/onnx/tiny_unet.legacy.onnx', false], ['tests/data/pt2/small-2.15.pt2', true]]) {
    const name = path.split('/').pop();
    if (choose) await page.locator('input[type=file]').setInputFiles(path);
    else {
      const bytes = readFileSync(path).toString('base64');
      await page.evaluate(([name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
        for (const kind of ['dragenter', 'dragover', 'drop']) window.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
      }, [name, bytes]);
    }
    await page.waitForFunction((name) => document.querySelector('.report .path code')?.textContent === name, name, { timeout: 120_000 });
    const native = JSON.parse(cnnkit('params', path, '--format', 'json'));
    assert.deepEqual(await page.evaluate(() => { const { params, macs } = document.querySelector('.report').model.network.params.totals; return { params, macs }; }), { params: native.totals.params, macs: native.totals.macs });
    assert.match(await page.locator('.model-card').innerText(), /stays on your machine/);
  }
  await page.getByRole('button', { name: 'Write it as a spec' }).click();
  await page.waitForFunction(() => document.querySelector('.sheet textarea').value.includes('layers:') && document.querySelector('.file').textContent === 'small-2.15.yaml');
  await reported(page);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('rates show their map and both verdicts', async () => {
  const page = await open('#rates=2,2,2');
  const map = page.locator('.coverage');
  await page.waitForFunction(() => /49 of 169/.test(document.querySelector('.coverage').getAttribute('aria-label') ?? ''));
  assert.match(await page.locator('.verdicts').innerText(), /fails[\s\S]*49 of 169 positions read/);
  const box = await map.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  assert.match(await page.locator('.at').innerText(), /\(6, 6\): read in 49 ways/);
  await page.mouse.move(box.x + (1.5 * box.width) / 13, box.y + (1.5 * box.height) / 13);
  assert.match(await page.locator('.at').innerText(), /\(1, 1\): never read/);
  // The pixels: 49 cells are shaded, 120 are not.
  const shaded = await page.evaluate(() => {
    const canvas = document.querySelector('.coverage');
    const context = canvas.getContext('2d');
    const cell = canvas.width / 13;
    const sunk = getComputedStyle(document.documentElement).getPropertyValue('--sunk').trim();
    const wanted = [1, 3, 5].map((i) => parseInt(sunk.slice(i, i + 2), 16));
    let count = 0;
    for (let y = 0; y < 13; y += 1) for (let x = 0; x < 13; x += 1) {
      const [r, g, b] = context.getImageData(Math.round((x + 0.2) * cell), Math.round((y + 0.2) * cell), 1, 1).data;
      if (r !== wanted[0] || g !== wanted[1] || b !== wanted[2]) count += 1;
    }
    return count;
  });
  assert.equal(shaded, 49);
  const field = page.locator('.rates-form .rates');
  await field.fill('2,2,3');
  await page.waitForFunction(() => /they differ/.test(document.querySelector('.verdicts').textContent));
  const native = JSON.parse(cnnkit('hdc-check', '2,2,3', '--format', 'json', '--exit-zero'));
  assert.ok((await page.locator('.difference').innerText()).includes(native.difference));
  await page.locator('.better button').first().click();
  await page.waitForFunction(() => /they agree/.test(document.querySelector('.verdicts').textContent));
  await field.fill('2,x,2');
  await page.waitForSelector('.rate-flaw mark');
  assert.equal(await page.locator('.rate-flaw mark').innerText(), 'x');
  await field.fill('1x2,2x1');
  await page.waitForFunction(() => /does not apply/.test(document.querySelector('.verdicts').textContent));
  await field.fill('1,2,5');
  await page.waitForFunction(() => /289 of 289/.test(document.querySelector('.coverage').getAttribute('aria-label') ?? ''));
  await page.locator('.layers-shown input').fill('2');
  await page.waitForFunction(() => /49 of 49/.test(document.querySelector('.coverage').getAttribute('aria-label') ?? ''));
  await page.getByRole('button', { name: 'Open as a network' }).click();
  await reported(page);
  assert.equal(await page.locator('.report h1').innerText(), 'dilated');
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('the tour has every technique, with the figures of the program', async () => {
  const page = await open('#techniques');
  const rows = page.locator('.technique tr[data-spec]');
  assert.equal(await page.locator('.technique').count(), 10);
  for (const row of await rows.all()) await row.scrollIntoViewIfNeeded();
  await page.waitForFunction(() => [...document.querySelectorAll('.technique td.n')].every((cell) => cell.textContent !== '\u2026'), null, { timeout: 120_000 });
  for (const row of await rows.all()) {
    const { params } = JSON.parse(cnnkit('params', `zoo:${await row.getAttribute('data-spec')}`, '--format', 'json')).totals;
    assert.equal(await row.locator('td.n').first().innerText(), params.toLocaleString('en-US'));
  }
  await page.locator('.technique button.link', { hasText: 'bottleneck' }).last().click();
  await page.waitForFunction(() => document.querySelector('.report h1')?.textContent === 'bottleneck');
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('a heavy run never freezes the page, and can be stopped', async () => {
  const page = await open();
  await reported(page);
  // Thousands of layers: seconds of work.
  const heavy = 'input: [64, 512, 512]\nlayers:\n  - repeat:\n      times: 900\n      body:\n        - residual:\n            body:\n              - conv: {out_channels: 64, kernel: 3, padding: 1}\n              - batch_norm\n              - relu\n';
  await type(page, heavy);
  const frames = await page.evaluate(() => new Promise((done) => {
    let [count, last, longest] = [0, performance.now(), 0];
    const until = last + 700;
    const frame = (now) => {
      longest = Math.max(longest, now - last);
      last = now;
      count += 1;
      if (now < until) requestAnimationFrame(frame);
      else done({ count, longest });
    };
    requestAnimationFrame(frame);
  }));
  assert.ok(frames.count > 5, JSON.stringify(frames));
  await Promise.race([page.waitForSelector('button.stop:visible', { timeout: 120_000 }), reported(page)]);
  if (await page.locator('button.stop').isVisible()) {
    await page.locator('button.stop').click();
    await page.waitForFunction(() => document.querySelector('.status').textContent === 'Stopped');
  }
  await type(page, NET(16));
  await figure(page, 'Parameters', '448');
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

const HOSTILE = '</script><img src=x onerror="globalThis.ran=1"><svg onload="globalThis.ran=1">\u202e';

test('hostile names and texts do not run', async () => {
  const page = await open();
  const name = JSON.stringify(HOSTILE);
  for (const text of [
    `description: ${name}\nname: ${name}\ninput: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n`,
    `input: [3, 8, 8]\nlayers:\n  - ${name}: {${name}: 1}\n`,
    `include: [${name}]\ninput: [3, 8, 8]\nlayers: [relu]\n`,
    HOSTILE,
  ]) {
    await type(page, text);
    await page.waitForTimeout(500);
    await page.keyboard.press('Control+Space');
  }
  await page.locator('input[type=file]').setInputFiles({ name: '<img src=x onerror=globalThis.ran=1>.onnx', mimeType: 'x/y', buffer: Buffer.from(HOSTILE) });
  await page.waitForFunction(() => /error/.test(document.querySelector('.status').textContent));
  await page.evaluate((text) => { location.hash = `#rates=${encodeURIComponent(text)}&kernel=${encodeURIComponent(text)}`; }, HOSTILE);
  await page.waitForSelector('.rate-flaw');
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.equal(await page.locator('body img').count(), 0);
  assert.equal(await page.locator('body svg[onload]').count(), 0);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('axe finds no serious fault in any view', async () => {
  const axe = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
  for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { viewport: { width: 360, height: 800 } }]) {
    const page = await open('', { bypassCSP: true, ...options });
    await reported(page);
    await page.evaluate(axe);
    const look = async (what) => {
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const serious = violations.filter((fault) => ['serious', 'critical'].includes(fault.impact)).map((fault) => `${what}: ${fault.id}: ${fault.help} ${fault.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
      assert.deepEqual(serious, []);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${what}: the page is ${wide} pixels too wide`);
    };
    await look('network');
    await type(page, 'input: [3, 8, 8]\nlayers: [rellu]\n');
    await page.waitForSelector('.flaw.error');
    await look('an error');
    await page.getByRole('button', { name: 'Dilation' }).click();
    await page.waitForSelector('.verdict');
    await look('rates');
    await page.getByRole('button', { name: 'Techniques' }).click();
    await look('techniques');
    await page.context().close();
  }
});
