// Ten techniques in a minute each: what is true, what is often said and is not, and the network to change.

import { el, fill } from './page/dom.js';
import { grouped, magnitude } from './page/text.js';

/** @typedef {import('./engine.js').Engine} Engine */
/** @typedef {{name: string, folder: string, description: string, text: string}} BuiltIn */
/** @typedef {{title: string, source: string, text: string, care: string, specs: string[], rates?: string}} Technique */

/** docs/techniques.md, shortened. @type {Technique[]} */
export const TECHNIQUES = [
  {
    title: 'Stacked small kernels',
    source: 'Simonyan & Zisserman 2015, section 2.3',
    text: 'Two 3\u00d73 convolutions read the same 5\u00d75 positions as one 5\u00d75 with 18 C\u00b2 weights against 25 C\u00b2; three read 7\u00d77 with 27 C\u00b2 against 49 C\u00b2. MACs have the same ratios.',
    care: 'The receptive fields are equal, the functions are not: the stack cannot form every 5\u00d75 kernel, and keeps one more map for the backward pass.',
    specs: ['small-kernels-plain', 'small-kernels', 'small-kernels-three-plain', 'small-kernels-three'],
  },
  {
    title: 'Several kernel sizes side by side',
    source: 'Szegedy et al. 2015, figure 2',
    text: 'An Inception module applies 1\u00d71, 3\u00d73 and 5\u00d75 convolutions to one map and concatenates. With 1\u00d71 convolutions that narrow the map first, it has fewer weights than its 3\u00d73 branch alone.',
    care: 'The units of one map have different receptive fields, depending on the channel. That several sizes work better is a result of training.',
    specs: ['multi-kernel-plain', 'multi-kernel', 'multi-kernel-reduced'],
  },
  {
    title: 'The 1\u00d71 bottleneck',
    source: 'He et al. 2016, figure 5',
    text: 'A 1\u00d71 convolution narrows 256 channels to 64, a 3\u00d73 works there, a 1\u00d71 widens again: 8.47 times fewer weights and MACs, and the receptive field stays 3\u00d73.',
    care: 'At every position the result passes through 64 numbers, so the block can represent fewer functions.',
    specs: ['bottleneck-plain', 'bottleneck'],
  },
  {
    title: 'Dilated convolution',
    source: 'Yu & Koltun 2016; Wang et al. 2018, section 3.2',
    text: 'A kernel whose taps lie apart reads further at the same cost: rates 1, 2, 4 read 15 positions per axis instead of 7. Equal rates leave holes, called gridding; HDC is a rule for rates that leave none.',
    care: 'The rule and the exact coverage often differ: 2, 2, 3 passes the rule and still has holes. The toy shows both.',
    specs: ['dilated-plain', 'dilated', 'dilated-gridding', 'dilated-hdc'],
    rates: '2,2,2',
  },
  {
    title: 'Deformable convolution',
    source: 'Dai et al. 2017; Zhu et al. 2019',
    text: 'Taps move by offsets that a convolution computes from the map itself: 18 offset channels for a 3\u00d73 kernel, between positions by bilinear interpolation.',
    care: 'The support depends on the data, so a receptive field is a bound: it needs the largest offset.',
    specs: ['deformable-plain', 'deformable', 'deformable-modulated'],
  },
  {
    title: 'Depthwise separable convolution',
    source: 'Howard et al. 2017, section 3.1',
    text: 'One kernel per channel, then a 1\u00d71 convolution that mixes channels: 1/N + 1/9 of the cost of a 3\u00d73 convolution with N outputs.',
    care: 'Fewer MACs are less time only where memory is not the limit: the intensity chart of the report shows where it is.',
    specs: ['depthwise-separable-plain', 'depthwise-separable'],
  },
  {
    title: 'Group convolution and channel shuffle',
    source: 'Zhang et al. 2018',
    text: 'Groups divide the cost and cut channels off from each other: an output sees 80 of 240 inputs. The shuffle, a fixed permutation without a parameter, joins them again.',
    care: 'The shuffle is not random: it is the same for every image, as when cards are dealt out in turn.',
    specs: ['shuffle-unit-plain', 'shuffle-unit', 'group-conv-plain', 'group-conv'],
  },
  {
    title: 'Squeeze-and-excitation',
    source: 'Hu et al. 2018, section 3',
    text: 'The mean of each channel passes through two small layers and scales the channels: 2 C\u00b2 / r weights, nearly no MACs, and every output depends on the whole image.',
    care: 'Plain convolutions weight channels as well. What is new is that the factors depend on the image.',
    specs: ['squeeze-excite-plain', 'squeeze-excite'],
  },
  {
    title: 'Residual connections',
    source: 'He et al. 2016, figure 2; Veit et al. 2016',
    text: 'A module adds its result to its input, so the input reaches the output through any subset of the modules: n modules make 2\u207f paths. A shortcut costs no parameter and no MAC, but memory.',
    care: 'With ReLUs between, the sum of paths is an interpretation, not an identity.',
    specs: ['residual-plain', 'residual'],
  },
  {
    title: 'Dense connections',
    source: 'Huang et al. 2017, section 3',
    text: 'Each layer reads the concatenation of everything before it and adds k channels: L (L + 1) / 2 connections, few parameters, and a higher peak of memory, because all earlier maps stay alive.',
    care: 'The maps are concatenated, not added: that is what ResNet does.',
    specs: ['dense-plain', 'dense'],
  },
];

/** @param {Engine} engine @param {Map<string, BuiltIn>} specs @param {(name: string) => void} open shows a built-in spec in the editor @param {(rates: string) => void} toy */
export function tourView(engine, specs, open, toy) {
  const root = el('main.room.tour', { id: 'tour', hidden: true },
    el('h1', {}, 'Ten techniques, with what can be proved about them'),
    el('p.description', {}, 'Each card has networks to open, to change and to compare. The figures are computed here, now; what needs training is not claimed.'),
    el('div.cards', {}, ...TECHNIQUES.map((technique, i) => card(technique, i + 1))));
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      figures(target);
    }
  });
  root.querySelectorAll('tr[data-spec]').forEach((row) => seen.observe(row));
  return root;

  /** @param {Technique} technique @param {number} number */
  function card(technique, number) {
    const id = `technique-${number}`;
    return el('article.technique', { 'aria-labelledby': id },
      el('h2', { id }, el('span.number', {}, String(number)), ' ', technique.title),
      el('p.source', {}, technique.source),
      el('p', {}, technique.text),
      el('p.care', {}, el('strong', {}, 'With care. '), technique.care),
      el('table.small', {}, el('thead', {}, el('tr', {}, ...['network', 'parameters', 'MACs'].map((text, i) => el(i ? 'th.n' : 'th', { scope: 'col' }, text)))),
        el('tbody', {}, ...technique.specs.map((name) => el('tr', { 'data-spec': name },
          el('td', {}, el('button.link', { type: 'button', title: specs.get(name)?.description ?? '', onclick: () => open(name) }, name)),
          el('td.n', {}, '\u2026'), el('td.n', {}, '\u2026'))))),
      technique.rates ? el('p', {}, el('button.link', { type: 'button', onclick: () => toy(technique.rates ?? '') }, `Rates ${technique.rates} in the toy`)) : null);
  }

  /** @param {Element} row */
  async function figures(row) {
    const { json } = await engine.ask({ do: 'command', command: 'params', spec: `zoo:${row.getAttribute('data-spec')}` });
    const totals = json?.totals;
    const [, params, macs] = row.children;
    fill(params, totals ? grouped(totals.params) : '?');
    fill(macs, totals ? magnitude(totals.macs) : '?');
  }
}
