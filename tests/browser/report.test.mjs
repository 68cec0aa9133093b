// The page of `cnnkit report` in a real browser, without a network.

import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Browser, cnnkit, report, written } from './browser.mjs';

/** @type {Browser} */
let browser;
before(async () => { browser = await Browser.start(); });
after(async () => { await browser.close(); });

const ZOO = JSON.parse(cnnkit('zoo', '--format', 'json')).specs.filter((spec) => spec.folder === 'zoo').map((spec) => spec.name);
const networks = process.env.CNNKIT_ZOO ? process.env.CNNKIT_ZOO.split(',') : ZOO;

/** Chooses a layer, as a click does. */
async function choose(page, id) {
  await page.evaluate((name) => {
    const { model } = document.getElementById('app');
    model.choose(model.index.get(name), 'link');
  }, id);
  await settled(page);
}

/** Waits until the next frames are drawn. */
async function settled(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Types the indices of a unit. */
async function unit(page, indices) {
  const fields = page.locator('#field .numbers input');
  for (const [axis, index] of indices.entries()) await fields.nth(axis).fill(String(index));
  await settled(page);
}

/** What the microscope says. */
async function result(page) {
  const output = page.locator('#field-result');
  await page.waitForSelector('#field-result[data-holes]');
  const get = (name) => output.getAttribute(`data-${name}`);
  return { node: await get('node'), unit: await get('unit'), positions: Number(await get('positions')), holes: Number(await get('holes')), rows: JSON.parse((await get('rows')) ?? 'null'), text: await output.innerText() };
}

/** The positions that the picture highlights: pixels of the colour `--read`, which no other part has. */
async function highlighted(page) {
  return page.evaluate(() => {
    const canvas = document.querySelector('#field canvas.mask');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const rows = new Set();
    const columns = new Set();
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      // The veil is dark, a hole is red: only what is read is blue and light.
      if (data[i + 2] > 150 && data[i + 3] < 120) {
        count += 1;
        rows.add(Math.floor(i / 4 / canvas.width));
        columns.add((i / 4) % canvas.width);
      }
    }
    const runs = (set) => {
      const out = [];
      for (const x of [...set].sort((a, b) => a - b)) {
        if (out.length && out[out.length - 1][1] === x - 1) out[out.length - 1][1] = x;
        else out.push([x, x]);
      }
      return out;
    };
    return { count, rows: runs(rows), columns: runs(columns), width: canvas.width, height: canvas.height };
  });
}

assert.ok(networks.length > 0, 'the zoo has networks');
for (const name of networks) {
  test(`${name}: no error, and unit (3, 3) highlights exactly its set`, async () => {
    const { file } = report(name, `zoo:${name}`);
    assert.ok(statSync(file).size < 2 << 20, `${name} has ${statSync(file).size} bytes`);
    const page = await browser.open(file);
    const layers = await page.evaluate(() => [...document.querySelectorAll('#field select[aria-label=Layer] option')].map((option) => option.textContent));
    const first = await result(page);
    // The last map, and one in the middle of the network.
    for (const node of new Set([first.node, layers[layers.length - 1], layers[Math.floor(layers.length / 2)]])) {
      await choose(page, node);
      const shape = await page.evaluate((id) => { const { model } = document.getElementById('app'); return model.nodes[model.index.get(id)].shape.slice(1); }, node);
      const at = shape.map((size) => Math.min(3, size - 1));
      await unit(page, at);
      const expected = JSON.parse(cnnkit('rf', `zoo:${name}`, '--node', node, '--unit', at.join(','), '--exact', '--format', 'json')).unit[0];
      const shown = await result(page);
      assert.equal(shown.node, node);
      assert.equal(shown.unit, at.join(','));
      assert.equal(shown.positions, expected.positions, `${name} ${node}`);
      assert.deepEqual(shown.rows, expected.rows, `${name} ${node}`);
      const seen = await highlighted(page);
      if (shape.length === 2 && seen.width <= 1024) {
        assert.equal(seen.count, expected.positions, `${name} ${node}: pixels`);
        assert.deepEqual(expected.positions ? [seen.rows, seen.columns] : [[], []], expected.rows, `${name} ${node}: pixels`);
      }
    }
    assert.deepEqual(page.faults, []);
    await page.context().close();
  });
}

