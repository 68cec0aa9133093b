// The page: a bar, an editor beside its report, dilation rates, and the techniques. Nothing leaves the machine.

import { Editor } from './editor.js';
import { load } from './engine.js';
import { el, fill } from './page/dom.js';
import { show, themeButton } from './page/main.js';
import { bytes, plural } from './page/text.js';
import { ratesView } from './rates.js';
import { packed, unpacked } from './share.js';
import { tourView } from './tour.js';

/** @typedef {import('./tour.js').BuiltIn} BuiltIn */
/** @typedef {import('./editor.js').Mark} Mark */

const DRAFT = 'cnnkit-draft';
/** Milliseconds without a key before the text is analysed. */
const PAUSE = 160;
/** Milliseconds of a run before it can be stopped. */
const SLOW = 800;
/** Most bytes of a model: it lies in memory twice, of which a page has 4 GiB. */
const MOST_MODEL = 1 << 30;
/** Most bytes of a spec, as the program reads. */
const MOST_SPEC = 1 << 20;
const MODEL = /\.(onnx|pt2)$/i;

const FIRST = `# Change anything: the report follows.
description: Three dilated convolutions after a stem
input: [3, 128, 128]
variables: {width: 32, classes: 21}
layers:
  - conv: {out_channels: $width, kernel: 3, stride: 2, padding: 1, bias: false}
  - batch_norm
  - relu
  - max_pool: {kernel: 2}
  - repeat:
      for: {rate: [1, 2, 5]}
      body:
        - residual:
            body:
              - conv: {out_channels: $width, kernel: 3, dilation: $rate, padding: same, bias: false}
              - batch_norm
              - relu
  - conv: {out_channels: $classes, kernel: 1}
  - upsample: {scale_factor: 4, mode: bilinear}
expect:
  params: {max: 40k}
`;

const page = /** @type {HTMLElement} */ (document.getElementById('page'));
fill(page, el('p.loading', { role: 'status' }, 'Loading cnnkit\u2026'));
start().catch((error) => {
  fill(page, el('div.loading', { role: 'alert' }, el('p', {}, 'cnnkit could not be loaded.'), el('p.quiet', {}, error instanceof Error ? error.message : error), el('p.quiet', {}, 'It needs a browser with WebAssembly and ES2022, and a server: files opened from the disk may not load modules.')));
});

/** From here on, the page gives up the right to make requests. */
function close() {
  document.head.append(el('meta', { 'http-equiv': 'Content-Security-Policy', content: "connect-src 'none'" }));
}

