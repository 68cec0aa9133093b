// The reading of a spec that an editor needs: where its words are, and where in the structure the caret stands. It is no
// parser of YAML; it must be right where people write, and never fail.

/** @typedef {{from: number, to: number, kind: 'key' | 'text' | 'number' | 'comment' | 'expression' | 'mark'}} Token */
/** @typedef {{path: string[], role: 'key' | 'value' | 'item', prefix: string, from: number, taken: string[]}} Place */

const WORD = /[\w.\-$+]/;

/** Where the comment of a line begins. @param {string} line */
function commentAt(line) {
  let quote = '';
  for (let i = 0; i < line.length; i += 1) {
    const c = line[i];
    if (quote) {
      if (c === '\\' && quote === '"') i += 1;
      else if (c === quote) quote = '';
    } else if ((c === '"' || c === "'") && (i === 0 || /[\s[{,:]/.test(line[i - 1]))) quote = c;
    else if (c === '#' && (i === 0 || /\s/.test(line[i - 1]))) return i;
  }
  return line.length;
}

/** The words of a line that have a colour. @param {string} line @returns {Token[]} */
export function tokens(line) {
  const end = commentAt(line);
  /** @type {Token[]} */
  const found = [];
  const pattern = /("(?:[^"\\]|\\.)*"|'[^']*')|([[\]{},]|^\s*-(?=\s|$)|:(?=\s|$))|([^\s[\]{},:#"']+(?::(?=\S)[^\s[\]{},:#"']*)*)/g;
  for (let match; (match = pattern.exec(line.slice(0, end)));) {
    const [all, quoted, mark] = match;
    const [from, to] = [match.index, match.index + all.length];
    if (mark) found.push({ from, to, kind: 'mark' });
    else if (/^\s*:(\s|$)/.test(line.slice(to, end))) found.push({ from, to, kind: 'key' });
    else if (quoted) found.push({ from, to, kind: all.includes('$') ? 'expression' : 'text' });
    else if (all.includes('$')) found.push({ from, to, kind: 'expression' });
    else if (/^-?[\d.][\d._]*(e[+-]?\d+)?$|^(true|false|null|~)$/i.test(all)) found.push({ from, to, kind: 'number' });
  }
  if (end < line.length) found.push({ from: end, to: line.length, kind: 'comment' });
  return found;
}

/** How many brackets a text leaves open. @param {string} text */
function openBrackets(text) {
  let open = 0;
  for (const line of text.split('\n')) {
    for (const c of line.slice(0, commentAt(line))) {
      if (c === '{' || c === '[') open += 1;
      else if (c === '}' || c === ']') open = Math.max(0, open - 1);
    }
  }
  return open;
}

/** Where the caret stands; null inside a comment or a quoted text. @param {string} text @param {number} caret @returns {Place | null} */
export function placeAt(text, caret) {
  /** @type {{column: number, name: string, keys: string[]}[]} */
  const stack = [];
  /** @type {string[]} */
  const top = [];
  const lines = text.slice(0, caret).split('\n');
  for (let number = 0; number < lines.length; number += 1) {
    let line = lines[number];
    let last = number === lines.length - 1;
    if (line.length > 2000) return null;
    if (commentAt(line) < line.length) {
      if (last) return null;
      line = line.slice(0, commentAt(line));
    }
    // A flow that goes on over several lines is one line.
    while (!last && openBrackets(line) > 0) {
      number += 1;
      last = number === lines.length - 1;
      const next = lines[number];
      if (last && commentAt(next) < next.length) return null;
      line += ` ${next.slice(0, commentAt(next))}`;
      if (line.length > 20_000) return null;
    }
    if (!last && !line.trim()) continue;
    let column = line.length - line.trimStart().length;
    let rest = line.slice(column);
    let dashes = 0;
    if (!last || rest) while (stack.length && stack[stack.length - 1].column >= column && !(rest.startsWith('-') && stack[stack.length - 1].name !== '[]' && stack[stack.length - 1].column === column)) stack.pop();
    else while (stack.length && stack[stack.length - 1].column >= column) stack.pop();
    for (let dash; (dash = rest.match(/^-(\s+|$)/));) {
      stack.push({ column, name: '[]', keys: [] });
      column += dash[0].length;
      rest = rest.slice(dash[0].length);
      dashes += 1;
    }
    const key = rest.match(/^("[^"]*"|'[^']*'|[^\s[\]{},:#"'][^[\]{},:#]*?)\s*:(\s+|$)/);
    const keysHere = () => stack[stack.length - 1]?.keys ?? top;
    if (key) {
      const name = key[1].replace(/^["']|["']$/g, '');
      keysHere().push(name);
      stack.push({ column, name, keys: [] });
      rest = rest.slice(key[0].length);
    }
    if (!last) continue;
    const path = stack.map((frame) => frame.name);
    return inFlow(rest, path, key ? 'value' : dashes || path[path.length - 1] === '[]' ? 'item' : 'key', caret, key ? [] : keysHere());
  }
  return null;
}

/** The place inside what a line has after its key. @param {string} rest @param {string[]} path @param {'key' | 'value' | 'item'} role @param {number} caret @param {string[]} taken @returns {Place | null} */
function inFlow(rest, path, role, caret, taken) {
  /** @type {{open: string, key: string | null, keys: string[]}[]} */
  const flows = [];
  let word = '';
  let before = '';
  let quote = '';
  for (let i = 0; i < rest.length; i += 1) {
    const c = rest[i];
    const flow = flows[flows.length - 1];
    if (quote) {
      if (c === quote) quote = '';
      continue;
    }
    if ((c === '"' || c === "'") && !word) quote = c;
    else if (c === '{' || c === '[') {
      flows.push({ open: c, key: null, keys: [] });
      [word, before] = ['', ''];
    } else if (c === '}' || c === ']') {
      flows.pop();
      [word, before] = ['', ''];
      if (!flows.length) role = 'value';
    } else if (c === ',' && flow) {
      flow.key = null;
      [word, before] = ['', ''];
    } else if (c === ':' && flow?.open === '{' && flow.key === null && /\s|^$/.test(rest[i + 1] ?? '')) {
      flow.key = (word || before).trim();
      flow.keys.push(flow.key);
      [word, before] = ['', ''];
    } else if (/\s/.test(c)) {
      if (word) before = word;
      word = '';
    } else word += c;
  }
  if (quote) return null;
  // A second word continues a plain text: nothing begins here.
  if (before && !word && flows.length === 0 && role !== 'key') return null;
  let prefix = word;
  while (prefix && !WORD.test(prefix[0])) prefix = prefix.slice(1);
  for (const [i, flow] of flows.entries()) {
    if (flow.open === '[') path = [...path, '[]'];
    else if (flow.key !== null) path = [...path, flow.key];
    if (i < flows.length - 1) continue;
    role = flow.open === '[' ? 'item' : flow.key === null ? 'key' : 'value';
    taken = flow.keys;
  }
  return { path, role, prefix, from: caret - prefix.length, taken };
}