test('hovering a unit shows it, and hovering a position shows its readers', async () => {
  const page = await browser.open(report('hover', 'zoo:resnet18').file);
  await choose(page, 'stage2.basic_block1.conv2');
  const before = await result(page);
  const grid = page.locator('#field canvas.grid');
  await grid.scrollIntoViewIfNeeded();
  const box = await grid.boundingBox();
  // The middle of unit (3, 3) of 28 x 28.
  await page.mouse.move(box.x + (3.5 / 28) * box.width, box.y + (3.5 / 28) * box.height);
  await settled(page);
  const shown = await result(page);
  assert.notEqual(before.unit, shown.unit);
  assert.equal(shown.unit, '3,3');
  // Every unit that reads a position has it in its set, and no other unit has.
  await page.evaluate(() => document.querySelector('#field .stack').focus());
  await page.keyboard.press('ArrowRight');
  await settled(page);
  const output = page.locator('#field-result');
  const at = (await output.getAttribute('data-position')).split(',').map(Number);
  const readers = Number(await output.getAttribute('data-readers'));
  const axis = (x) => { let n = 0; for (let u = 0; u < 28; u += 1) { const rows = unitRows(page.node ?? 'stage2.basic_block1.conv2', u); n += rows.some(([lo, hi]) => lo <= x && x <= hi) ? 1 : 0; } return n; };
  assert.equal(readers, axis(at[0]) * axis(at[1]));
  assert.deepEqual(page.faults, []);
  await page.context().close();

  /** The rows that unit (u, u) reads; the field of ResNet is a product of equal axes. */
  function unitRows(node, u) {
    return JSON.parse(cnnkit('rf', 'zoo:resnet18', '--node', node, '--unit', `${u},${u}`, '--exact', '--format', 'json')).unit[0].rows[0];
  }
});

test('the holes of Inception v3 are counted', async () => {
  const page = await browser.open(report('inception_v3', 'zoo:inception_v3').file);
  const known = JSON.parse(cnnkit('rf', 'zoo:inception_v3', '--exact', '--format', 'json')).outputs.concat(JSON.parse(cnnkit('rf', 'zoo:inception_v3', '--exact', '--format', 'json')).layers).find((layer) => layer.holes > 0);
  await choose(page, known.id);
  const shape = await page.evaluate((id) => { const { model } = document.getElementById('app'); return model.nodes[model.index.get(id)].shape.slice(1); }, known.id);
  await unit(page, shape.map((size) => Math.floor(size / 2)));
  const shown = await result(page);
  assert.equal(shown.holes, known.holes);
  assert.equal(shown.holes, 12288);
  assert.match(shown.text, /12,288 holes/);
  await page.context().close();
});

test('ways agree with the multiplicities of a dilated stack', async () => {
  const spec = written('stack.yaml', 'input: [1, 31, 31]\nlayers:\n  - conv: {out_channels: 1, kernel: 3, dilation: 2, padding: 2}\n  - conv: {out_channels: 1, kernel: 3, dilation: 2, padding: 2}\n  - conv: {out_channels: 1, kernel: 3, dilation: 2, padding: 2}\n');
  const page = await browser.open(report('ways', spec).file);
  await page.locator('#field button', { hasText: 'Ways, log' }).click();
  await settled(page);
  // 1 3 6 7 6 3 1 along each axis, so 27^2 ways in all and 7^2 at the middle.
  const text = await page.locator('#field-result').innerText();
  assert.match(text, /49 of 729 ways/);
  await page.context().close();
});

