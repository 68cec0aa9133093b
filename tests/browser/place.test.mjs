// The positions of the page are those of the layout in Rust (`tests/analysis/layout.rs` writes them).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { place } from './page/place.js';

const cases = JSON.parse(readFileSync('tests/browser/layout.json', 'utf8'));

const size = ({ node, block }) => (node !== undefined ? [40 + 7 * (node % 9), 28] : [90 + 11 * (block % 5), 42]);
const near = (a, b, what) => assert.ok(Math.abs(a - b) < 0.02, `${what}: ${a} is not ${b}`);

for (const { name, open, tree, size: whole, boxes, wires } of cases) {
  test(`${name} with ${open.filter(Boolean).length} open blocks`, () => {
    const drawing = place(tree.blocks, open, size);
    whole.forEach((x, axis) => near(drawing.size[axis], x, 'size'));
    assert.equal(drawing.boxes.length, boxes.length);
    boxes.forEach(([at, extent], i) => [0, 1].forEach((axis) => {
      near(drawing.boxes[i].at[axis], at[axis], `box ${i}`);
      near(drawing.boxes[i].size[axis], extent[axis], `box ${i}`);
    }));
    assert.equal(drawing.wires.length, wires.length);
    wires.forEach(([node, ends, points], i) => {
      assert.deepEqual([drawing.wires[i].node, drawing.wires[i].ends], [node, ends]);
      points.forEach((point, corner) => point.forEach((x, axis) => near(drawing.wires[i].points[corner][axis], x, `wire ${i}`)));
    });
  });
}
