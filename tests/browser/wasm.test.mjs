// cnnkit as WebAssembly against the program: the same JSON, byte for byte, and the same errors at the same places.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const CNNKIT = process.env.CNNKIT ?? 'target/debug/cnnkit';
const module = new WebAssembly.Module(readFileSync(join(process.env.CNNKIT_PAGE ?? 'web/dist', 'cnnkit.wasm')));
const fresh = () => new WebAssembly.Instance(module, {}).exports;
let cnnkit = fresh();

/** Asks as the worker does; returns the text of the answer. */
function ask(request, file = new Uint8Array()) {
  const head = new TextEncoder().encode(JSON.stringify(request));
  const at = cnnkit.reserve(head.length + file.length) >>> 0;
  new Uint8Array(cnnkit.memory.buffer).set(head, at);
  new Uint8Array(cnnkit.memory.buffer).set(file, at + head.length);
  const said = (length) => new TextDecoder().decode(new Uint8Array(cnnkit.memory.buffer, cnnkit.answer() >>> 0, length >>> 0));
  try {
    return said(cnnkit.call(head.length));
  } catch (error) {
    const words = said(cnnkit.last_words());
    cnnkit = fresh();
    throw new Error(`${error}: ${words}`);
  }
}

/** What the program prints, and its exit status. */
function program(...args) {
  const { status, stdout, stderr, error } = spawnSync(CNNKIT, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (error) throw error;
  return { status, stdout, stderr };
}

function files(folder, ending) {
  return readdirSync(folder, { recursive: true }).filter((name) => ending.test(name)).sort().map((name) => join(folder, name));
}

test('the module needs nothing of its page', () => {
  assert.deepEqual(WebAssembly.Module.imports(module), []);
});

const specs = JSON.parse(execFileSync(CNNKIT, ['zoo', '--format', 'json'], { encoding: 'utf8' })).specs;
const chosen = process.env.CNNKIT_ZOO?.split(',');
for (const command of ['params', 'rf']) {
  test(`${command} of every built-in spec is the program's, byte for byte`, () => {
    let count = 0;
    for (const { name } of specs.filter((spec) => !chosen || chosen.includes(spec.name))) {
      assert.equal(ask({ do: 'command', command, spec: `zoo:${name}` }), program(command, `zoo:${name}`, '--format', 'json').stdout, name);
      count += 1;
    }
    assert.ok(chosen ? count > 0 : count > 70, `${count} specs`);
  });
}

test('gridding and hdc-check are those of the program, byte for byte', () => {
  for (const rates of ['1', '2,2,2', '1,2,5', '2,2,3', '1,4,2', '1,2,9', '4,12,36', '1,2,5/1,2,5,9', '3,3,3,3,3,3', '64,64,64']) {
    for (const command of ['gridding', 'hdc-check']) {
      assert.equal(ask({ do: 'command', command, spec: rates }), program(command, rates, '--format', 'json').stdout, `${command} ${rates}`);
    }
  }
});

test('models are read as the program reads them', () => {
  const models = [...files('tests/data/onnx', /\.onnx$/), ...files('tests/data/pt2', /\.pt2$/)];
  assert.ok(models.length > 15, `${models.length} models`);
  for (const model of models) {
    for (const command of ['params', 'rf']) {
      const native = program(command, model, '--format', 'json');
      const answer = ask({ do: 'command', command, spec: model }, readFileSync(model));
      if (native.status === 2) assert.equal(typeof JSON.parse(answer).flaw, 'string', model);
      else assert.equal(answer, native.stdout, `${command} ${model}`);
    }
  }
});

test('figures beyond 32 bits are those of the program', () => {
  const folder = process.env.CNNKIT_PAGES ?? 'target/browser/pages';
  mkdirSync(folder, { recursive: true });
  const texts = {
    'a wide picture': 'input: [3, 100000, 100000]\nlayers:\n  - conv: {out_channels: 64, kernel: 3, stride: 2, padding: 1}\n  - conv: {out_channels: 8, kernel: 3, dilation: 3000}\n',
    'many weights': 'input: [70000]\nlayers:\n  - linear: {out_features: 70000}\n  - linear: {out_features: 100000}\n',
    'many channels': 'input: [100000, 8, 8]\nlayers:\n  - conv: {out_channels: 100000, kernel: 3, groups: 2}\n  - channel_shuffle: {groups: 10}\n  - conv: {out_channels: 100000, kernel: 1, groups: 5}\n',
    'a long line': 'input: [2, 5000000000]\nlayers:\n  - conv: {out_channels: 4, kernel: 9, dilation: 100000000}\n  - max_pool: {kernel: 2}\n',
    'too large for anything': 'input: [3, 4000000000, 4000000000]\nlayers:\n  - conv: {out_channels: 4000000000, kernel: 4000000000}\n',
    'a flat one': 'input: [64, 8192, 8192]\nlayers:\n  - flatten\n  - linear: {out_features: 3}\n',
    'a slow growth': 'input: [1, 4096, 4096]\nlayers:\n  - repeat:\n      times: 40\n      body:\n        - conv: {out_channels: 1, kernel: 3, stride: 2, padding: 1}\n        - upsample: {scale_factor: 2}\n',
  };
  for (const [name, text] of Object.entries(texts)) {
    const file = join(folder, 'large.yaml');
    writeFileSync(file, text);
    for (const command of ['params', 'rf']) {
      const native = program(command, file, '--format', 'json');
      const answer = ask({ do: 'command', command, spec: file }, new TextEncoder().encode(text));
      if (native.status === 2) assert.equal(JSON.parse(answer).flaw.includes(JSON.parse(native.stdout).errors[0].message), true, `${command} ${name}: ${answer.slice(0, 300)} ${native.stdout.slice(0, 300)}`);
      else assert.equal(answer, native.stdout, `${command} ${name}`);
    }
  }
});

test('every wrong spec has the errors of the program, at their places', () => {
  let count = 0;
  for (const file of files('tests/invalid', /^[^/]*\.yaml$/).filter((name) => statSync(name).isFile())) {
    const bytes = readFileSync(file);
    const text = bytes.toString('utf8');
    if (/^include:/m.test(text) || !Buffer.from(text).equals(bytes)) continue;
    const native = program('params', file, '--format', 'json');
    if (native.status !== 2) continue;
    const { marks } = JSON.parse(ask({ do: 'spec', name: file, text }));
    const found = marks.map((mark) => ({ code: mark.code, message: mark.message, help: mark.help, node: mark.node, line: mark.place?.line ?? null, column: mark.place?.column ?? null }));
    const wanted = JSON.parse(native.stdout).errors.map(({ code, message, help, node, line, column }) => ({ code, message, help, node, line, column }));
    assert.deepEqual(found, wanted, file);
    for (const { place } of marks) {
      if (!place) continue;
      const before = text.slice(0, place.from).split('\n');
      assert.deepEqual([before.length, [...before[before.length - 1]].length + 1], [place.line, place.column], `${file}: units`);
    }
    count += 1;
  }
  assert.ok(count > 150, `${count} specs`);
});

test('what nobody would ask is answered, and the next question too', () => {
  for (const request of ['', '{}', '[]', '{"do":"spec"}', '{"do":"none"}', '{"do":"spec","name":1,"text":"x"}', '\u0000', '"'.repeat(1000)]) {
    const head = new TextEncoder().encode(request);
    const at = cnnkit.reserve(head.length) >>> 0;
    new Uint8Array(cnnkit.memory.buffer).set(head, at);
    const length = cnnkit.call(head.length + 1_000_000);
    const answer = new TextDecoder().decode(new Uint8Array(cnnkit.memory.buffer, cnnkit.answer() >>> 0, length >>> 0));
    assert.match(JSON.parse(answer).flaw, /not understood/, request);
  }
  const deep = `input: [3, 8, 8]\nlayers: ${'['.repeat(100_000)}`;
  assert.ok(JSON.parse(ask({ do: 'spec', name: 'deep.yaml', text: deep })).marks.length > 0);
  const many = `input: [3, 8, 8]\nlayers:\n  - repeat: {times: 1000000000, body: [relu]}\n`;
  assert.ok(JSON.parse(ask({ do: 'spec', name: 'many.yaml', text: many })).marks.length > 0);
  assert.equal(cnnkit.reserve(0xffff_fff0), 0, 'there is no memory for a file of 4 GiB');
  assert.ok(JSON.parse(ask({ do: 'spec', name: 'net.yaml', text: 'input: [3, 8, 8]\nlayers: [relu]' })).book);
});