test('blocks fold and open, and a search finds what is folded', async () => {
  const page = await browser.open(report('fold', 'zoo:resnet50').file);
  const count = () => page.locator('#graph g.box').count();
  await page.getByRole('button', { name: 'Fold all' }).click();
  const folded = await count();
  await page.locator('#graph g.box[aria-label$=", block stage1"]').first().click();
  const opened = await count();
  assert.ok(opened > folded, `${opened} > ${folded}`);
  // An open block folds where its title is.
  await page.locator('#graph g.box[aria-label$=", block stage1"]').first().click({ position: { x: 14, y: 10 } });
  assert.equal(await count(), folded);
  await page.getByLabel('Find a layer by its name or kind').fill('max_pool');
  assert.match(await page.locator('#graph .found').innerText(), /1 found/);
  await page.getByLabel('Find a layer by its name or kind').press('Enter');
  assert.match(await page.locator('#layer h3').innerText(), /max_pool/);
  assert.equal(await page.locator('#graph g.box.chosen').count(), 1);
  await page.getByRole('button', { name: 'Open all' }).click();
  const nodes = await page.evaluate(() => document.getElementById('app').model.nodes.length);
  assert.ok((await count()) >= nodes);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test('the keyboard walks through the graph, chooses, and moves units', async () => {
  const page = await browser.open(report('keys', 'zoo:resnet18').file);
  await page.evaluate(() => document.querySelector('#graph g.box[tabindex="0"]').focus());
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  const first = await focused();
  await page.keyboard.press('ArrowDown');
  const second = await focused();
  assert.notEqual(first, second);
  await page.keyboard.press('ArrowUp');
  assert.equal(await focused(), first);
  await page.keyboard.press('Enter');
  assert.match(await page.locator('#layer h3').innerText(), /input/);
  // The first key of the page jumps over the bar.
  await page.reload();
  await page.waitForSelector('main');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the figures');
  await page.evaluate(() => document.querySelector('#field canvas.grid').focus());
  const before = await result(page);
  await page.keyboard.press('ArrowRight');
  await settled(page);
  const moved = await result(page);
  assert.equal(Number(moved.unit.split(',')[1]), Number(before.unit.split(',')[1]) + 1);
  await page.context().close();
});

test('a layer that one part chooses is shown by all', async () => {
  const page = await browser.open(report('shared', 'zoo:resnet18').file);
  await page.locator('#layers tbody button', { hasText: 'stage3.basic_block2.conv1' }).first().click();
  await settled(page);
  assert.match(await page.locator('#layer h3').innerText(), /^stage3\.basic_block2\.conv1$/);
  assert.equal(await page.locator('#layers tr.chosen').count(), 1);
  assert.equal((await result(page)).node, 'stage3.basic_block2.conv1');
  assert.equal(await page.locator('#cost .tile.chosen').count(), 1);
  assert.match(await page.locator('#memory .headline').innerText(), /stage3\.basic_block2\.conv1/);
  await page.context().close();
});

test('the table sorts, filters and saves what `params` prints', async () => {
  const page = await browser.open(report('table', 'zoo:resnet18').file);
  await page.locator('#layers thead').getByRole('button', { name: 'MACs', exact: true }).click();
  const order = await page.locator('#layers tbody tr').evaluateAll((rows) => rows.map((row) => Number(row.children[5].textContent.replace(/\D/g, '') || 0)));
  assert.deepEqual(order, [...order].sort((a, b) => b - a));
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save CSV' }).click()]);
  const lines = readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => line.split(','));
  const column = (key) => lines[0].indexOf(key);
  const known = JSON.parse(cnnkit('params', 'zoo:resnet18', '--format', 'json'));
  const sum = (key) => lines.slice(1).reduce((all, line) => all + Number(line[column(key)]), 0);
  assert.equal(sum('params'), known.totals.params);
  assert.equal(sum('macs'), known.totals.macs);
  await page.getByLabel('Filter the layers').fill('linear');
  assert.equal(await page.locator('#layers tbody tr').count(), 1);
  await page.context().close();
});

test('the memory part agrees with the peak of `params`', async () => {
  for (const name of ['resnet18', 'densenet121', 'unet', 'inception_v3']) {
    const page = await browser.open(report(`memory-${name}`, `zoo:${name}`).file);
    const known = JSON.parse(cnnkit('params', `zoo:${name}`, '--format', 'json')).totals.memory;
    const [peak, tensors] = await page.evaluate(() => {
      const { model } = document.getElementById('app');
      const live = model.liveBytes();
      const step = live.indexOf(Math.max(...live));
      return [live[step], model.liveAt(step).map((node) => model.nodes[node].id)];
    });
    assert.equal(peak, known.peak, name);
    assert.deepEqual(tensors, known.peak_tensors.map((tensor) => tensor.id), name);
    await page.context().close();
  }
});

test('a profile gives each layer its time, and the roof of this machine', async () => {
  const page = await browser.open(report('profile', 'zoo:mobilenet_v2', '--input', '3,64,64', '--profile').file);
  const found = await page.evaluate(() => {
    const { model } = document.getElementById('app');
    const { profile } = model.network;
    const sum = model.seconds.reduce((all, one) => all + one, 0);
    const fused = model.hosts.filter((host, node) => host !== node);
    return { profile, sum, fused: fused.length, hosted: fused.every((host) => model.seconds[host] > 0), layers: model.layers.length, slowest: model.nodes[model.seconds.indexOf(Math.max(...model.seconds))].id };
  });
  assert.ok(found.profile.rates.flops > 1e8 && found.profile.rates.bytes > 1e8, JSON.stringify(found.profile.rates));
  assert.equal(found.profile.runs, 5);
  assert.ok(found.sum > 0 && found.sum <= found.profile.seconds, `${found.sum} of ${found.profile.seconds} s`);
  assert.ok(found.fused > 30 && found.hosted, `${found.fused} layers are fused`);
  // One point for each step that computes something: of the 52 convolutions most run three at a time, as inverted residuals.
  const points = await page.locator('#intensity circle').count();
  assert.ok(points > 15 && points <= found.layers - found.fused, `${points} points`);
  const peak = Number(await page.getByLabel('peak GFLOP/s').inputValue()) * 1e9;
  assert.ok(Math.abs(peak / found.profile.rates.flops - 1) < 0.01);
  await page.locator('#graph').getByRole('button', { name: 'Time', exact: true }).click();
  assert.ok((await page.locator('#graph [data-heat]').count()) > 5);
  await choose(page, found.slowest);
  assert.match(await page.locator('#layer').innerText(), /Time\s+[\d.]+\s(s|ms|\u00b5s)/);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

const HOSTILE = '</script><img src=x onerror="globalThis.ran = 1"><svg onload=globalThis.ran=1>';

test('hostile names are text', async () => {
  const folder = written('hostile.yaml', `description: ${JSON.stringify(HOSTILE)}\nname: ${JSON.stringify(HOSTILE)}\ninput: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n`);
  const { file } = report('hostile', folder);
  const page = await browser.open(file);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.match(await page.locator('.description').innerText(), /onerror/);
  assert.equal(await page.locator('main img').count(), 0);
  assert.deepEqual(page.faults, []);
  await page.context().close();
  // Names that no spec may have, but a model may: the data is put into the page as JSON, and every text changed to markup.
  const html = readFileSync(file, 'utf8');
  const escaped = HOSTILE.replace(/</g, '\\u003c').replace(/>/g, '\\u003e').replace(/"/g, '\\"');
  const changed = written('hostile-names.html', html.replace(/"id":"([^"]*)"/g, (_, id) => `"id":"${escaped}${id}"`).replace(/"(settings|place|file|message|summary)":"([^"]*)"/g, (_, key) => `"${key}":"${escaped}"`));
  const other = await browser.open(changed);
  await other.locator('#layers tbody button').first().click();
  await other.locator('#graph g.box').last().click();
  assert.equal(await other.evaluate(() => globalThis.ran), undefined);
  assert.equal(await other.locator('main img').count(), 0);
  assert.match(await other.locator('#layer h3').innerText(), /onerror/);
  assert.deepEqual(other.faults, []);
  await other.context().close();
});

test('a script that is not ours does not run', async () => {
  const html = readFileSync(report('policy', 'zoo:residual').file, 'utf8');
  const changed = written('policy-changed.html', html.replace('<div id="app">', '<script>globalThis.ran = 1</script><img src="data:image/gif;base64,x" onerror="globalThis.ran = 1"><div id="app">'));
  const page = await browser.open(changed);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined);
  assert.ok(page.faults.some((fault) => fault.includes('Content Security Policy')), String(page.faults));
  await assert.rejects(page.evaluate(() => fetch('https://example.org/')));
  await page.context().close();
});

test('axe finds no serious fault, in light and dark, narrow and wide', async () => {
  const axe = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
  const { file } = report('axe', 'zoo:resnet18');
  const two = report('axe-two', 'zoo:voxnet', '--diff', 'zoo:tcn').file;
  for (const [path, options] of [[file, { colorScheme: 'light' }], [file, { colorScheme: 'dark' }], [file, { viewport: { width: 360, height: 800 } }], [two, { colorScheme: 'dark' }]]) {
    const page = await browser.open(path, { bypassCSP: true, ...options });
    await choose(page, await page.evaluate(() => document.getElementById('app').model.nodes[1].id));
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const serious = violations.filter((fault) => ['serious', 'critical'].includes(fault.impact)).map((fault) => `${fault.id}: ${fault.help} ${fault.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`);
    assert.deepEqual(serious, []);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} pixels too wide`);
    await page.context().close();
  }
});

test('print shows figures without controls', async () => {
  const page = await browser.open(report('print', 'zoo:resnet18').file);
  await page.emulateMedia({ media: 'print' });
  assert.equal(await page.locator('.top').isVisible(), false);
  assert.equal(await page.locator('#graph .bar').isVisible(), false);
  assert.equal(await page.locator('#layers table').isVisible(), true);
  const pdf = await page.pdf({ format: 'A4' });
  assert.ok(pdf.length > 20_000);
  await page.context().close();
});

test('one- and three-dimensional networks have their views', async () => {
  for (const [name, axes] of [['wavenet', 1], ['tcn', 1], ['voxnet', 3]]) {
    const page = await browser.open(report(`view-${name}`, `zoo:${name}`).file);
    assert.equal(await page.locator('#field .numbers input').count(), axes);
    assert.equal(await page.locator('#field .slices svg').count(), axes === 3 ? 1 : 0);
    assert.ok((await result(page)).positions > 0);
    assert.deepEqual(page.faults, []);
    await page.context().close();
  }
});

test('several networks have an index, and changes stand on top', async () => {
  const page = await browser.open(report('index', 'zoo:resnet18', 'zoo:resnet50', 'zoo:vgg16').file);
  assert.equal(await page.locator('#compare tbody tr').count(), 3);
  await page.locator('#compare tbody button', { hasText: 'vgg16' }).click();
  assert.match(await page.locator('h1').innerText(), /vgg16/);
  await page.context().close();
  const changed = await browser.open(report('changes', 'zoo:resnet50', '--diff', 'zoo:resnet18').file);
  assert.match(await changed.locator('h1').innerText(), /resnet50/);
  const text = await changed.locator('#diff').innerText();
  assert.match(text, /\+13,867,520/);
  assert.deepEqual(changed.faults, []);
  await changed.context().close();
});

test('the first view and the first hover are fast', async (context) => {
  for (const name of ['densenet201', 'inception_v3']) {
    const { file, seconds } = report(name, `zoo:${name}`);
    const start = performance.now();
    const page = await browser.open(file);
    const view = performance.now() - start;
    const hover = await page.evaluate(async () => {
      const grid = document.querySelector('#field canvas.grid');
      const rect = grid.getBoundingClientRect();
      const begin = performance.now();
      grid.dispatchEvent(new PointerEvent('pointermove', { clientX: rect.left + 2, clientY: rect.top + 2 }));
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return performance.now() - begin;
    });
    context.diagnostic(`${name}: written in ${seconds.toFixed(2)} s, shown after ${view.toFixed(0)} ms, first hover after ${hover.toFixed(0)} ms`);
    await page.context().close();
  }
});
