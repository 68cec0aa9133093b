// The editor: a text area over its own coloured copy, with flaws at their places and a list of what may be written.

import { el, fill } from './page/dom.js';
import { completions } from './complete.js';
import { tokens } from './yaml.js';

/** @typedef {{file: string, from: number, to: number, line: number, column: number}} Spot */
/** @typedef {{severity: string, code: string, rule: string | null, message: string, help: string[], node: string | null, place: Spot | null, related: [Spot, string][], fix: {title: string, safe: boolean, edits: [Spot, string][]} | null}} Mark */
/** @typedef {import('./complete.js').Completion} Completion */

/** Height of a line in pixels; the style sheet has the same. */
const LINE = 20;
/** Space before the first line and the first column, as in the style sheet. */
const PADDING = [10, 12];
/** Lines that are coloured: beyond, a text is only text. */
const MOST_LINES = 4000;
/** Characters of a line that are coloured. */
const LONGEST = 500;
const RANK = ['note', 'warning', 'error'];

export class Editor {
  /** @param {() => void} changed is called whenever the text changes */
  constructor(changed) {
    this.changed = changed;
    /** @type {any} */
    this.schema = null;
    /** @type {{blocks?: string[], files?: string[]}} */
    this.known = {};
    /** @type {Mark[]} */
    this.marks = [];
    this.name = '';
    this.area = el('textarea', { spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', autocorrect: 'off', wrap: 'off', 'aria-label': 'Spec of the network, in YAML', 'aria-describedby': 'editor-keys', 'aria-autocomplete': 'list', 'aria-controls': 'completions' });
    this.copy = el('div.copy', { 'aria-hidden': 'true' });
    this.numbers = el('div.line-numbers', { 'aria-hidden': 'true' });
    this.list = el('ul.completions', { id: 'completions', role: 'listbox', 'aria-label': 'Completions', hidden: true });
    this.problems = el('ul.problems', { 'aria-label': 'Errors, warnings and notes' });
    this.sheet = el('div.sheet', {}, this.copy, this.area, this.list);
    this.root = el('div.editor', {}, el('div.gutter', {}, this.numbers), this.sheet);
    /** @type {string[]} */
    this.shown = [];
    /** @type {{from: number, items: Completion[], chosen: number} | null} */
    this.offer = null;
    this.leaving = false;
    this.area.addEventListener('input', (event) => this.typed(/** @type {InputEvent} */ (event)));
    this.area.addEventListener('scroll', () => this.scrolled());
    this.area.addEventListener('keydown', (event) => this.key(event));
    this.area.addEventListener('pointerdown', () => this.close());
    this.area.addEventListener('blur', () => { this.leaving = false; setTimeout(() => this.close(), 150); });
    this.width = 0;
    this.draw();
  }

  get text() {
    return this.area.value;
  }

  /** Replaces everything. @param {string} text */
  set text(text) {
    this.area.value = text;
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
    this.marks = [];
    this.close();
    this.draw();
    fill(this.problems);
  }

  /** @param {InputEvent} event */
  typed(event) {
    // Until the next answer, a flaw stands where its text was if that is still there.
    this.marks = this.marks.filter((mark) => mark.place && mark.place.to <= this.area.selectionStart - 1);
    this.draw();
    this.changed();
    if (event.inputType === 'insertText' && /[\w$]/.test(event.data ?? '')) this.suggest();
    else if (event.inputType === 'insertText' && /[{[, ]/.test(event.data ?? '') && /[{[,:-] ?$/.test(this.lineBefore())) this.suggest();
    else if (event.inputType?.startsWith('delete') && this.offer) this.suggest();
    else this.close();
  }

  lineBefore() {
    const { value, selectionStart } = this.area;
    return value.slice(value.lastIndexOf('\n', selectionStart - 1) + 1, selectionStart);
  }

  scrolled() {
    this.copy.style.transform = `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`;
    this.numbers.style.transform = `translateY(${-this.area.scrollTop}px)`;
    this.close();
  }

  /** Replaces a part so that it can be undone. @param {number} from @param {number} to @param {string} text @param {number} [caret] */
  replace(from, to, text, caret = text.length) {
    this.area.focus();
    this.area.setSelectionRange(from, to);
    if (!document.execCommand('insertText', false, text)) {
      this.area.setRangeText(text, from, to, 'end');
      this.area.dispatchEvent(new InputEvent('input'));
    }
    this.area.setSelectionRange(from + caret, from + caret);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const offer = this.offer;
    const leaving = this.leaving;
    this.leaving = false;
    if ((event.ctrlKey || event.metaKey) && event.key === ' ') {
      event.preventDefault();
      this.suggest();
    } else if (event.key === 'Escape') {
      this.leaving = !offer;
      this.close();
    } else if (offer && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      const count = offer.items.length;
      this.choose((offer.chosen + (event.key === 'ArrowDown' ? 1 : count - 1)) % count);
    } else if (offer && (event.key === 'Enter' || event.key === 'Tab') && !event.shiftKey) {
      event.preventDefault();
      this.accept(offer.items[offer.chosen]);
    } else if (event.key === 'Tab' && !leaving && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.indent(event.shiftKey);
    } else if (event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.isComposing) {
      event.preventDefault();
      this.newline();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && this.area.selectionStart === this.area.selectionEnd) this.bracket(event);
  }

  /** Closes a bracket that is opened where nothing follows, and steps over one that is there. @param {KeyboardEvent} event */
  bracket(event) {
    const { value, selectionStart: caret } = this.area;
    const next = value[caret] ?? '\n';
    const closing = { '{': '}', '[': ']' }[event.key];
    if (closing && /[\s}\],]/.test(next)) {
      event.preventDefault();
      this.replace(caret, caret, event.key + closing, 1);
      this.suggest();
    } else if ((event.key === '}' || event.key === ']') && next === event.key) {
      event.preventDefault();
      this.area.setSelectionRange(caret + 1, caret + 1);
      this.close();
    }
  }

  newline() {
    const { selectionStart, selectionEnd } = this.area;
    const before = this.lineBefore();
    const indent = before.match(/^\s*/)?.[0] ?? '';
    const item = before.match(/^\s*-\s+(?=\S)/)?.[0];
    const opens = /:\s*$/.test(before);
    const next = opens ? `${item ? ' '.repeat(item.length) : indent}  ` : item && !/[{[,]\s*$/.test(before) ? `${indent}- ` : indent;
    this.replace(selectionStart, selectionEnd, `\n${next}`);
  }

  /** @param {boolean} back */
  indent(back) {
    const { value, selectionStart, selectionEnd } = this.area;
    const first = value.lastIndexOf('\n', selectionStart - 1) + 1;
    if (!back && selectionStart === selectionEnd) {
      this.replace(selectionStart, selectionEnd, '  ');
      return;
    }
    const end = value.indexOf('\n', Math.max(first, selectionEnd - 1));
    const part = value.slice(first, end < 0 ? value.length : end);
    const moved = part.split('\n').map((line) => (back ? line.replace(/^ {1,2}/, '') : line && `  ${line}`)).join('\n');
    if (moved === part) return;
    this.replace(first, first + part.length, moved);
    this.area.setSelectionRange(first, first + moved.length);
  }

  suggest() {
    if (!this.schema || this.area.selectionStart !== this.area.selectionEnd) return;
    const { from, items } = completions(this.schema, this.area.value, this.area.selectionStart, this.known);
    if (!items.length) {
      this.close();
      return;
    }
    this.offer = { from, items, chosen: 0 };
    fill(this.list, ...items.map((item, i) => el('li', { role: 'option', id: `completion-${i}`, onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); this.accept(item); } }, el('span.completion-label', {}, item.label), el('span.completion-text', {}, item.detail))));
    this.list.hidden = false;
    const line = this.area.value.slice(0, from).split('\n').length - 1;
    const column = from - (this.area.value.lastIndexOf('\n', from - 1) + 1);
    const top = PADDING[0] + line * LINE - this.area.scrollTop;
    const room = this.sheet.clientHeight;
    const height = Math.min(212, this.list.scrollHeight + 2);
    const below = top + LINE + height < room || top < room / 2;
    this.list.style.top = `${below ? top + LINE : Math.max(0, top - height)}px`;
    this.list.style.maxHeight = `${Math.max(80, below ? Math.min(212, room - top - LINE - 2) : Math.min(212, top))}px`;
    const left = PADDING[1] + column * this.charWidth() - this.area.scrollLeft - 8;
    this.list.style.left = `${Math.max(0, Math.min(left, this.sheet.clientWidth - this.list.offsetWidth - 4))}px`;
    this.choose(0);
  }

  charWidth() {
    if (!this.width) {
      const context = document.createElement('canvas').getContext('2d');
      const style = getComputedStyle(this.area);
      if (context) context.font = `${style.fontSize} ${style.fontFamily}`;
      this.width = context ? context.measureText('0'.repeat(100)).width / 100 : 8;
    }
    return this.width;
  }

  /** @param {number} index */
  choose(index) {
    if (!this.offer) return;
    this.offer.chosen = index;
    [...this.list.children].forEach((option, i) => option.setAttribute('aria-selected', String(i === index)));
    this.list.children[index]?.scrollIntoView({ block: 'nearest' });
    this.area.setAttribute('aria-activedescendant', `completion-${index}`);
  }

  /** @param {Completion} item */
  accept(item) {
    const offer = this.offer;
    if (!offer) return;
    this.close();
    this.replace(offer.from, this.area.selectionStart, item.insert, item.caret);
    // What was accepted may open the next list.
    if (item.caret < item.insert.length || item.insert.endsWith(': ')) this.suggest();
    else this.close();
  }

  close() {
    this.offer = null;
    this.list.hidden = true;
    this.area.removeAttribute('aria-activedescendant');
  }

  /** Shows flaws: the text, the list below, and at the lines. @param {Mark[]} marks */
  setMarks(marks) {
    this.marks = marks;
    this.draw();
    fill(this.problems, ...marks.slice(0, 200).map((mark) => this.problem(mark)));
  }

  /** @param {Mark} mark */
  problem(mark) {
    const own = mark.place && mark.place.file === this.name;
    const where = mark.place ? (own ? `${mark.place.line}:${mark.place.column}` : `${mark.place.file}:${mark.place.line}`) : '';
    const fixable = mark.fix && mark.fix.edits.length && mark.fix.edits.every(([spot]) => spot.file === this.name) ? mark.fix : null;
    const head = [el(`span.badge.${RANK.includes(mark.severity) ? mark.severity : 'note'}`, {}, mark.severity), el('span.where', {}, where), el('span.message', {}, mark.message)];
    return el('li', {},
      own && mark.place ? el('button.jump', { type: 'button', onclick: () => this.jump(/** @type {Spot} */ (mark.place)) }, ...head) : el('p.jump', {}, ...head),
      ...mark.help.map((help) => el('p.help', {}, help)),
      ...mark.related.slice(0, 4).map(([spot, remark]) => el('p.help', {}, `${remark}, ${spot.file}:${spot.line}`)),
      fixable ? el('p.help', {}, el('button.link', { type: 'button', onclick: () => this.fix(fixable.edits) }, `Fix: ${fixable.title}`)) : null);
  }

  /** @param {[Spot, string][]} edits */
  fix(edits) {
    // From the end, so that places before stay as they are.
    for (const [spot, text] of [...edits].sort((a, b) => b[0].from - a[0].from)) this.replace(spot.from, spot.to, text);
  }

  /** Selects a place. @param {Spot} spot */
  jump(spot) {
    this.area.focus();
    this.area.setSelectionRange(spot.from, Math.max(spot.to, spot.from));
    this.area.scrollTop = Math.max(0, (spot.line - 1) * LINE - this.area.clientHeight / 2);
    this.area.scrollLeft = Math.max(0, spot.column * this.charWidth() - this.area.clientWidth + 80);
  }

  /** Draws the lines that are not as they were. */
  draw() {
    const lines = this.area.value.split('\n').slice(0, MOST_LINES);
    /** @type {Map<number, Mark[]>} */
    const flaws = new Map();
    for (const mark of this.marks) {
      if (!mark.place || mark.place.file !== this.name) continue;
      const list = flaws.get(mark.place.line - 1) ?? [];
      list.push(mark);
      flaws.set(mark.place.line - 1, list);
    }
    let start = 0;
    const signatures = lines.map((line, i) => {
      const here = flaws.get(i)?.map((mark) => `${mark.severity} ${(mark.place?.from ?? 0) - start} ${(mark.place?.to ?? 0) - start} ${mark.message}`).join('\n') ?? '';
      start += line.length + 1;
      return `${line}\n${here}`;
    });
    let same = 0;
    while (same < signatures.length && same < this.shown.length && signatures[same] === this.shown[same]) same += 1;
    let end = 0;
    while (end < signatures.length - same && end < this.shown.length - same && signatures[signatures.length - 1 - end] === this.shown[this.shown.length - 1 - end]) end += 1;
    const old = [...this.copy.children];
    old.slice(same, this.shown.length - end).forEach((child) => child.remove());
    const anchor = old[this.shown.length - end] ?? null;
    let offset = lines.slice(0, same).reduce((sum, line) => sum + line.length + 1, 0);
    for (let i = same; i < lines.length - end; i += 1) {
      this.copy.insertBefore(drawn(lines[i], offset, flaws.get(i) ?? []), anchor);
      offset += lines[i].length + 1;
    }
    this.shown = signatures;
    while (this.numbers.children.length > lines.length) this.numbers.lastChild?.remove();
    while (this.numbers.children.length < lines.length) this.numbers.append(el('div', {}, String(this.numbers.children.length + 1)));
    [...this.numbers.children].forEach((number, i) => {
      const worst = Math.max(-1, ...(flaws.get(i) ?? []).map((mark) => RANK.indexOf(mark.severity)));
      number.className = worst < 0 ? '' : RANK[worst];
    });
  }
}

/** A line with its colours, its flaws underlined, and what the worst of them says behind it. @param {string} line @param {number} offset @param {Mark[]} marks */
function drawn(line, offset, marks) {
  const row = el('div.row');
  const ranges = marks.map((mark) => ({ from: Math.max(0, (mark.place?.from ?? 0) - offset), to: Math.min(line.length, Math.max((mark.place?.to ?? 0), (mark.place?.from ?? 0) + 1) - offset), mark }));
  const words = tokens(line.slice(0, LONGEST));
  const cuts = [...new Set([0, line.length, ...words.flatMap((word) => [word.from, word.to]), ...ranges.flatMap((range) => [range.from, range.to])])].filter((cut) => cut >= 0 && cut <= line.length).sort((a, b) => a - b);
  for (let i = 0; i + 1 < cuts.length; i += 1) {
    const [from, to] = [cuts[i], cuts[i + 1]];
    const word = words.find((one) => one.from <= from && to <= one.to);
    const flaw = ranges.filter((range) => range.from <= from && to <= range.to).sort((a, b) => RANK.indexOf(b.mark.severity) - RANK.indexOf(a.mark.severity))[0];
    const text = line.slice(from, to);
    if (!word && !flaw) row.append(text);
    else {
      const span = document.createElement('span');
      span.textContent = text;
      if (word) span.classList.add(`y-${word.kind}`);
      if (flaw) span.classList.add('flaw', RANK.includes(flaw.mark.severity) ? flaw.mark.severity : 'note');
      row.append(span);
    }
  }
  const worst = [...marks].sort((a, b) => RANK.indexOf(b.severity) - RANK.indexOf(a.severity))[0];
  if (worst) row.append(el(`span.lens.${RANK.includes(worst.severity) ? worst.severity : 'note'}`, {}, worst.message));
  if (!row.hasChildNodes()) row.append('\u200b');
  return row;
}
