// The head of a network: its totals, what is known about their truth, and what `check` finds.

import { dotted, el, section } from './dom.js';
import { bytes, grouped, magnitude, plural, shapeText } from './text.js';

/** @typedef {import('./model.js').Model} Model */

/** @param {Model} model */
export function headPart(model) {
  const { totals, layers, status } = model.network.params;
  const inputs = layers.filter((layer) => layer.op === 'input');
  const field = model.network.headline;
  const fieldText = field ? (field.global ? 'whole input' : field.size.join('\u2009\u00d7\u2009')) : '\u2013';
  /** @type {[string, string, string | Node][]} */
  const figures = [
    ['Parameters', magnitude(totals.params), grouped(totals.params)],
    ['MACs', magnitude(totals.macs), `${magnitude(totals.flops)} FLOPs`],
    ['Peak memory', bytes(totals.memory.peak), totals.memory.peak_step ? el('span', {}, 'at ', dotted(totals.memory.peak_step)) : ''],
    ['Weights', bytes(totals.memory.params + totals.memory.buffers), totals.buffers ? `${grouped(totals.buffers)} buffers` : 'no buffers'],
    ['Receptive field', fieldText, field ? el('span', {}, 'of ', dotted(model.nodes[field.node].id)) : 'no feature map'],
    ['Layers', grouped(layers.length - inputs.length), layers.some((layer) => layer.macs) ? `${layers.filter((layer) => layer.macs).length} with MACs` : ''],
  ];
  const outputs = model.network.graph.outputs.map((i) => `${model.nodes[i].id} ${shapeText(model.nodes[i].shape)}`);
  return el('header.head', { id: 'top' },
    el('p.path', {}, el('code', {}, model.network.spec.path ?? ''), status === 'partial' ? el('span.badge.warning', {}, 'partial') : null),
    el('h1', {}, model.name),
    model.network.description ? el('p.description', {}, model.network.description) : null,
    el('p.io', {}, inputs.map((layer) => `${layer.id} ${shapeText(layer.output_shape)}`).join(', '), el('span.arrow', { 'aria-label': 'to' }, ' \u2192 '), outputs.slice(0, 6).join(', '), outputs.length > 6 ? ` and ${outputs.length - 6} more` : ''),
    el('dl.figures', {}, ...figures.map(([name, value, more]) => el('div', {}, el('dt', {}, name), el('dd', {}, el('span.value', {}, value), el('span.more', {}, more))))),
    el('p.convention', {}, 'One image, f32. 1 MAC = 2 FLOPs; FLOPs = 2 \u00d7 MACs + other ops; k, M, G are powers of 1000, KiB, MiB of 1024. The peak assumes no operation in place and no fusion.'));
}

/** @param {Model} model */
export function checkPart(model) {
  const { check, expectations, verify, params } = model.network;
  /** @type {(Node | null)[]} */
  const parts = [];
  const left = params.not_analysed ?? [];
  if (left.length || (params.remarks ?? []).length) {
    parts.push(el('div.group', {}, el('h3', {}, left.length ? 'Not analysed' : 'Remarks'),
      el('ul.list', {}, ...(params.remarks ?? []).map((remark) => el('li', {}, remark)), ...left.map((node) => el('li', {}, chooser(model, node.id), ` ${node.operator}: ${node.reason}; ${node.meaning}`)))));
  }
  const findings = check.findings;
  parts.push(el('div.group', {}, el('h3', {}, 'Findings'),
    findings.length
      ? el('ul.list', {}, ...findings.map((finding) => el(`li.finding.${['error', 'warning', 'note'].includes(finding.severity) ? finding.severity : 'note'}`, {},
          el('p', {}, el(`span.badge.${finding.severity}`, {}, finding.severity), ' ', el('strong', {}, `${finding.rule} ${finding.name}`), ' ', finding.node ? chooser(model, finding.node) : null),
          el('p', {}, finding.message),
          finding.help ? el('p.quiet', {}, finding.help) : null,
          el('p', {}, el('code', {}, [finding.file, finding.line, finding.column].filter((x) => x !== null && x !== undefined).join(':'))))))
      : el('p', {}, el('span.badge.good', {}, 'none'), ' The default rules find nothing.'),
    check.suppressed.length ? el('p.quiet', {}, `${plural(check.suppressed.length, 'finding')} suppressed by a comment.`) : null,
    check.summary.accepted ? el('p.quiet', {}, `${plural(check.summary.accepted, 'finding')} accepted by the baseline.`) : null,
    check.skipped.length ? el('p.quiet', {}, `${plural(check.skipped.length, 'rule')} could not be applied: ${check.skipped.map((skip) => `${skip.rule} (${skip.reason})`).join(', ')}.`) : null));
  if (expectations.length) {
    const met = expectations.filter((one) => one.ok).length;
    parts.push(el('div.group', {}, el('h3', {}, 'Expectations'), el('p.quiet', {}, `${met} of ${expectations.length} met.`),
      el('table.small', {}, el('thead', {}, el('tr', {}, ...['', 'quantity', 'expected', 'found'].map((text, i) => el(i > 1 ? 'th.n' : 'th', { scope: 'col' }, text || el('span.hidden', {}, 'verdict'))))),
        el('tbody', {}, ...expectations.map((one) => el('tr', {},
          el('td', {}, el(`span.badge.${one.ok ? 'good' : 'error'}`, {}, one.ok ? 'met' : 'not met')),
          el('td', {}, one.node ? [one.name, ' of '].join('') : one.name, one.node ? chooser(model, one.node) : null),
          el('td.n', {}, one.limit ? `${one.limit} ${one.expected}` : one.expected),
          el('td.n', {}, one.found ?? one.problem)))))));
  }
  if (verify) {
    const wrong = verify.claims.filter((claim) => !claim.ok).length;
    parts.push(el('div.group', {}, el('h3', {}, 'Verified by running'),
      el('p', {}, el(`span.badge.${verify.ok ? 'good' : 'error'}`, {}, verify.ok ? 'all hold' : `${wrong} do not hold`), ` ${plural(verify.claims.length, 'claim')} measured.`),
      el('details', { open: wrong > 0 }, el('summary', {}, 'Claims'),
        el('div.wide', { tabindex: '0', role: 'region', 'aria-label': 'Claims' }, el('table.small', {}, el('thead', {}, el('tr', {}, ...['', 'claim', 'layer', 'predicted', 'measured', 'method'].map((text) => el('th', { scope: 'col' }, text || el('span.hidden', {}, 'verdict'))))),
          el('tbody', {}, ...verify.claims.map((claim) => el('tr', {},
            el('td', {}, el(`span.badge.${claim.ok ? 'good' : 'error'}`, {}, claim.ok ? 'ok' : 'wrong')), el('td', {}, claim.claim), el('td', {}, claim.node ? chooser(model, claim.node) : ''), el('td', {}, claim.predicted), el('td', {}, claim.measured), el('td.quiet', {}, claim.method))))))),
      ...[...verify.notes, ...verify.choices].map((note) => el('p.quiet', {}, note))));
  }
  return section('checks', 'Checks', null, el('div.groups', {}, ...parts));
}

/** A button that chooses a layer, or its name where there is no such layer. @param {Model} model @param {string} id */
export function chooser(model, id) {
  const node = model.index.get(id);
  if (node === undefined) return el('span', {}, id);
  return el('button.link', { type: 'button', onclick: () => model.choose(node, 'link') }, id);
}
