// What the editor of the page understands of a text: where the caret stands, and what may be written there.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { completions } from './web/complete.js';
import { placeAt, tokens } from './web/yaml.js';

const schema = JSON.parse(readFileSync('schema/cnnkit.schema.json', 'utf8'));

/** The labels that are offered at the bar in `text`. */
function offered(text) {
  const caret = text.indexOf('|');
  return completions(schema, text.slice(0, caret) + text.slice(caret + 1), caret, { files: ['../blocks/resnet.yaml'] }).items.map((item) => item.label);
}

test('keys, layers, arguments and values are offered where they belong', () => {
  for (const [text, wanted] of [
    ['in|', ['include', 'input']],
    ['input: [3, 8, 8]\nla|', ['layers']],
    ['layers:\n  - max|', ['max_pool', 'adaptive_max_pool', 'global_max_pool', 'softmax']],
    ['layers:\n- max_|', ['max_pool', 'adaptive_max_pool', 'global_max_pool']],
    ['layers: [max_p|', ['max_pool', 'adaptive_max_pool', 'global_max_pool']],
    ['layers:\n  - conv: {kernel: 3, pad|', ['padding', 'padding_mode']],
    ['layers:\n  - conv: {kernel: 3,\n      pad|', ['padding', 'padding_mode']],
    ['layers:\n  - conv:\n      kernel: 3\n      pad|', ['padding', 'padding_mode']],
    ['layers:\n  - conv: {padding_mode: |', ['zeros', 'reflect', 'replicate', 'circular']],
    ['layers:\n  - conv: {bias: f|', ['false']],
    ['layers:\n  - repeat:\n      ti|', ['times']],
    ['layers:\n  - residual:\n      body:\n        - relu\n      sh|', ['shortcut']],
    ['variables: {width: 3, n: 4}\nlayers:\n  - conv: {out_channels: $|', ['$width', '$n']],
    ['layers:\n  - {id: a, conv: {kernel: 3}}\n  - {from: |', ['a']],
    ['blocks:\n  mine:\n    layers: [relu]\nlayers:\n  - min|', ['mine']],
    ['include: [..|', ['../blocks/resnet.yaml']],
    ['layers:\n  - conv: {padding: same|', ['same', 'same_lower']],
    ['# in|', []],
    ['layers:\n  - relu # re|', []],
    ['name: "in|', []],
  ]) assert.deepEqual(offered(text), wanted, text);
});

test('a place is found at every caret of every built-in spec', () => {
  let count = 0;
  for (const folder of ['specs/zoo', 'specs/techniques', 'specs/blocks']) {
    for (const name of readdirSync(folder)) {
      const text = readFileSync(`${folder}/${name}`, 'utf8');
      for (let caret = 0; caret <= text.length; caret += 7) {
        placeAt(text, caret);
        count += 1;
      }
      for (const line of text.split('\n')) {
        let last = 0;
        for (const { from, to } of tokens(line)) {
          assert.ok(last <= from && from < to && to <= line.length, `${name}: ${line}`);
          last = to;
        }
      }
    }
  }
  assert.ok(count > 2000, `${count} carets`);
});

test('texts that nobody would write take no time', () => {
  for (const text of ['['.repeat(50_000), '{a: '.repeat(20_000), `${'- '.repeat(900)}x`, '"'.repeat(1999), ' '.repeat(1999), `${'a:b'.repeat(600)}: `, '\u0000\ud800\n'.repeat(5000)]) {
    const start = performance.now();
    placeAt(text, text.length);
    completions(schema, text, text.length);
    text.split('\n').slice(0, 50).forEach((line) => tokens(line.slice(0, 500)));
    assert.ok(performance.now() - start < 500, `${text.slice(0, 20)}: ${performance.now() - start} ms`);
  }
});
