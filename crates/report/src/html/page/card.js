// The card of the chosen layer.

import { dotted, el, fill, section } from './dom.js';
import { ELEMENT, elements } from './model.js';
import { bytes, duration, grouped, magnitude, percent, plural, shapeText, visible } from './text.js';

/** @typedef {import('./model.js').Model} Model */

/** @param {Model} model */
export function cardPart(model) {
  const body = el('div.card-body', { 'aria-live': 'polite' });
  const part = section('layer', 'Layer', null, body);
  part.classList.add('card');
  model.onChoose((node) => show(node));
  show(-1);
  return part;

  /** @param {number} node */
  function show(node) {
    if (node < 0) {
      fill(body, el('p.hint', {}, 'Choose a layer in the graph, a table or a chart: its settings, weights, figures and place in the source appear here.'));
      return;
    }
    const layer = model.layers[node];
    const data = model.nodes[node];
    const kind = model.network.graph.kinds[layer.op];
    const totals = model.network.params.totals;
    /** @param {number[]} list */
    const links = (list) => el('span.links', {}, ...list.flatMap((other, i) => [i ? ', ' : '', el('button.link', { type: 'button', onclick: () => model.choose(other, 'link') }, dotted(model.nodes[other].id))]));
    /** @type {[string, Node | string | null][]} */
    const facts = [];
    if (data.inputs.length) facts.push(['Reads', links([...new Set(data.inputs)])]);
    facts.push(['Read by', model.readers[node].length ? links(model.readers[node]) : model.network.graph.outputs.includes(node) ? 'the outside: an output' : 'nothing']);
    facts.push(['Output', `${shapeText(data.shape)}${data.shape ? `, ${bytes(model.outputBytes(node))}` : ''}`]);
    if (!model.isInput(node)) {
      facts.push(['Parameters', layer.params ? `${grouped(layer.params)} (${percent(layer.params, totals.params)})` : layer.shares ? `those of ${layer.shares}` : '0']);
      if (layer.buffers) facts.push(['Buffers', grouped(layer.buffers)]);
      if (layer.macs) facts.push(['MACs', `${grouped(layer.macs)} (${percent(layer.macs, totals.macs)})`]);
      if (layer.other_ops) facts.push(['Other ops', grouped(layer.other_ops)]);
      const moved = model.traffic(node);
      if (layer.flops) facts.push(['Intensity', `${(layer.flops / moved).toFixed(2)} FLOPs per byte (${magnitude(layer.flops)} FLOPs, ${bytes(moved)})`]);
    }
    if (model.network.profile && !model.isInput(node)) {
      const host = model.hosts[node];
      facts.push(['Time', host === node ? `${duration(model.seconds[node])} (${percent(model.seconds[node], model.network.profile.seconds)})` : el('span', {}, 'computed with ', links([host]))]);
    }
    for (const field of model.fields[node] ?? []) {
      const several = model.network.params.layers.filter((other) => other.op === 'input').length > 1;
      const words = [
        field.global ? 'the whole input' : `${field.bound ? 'at most ' : ''}${field.size.join('\u2009\u00d7\u2009')}`,
        `jump ${[...new Set(field.jump)].join(', ')}`,
        field.varies ? 'varies by unit' : '',
        field.global_context ? 'and global context' : '',
      ];
      facts.push([several ? `Field in ${field.input}` : 'Field', words.filter(Boolean).join(', ')]);
    }
    if (data.place) facts.push(['Source', el('code', {}, data.place)]);
    for (const [block, at] of data.uses ?? []) facts.push([`Block ${block}`, el('code', {}, at)]);
    const weights = data.weights ?? [];
    const findings = model.network.check.findings.filter((finding) => finding.node === data.id);
    fill(
      body,
      el('h3', {}, dotted(data.id)),
      el('p.what', {}, el('span.op', {}, layer.op), layer.settings ? ` ${layer.settings}` : ''),
      kind ? el('p.quiet', {}, `${kind.summary[0].toUpperCase()}${visible(kind.summary.slice(1))}.`) : null,
      ...findings.map((finding) => el(`p.finding.${finding.severity}`, {}, el('strong', {}, finding.rule), ` ${finding.message}`)),
      el('dl.facts', {}, ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
      weights.length
        ? el('table.small', {}, el('caption', {}, plural(weights.length, 'weight')),
            el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'name'), el('th.n', { scope: 'col' }, 'shape'), el('th.n', { scope: 'col' }, 'size'))),
            el('tbody', {}, ...weights.map((weight) => el('tr', {}, el('td', {}, weight.name, weight.buffer ? el('span.quiet', {}, ' buffer') : null), el('td.n', {}, shapeText(weight.shape)), el('td.n', {}, bytes(elements(weight.shape) * ELEMENT))))))
        : null,
      kind && kind.formulas.length
        ? el('details', {}, el('summary', {}, 'Formulas'), el('dl.facts', {}, ...kind.formulas.flatMap(([name, text]) => [el('dt', {}, name), el('dd', {}, el('code', {}, text))])), el('p.quiet', {}, kind.source))
        : null,
    );
  }
}