async function start() {
  const engine = await load();
  const { json: begun, flaw } = await engine.ask({ do: 'start' });
  if (!begun) throw new Error(flaw ?? 'no answer');
  close();
  /** @type {Map<string, BuiltIn>} */
  const specs = new Map(begun.specs.map((/** @type {BuiltIn} */ spec) => [spec.name, spec]));

  const editor = new Editor(() => later());
  editor.schema = begun.schema;
  editor.known = { files: [...new Set(begun.specs.flatMap((/** @type {BuiltIn} */ spec) => [...spec.text.matchAll(/\.\.\/blocks\/[\w.-]+/g)].map((match) => match[0])))].sort() };
  const status = el('p.status', { role: 'status' });
  const stop = el('button.stop', { type: 'button', hidden: true, onclick: () => engine.stop() }, 'Stop');
  const title = el('span.file', {}, '');
  const report = el('div.report', { id: 'report' });
  const stale = el('p.stale-note', { hidden: true, role: 'status' });
  const modelCard = el('div.model-card', { hidden: true });
  const pane = el('section.pane', { 'aria-label': 'Editor' },
    el('div.pane-head', {}, title, status, stop),
    editor.root, modelCard,
    el('p.editor-keys', { id: 'editor-keys' }, 'Ctrl+Space completes. Tab indents; Esc, then Tab leaves the editor.'),
    el('div.problems-box', {}, editor.problems));
  const network = el('div.room.network', { id: 'network' }, pane, el('div.beside', {}, stale, report));

  const rates = ratesView(engine, (name, text) => edit(name, text));
  const tour = tourView(engine, specs, (name) => example(name), (list) => { view('rates'); rates.set(list, '3', 2); });

  const views = /** @type {Record<string, HTMLElement>} */ ({ network, rates: rates.root, tour });
  const tabs = /** @type {[string, string][]} */ ([['network', 'Network'], ['rates', 'Dilation'], ['tour', 'Techniques']]).map(([name, text]) => el('button.tab', { type: 'button', 'data-view': name, 'aria-pressed': String(name === 'network'), onclick: () => view(name) }, text));
  const chooser = el('select', { 'aria-label': 'Examples' }, el('option', { value: '' }, 'Examples'),
    ...['zoo', 'techniques'].map((folder) => el('optgroup', { label: folder === 'zoo' ? 'Networks' : 'Techniques' }, ...begun.specs.filter((/** @type {BuiltIn} */ spec) => spec.folder === folder).map((/** @type {BuiltIn} */ spec) => el('option', { value: spec.name }, spec.name)))));
  chooser.addEventListener('change', () => { if (chooser.value) example(chooser.value); chooser.value = ''; });
  const picker = el('input', { type: 'file', accept: '.onnx,.pt2,.yaml,.yml', hidden: true, 'aria-label': 'A model or a spec' });
  picker.addEventListener('change', () => { const file = picker.files?.[0]; if (file) take(file); picker.value = ''; });
  const shareButton = el('button', { type: 'button', onclick: () => share() }, 'Share');
  const saveButton = el('button', { type: 'button', onclick: () => saveText() }, 'Save');
  fill(page,
    el('a.skip', { href: '#report' }, 'Skip to the report'),
    el('header.page-bar', {}, el('span.brand', {}, 'cnnkit'), el('nav.tabs', { 'aria-label': 'Views' }, ...tabs),
      el('div.tools', {}, chooser, el('button', { type: 'button', onclick: () => picker.click() }, 'Open\u2026'), picker, saveButton, shareButton, themeButton())),
    network, rates.root, tour,
    el('footer.page-foot', {}, el('p', {}, `cnnkit ${begun.version}. Everything is computed in this page: it makes no request after loading, and no spec or model leaves your machine. Proofs by execution need the program: cnnkit verify net.yaml.`)),
    el('div.toast', { role: 'status', 'aria-live': 'polite' }),
    el('div.drop', { hidden: true, 'aria-hidden': 'true' }, el('p', {}, 'Drop an ONNX model, an exported program (.pt2) or a spec')));
  const toast = /** @type {HTMLElement} */ (page.querySelector('.toast'));

  /** A model that is shown in place of the text. @type {{name: string, file: File} | null} */
  let model = null;
  let timer = 0;
  let slow = 0;
  let quiet = 0;
  engine.onchange = (job) => {
    clearTimeout(slow);
    stop.hidden = true;
    if (!job || job.slot !== 'live') return;
    slow = window.setTimeout(() => {
      stop.hidden = false;
      const since = () => { if (!stop.hidden) { status.textContent = `Computing for ${Math.round((performance.now() - job.started) / 1000)} s`; setTimeout(since, 1000); } };
      since();
    }, SLOW);
  };

  dropping();
  window.addEventListener('hashchange', () => fromFragment());
  if (!/^#(spec=|zoo:)/.test(location.hash)) {
    const draft = remembered();
    if (draft) edit(draft.name, draft.text);
    else edit('head.yaml', FIRST);
  }
  await fromFragment();
  if (!editor.name) edit('head.yaml', FIRST);
  page.dataset.ready = 'true';

  /** @param {string} name */
  function view(name) {
    for (const tab of tabs) tab.setAttribute('aria-pressed', String(tab.dataset.view === name));
    for (const [other, root] of Object.entries(views)) root.hidden = other !== name;
    document.body.dataset.view = name;
    if (name === 'rates') rates.ask();
    window.scrollTo(0, 0);
  }

  /** Says something for a moment. @param {string} text */
  function say(text) {
    toast.textContent = text;
    toast.classList.add('shown');
    clearTimeout(quiet);
    quiet = window.setTimeout(() => toast.classList.remove('shown'), 4000);
  }

  /** Shows a text in the editor. @param {string} name @param {string} text */
  function edit(name, text) {
    model = null;
    forget();
    editor.name = name;
    editor.text = text;
    title.textContent = name;
    modelCard.hidden = true;
    editor.root.hidden = false;
    view('network');
    now();
  }

  /** @param {string} name */
  function example(name) {
    const spec = specs.get(name);
    if (spec) edit(`${name}.yaml`, spec.text);
  }

  /** Another network is no change of the old one: nothing of its report is kept. */
  function forget() {
    delete (/** @type {any} */ (report).model);
    fill(report);
    stale.hidden = true;
    status.className = 'status';
    status.textContent = 'Computing\u2026';
    const beside = /** @type {HTMLElement} */ (report.parentElement);
    beside.scrollTop = 0;
  }

  function later() {
    clearTimeout(timer);
    // What the user typed is kept, not what a link or an example says.
    timer = window.setTimeout(() => { remember(editor.name, editor.text); now(); }, PAUSE);
  }

  async function now() {
    clearTimeout(timer);
    const { name, text } = editor;
    if (new Blob([text]).size > MOST_SPEC) {
      failed([problem(`the spec has more than ${bytes(MOST_SPEC)}`, 'the program reads no larger one either')]);
      return;
    }
    const answer = await engine.ask({ do: 'spec', name, text }, { slot: 'live' });
    if (answer.replaced || model || text !== editor.text) return;
    answered(answer);
  }

  /** @param {import('./engine.js').Answer} answer */
  function answered({ json, flaw, stopped, seconds = 0 }) {
    if (stopped) {
      status.textContent = 'Stopped';
      behind('The run was stopped. The report is of an earlier text.');
      return;
    }
    if (!json) {
      failed([problem(flaw ?? 'there is no answer', 'see the program: cnnkit report FILE -o report.html')]);
      return;
    }
    /** @type {Mark[]} */
    const marks = json.marks;
    if (!json.book) {
      failed(marks);
      return;
    }
    const unmet = json.book.networks[0].expectations.filter((/** @type {any} */ one) => !one.ok).map(expectation);
    const all = [...marks, ...unmet];
    editor.setMarks(all);
    stale.hidden = true;
    report.classList.remove('stale');
    const word = all.length ? plural(all.length, 'finding') : 'no findings';
    status.textContent = `${word} \u00b7 ${seconds < 0.0095 ? '<10' : Math.round(seconds * 1000)} ms`;
    status.className = `status ${marks.some((mark) => mark.severity === 'error') || unmet.length ? 'error' : all.length ? 'warning' : 'good'}`;
    draw(json.book);
  }

  /** Draws a report where the old one was scrolled to. @param {any} book */
  function draw(book) {
    const beside = /** @type {HTMLElement} */ (report.parentElement);
    const [inner, outer] = [beside.scrollTop, window.scrollY];
    show(report, book, { embedded: true });
    if (beside.scrollTop !== inner) beside.scrollTop = inner;
    if (window.scrollY !== outer) window.scrollTo(0, outer);
    document.title = `${book.networks[0].spec.name ?? 'network'} - cnnkit`;
  }

  /** @param {Mark[]} marks */
  function failed(marks) {
    editor.setMarks(marks);
    status.textContent = plural(marks.length, 'error');
    status.className = 'status error';
    behind('The figures are those of the last spec without an error.');
  }

  /** Says that the report is not of this text. @param {string} why */
  function behind(why) {
    const empty = !report.hasChildNodes();
    stale.textContent = empty ? 'There is no report yet: the spec has errors.' : why;
    stale.hidden = false;
    report.classList.add('stale');
  }

  /** @param {string} message @param {string} help @returns {Mark} */
  function problem(message, help) {
    return { severity: 'error', code: '', rule: null, message, help: [help], node: null, place: null, related: [], fix: null };
  }

  /** An expectation that is not met, at its place. @param {any} one @returns {Mark} */
  function expectation(one) {
    const at = /^(.*):(\d+):(\d+)$/s.exec(one.place ?? '');
    const lines = editor.text.split('\n');
    const found = `${one.name}${one.node ? ` of ${one.node}` : ''}: expected ${one.limit} ${one.expected}, found ${one.found ?? one.problem}`;
    const mark = problem(found.replace(/ {2,}/g, ' '), 'change the network, or the expectation');
    if (at && at[1] === editor.name) {
      const [line, column] = [Number(at[2]), Number(at[3])];
      const before = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
      const rest = [...(lines[line - 1] ?? '')].slice(0, column - 1).join('').length;
      const length = (lines[line - 1] ?? '').slice(rest).match(/^[^,}\]\s]+/)?.[0].length ?? 1;
      mark.place = { file: editor.name, line, column, from: before + rest, to: before + rest + length };
    }
    return mark;
  }

  /** Takes a file of the user. @param {File} file */
  async function take(file) {
    if (!MODEL.test(file.name)) {
      if (file.size > MOST_SPEC) say(`${file.name} has ${bytes(file.size)}; a spec has at most ${bytes(MOST_SPEC)}`);
      else edit(file.name, await file.text());
      return;
    }
    if (file.size > MOST_MODEL) {
      say(`${file.name} has ${bytes(file.size)}; a page has room for ${bytes(MOST_MODEL)}, the program for any`);
      return;
    }
    model = { name: file.name, file };
    forget();
    view('network');
    title.textContent = file.name;
    editor.root.hidden = true;
    editor.setMarks([]);
    modelCard.hidden = false;
    fill(modelCard, el('p', {}, el('strong', {}, file.name)), el('p', {}, `${bytes(file.size)}. It is read here and stays on your machine.`),
      el('div.bar', {}, el('button', { type: 'button', onclick: () => written() }, 'Write it as a spec'), el('button', { type: 'button', onclick: () => { edit(editor.name, editor.text); } }, 'Back to the spec')));
    const answer = await engine.ask({ do: 'model', name: file.name }, { slot: 'live', file: await file.arrayBuffer() });
    if (answer.replaced || model?.file !== file) return;
    answered(answer);
  }

  /** Writes the model as a spec into the editor. */
  async function written() {
    if (!model) return;
    const { name, file } = model;
    const { json, flaw } = await engine.ask({ do: 'written', name }, { slot: 'live', file: await file.arrayBuffer() });
    if (json) edit(name.replace(MODEL, '.yaml'), json.text);
    else say(flaw ?? 'stopped');
  }

  async function share() {
    try {
      const { rates: list, kernel, axes } = rates.get();
      const fragment = document.body.dataset.view === 'rates' ? `rates=${encodeURIComponent(list)}&kernel=${encodeURIComponent(kernel)}&axes=${axes}` : await packed({ name: editor.name, text: editor.text });
      history.replaceState(null, '', `#${fragment}`);
      try {
        await navigator.clipboard.writeText(location.href);
        say(`The link is on the clipboard: ${location.href.length} characters, the whole text is in it.`);
      } catch {
        say('The link is in the address bar; the whole text is in it.');
      }
    } catch (error) {
      say(`There is no link: ${error instanceof Error ? error.message : error}. Save the spec as a file instead.`);
    }
  }

  function saveText() {
    const link = el('a', { href: URL.createObjectURL(new Blob([editor.text], { type: 'text/yaml' })), download: editor.name.replace(/[^\w.-]+/g, '_') });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** Shows what a link says; anybody may have written it. */
  async function fromFragment() {
    const { hash } = location;
    try {
      const found = await unpacked(hash);
      if (found) {
        edit(/\.ya?ml$/.test(found.name) ? found.name : `${found.name}.yaml`, found.text);
        return;
      }
      if (hash.startsWith('#zoo:')) {
        const name = decodeURIComponent(hash.slice(5));
        if (!specs.has(name)) throw new Error(`there is no built-in spec ${name}`);
        example(name);
        return;
      }
      if (hash.startsWith('#rates=')) {
        const values = new URLSearchParams(hash.slice(1));
        view('rates');
        rates.set((values.get('rates') ?? '').slice(0, 400), (values.get('kernel') ?? '3').slice(0, 200), Math.min(3, Math.max(1, Number(values.get('axes')) || 2)));
      }
      if (hash === '#techniques') view('tour');
    } catch (error) {
      say(`The link cannot be read: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** Keeps the text in this browser, so that a page that is loaded again has it. @param {string} name @param {string} text */
  function remember(name, text) {
    try {
      localStorage.setItem(DRAFT, JSON.stringify({ name, text }));
    } catch {
      // No storage in this browser.
    }
  }

  /** @returns {{name: string, text: string} | null} */
  function remembered() {
    try {
      const draft = JSON.parse(localStorage.getItem(DRAFT) ?? 'null');
      return typeof draft?.name === 'string' && typeof draft?.text === 'string' && draft.text.trim() ? draft : null;
    } catch {
      return null;
    }
  }

  function dropping() {
    const drop = /** @type {HTMLElement} */ (page.querySelector('.drop'));
    let depth = 0;
    const files = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files');
    window.addEventListener('dragenter', (event) => { if (files(event)) { depth += 1; drop.hidden = false; } });
    window.addEventListener('dragleave', (event) => { if (files(event)) { depth = Math.max(0, depth - 1); drop.hidden = depth === 0; } });
    window.addEventListener('dragover', (event) => { if (files(event)) event.preventDefault(); });
    window.addEventListener('drop', (event) => {
      if (!files(event)) return;
      event.preventDefault();
      depth = 0;
      drop.hidden = true;
      const file = event.dataTransfer?.files[0];
      if (file) take(file);
    });
  }
}
