// What may be written where the caret stands, from the JSON schema of specs and from the names in the text.

import { placeAt } from './yaml.js';

/** @typedef {{label: string, insert: string, caret: number, detail: string}} Completion */
/** @typedef {{from: number, items: Completion[]}} Completions */
/** @typedef {Record<string, any>} Schema */

/** Most completions of a list. */
const MOST = 80;

/** Every alternative that a schema stands for. @param {Schema} root @param {Schema} schema @param {number} [depth] @returns {Schema[]} */
function alternatives(root, schema, depth = 0) {
  if (depth > 8 || !schema || typeof schema !== 'object') return [];
  const found = [schema];
  if (typeof schema.$ref === 'string') found.push(...alternatives(root, root.$defs[schema.$ref.replace('#/$defs/', '')], depth + 1));
  for (const other of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) found.push(...alternatives(root, other, depth + 1));
  return found;
}

/** The schemas of what is at `path`. @param {Schema} root @param {string[]} path @returns {Schema[]} */
function at(root, path) {
  let here = [root];
  for (const name of path) {
    const all = here.flatMap((schema) => alternatives(root, schema));
    here = all.flatMap((schema) => {
      if (name === '[]') return schema.items ? [schema.items] : [];
      const own = schema.properties?.[name];
      if (own) return [own];
      return schema.additionalProperties && typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : [];
    });
  }
  return here.flatMap((schema) => alternatives(root, schema));
}

/** Whether a layer cannot be written by its name alone: its first argument has no default. @param {Schema} root @param {Schema} schema */
function needsArguments(root, schema) {
  return alternatives(root, schema).some((one) => {
    const [first] = Object.values(one.properties ?? {});
    if (!first || 'default' in first) return false;
    return !alternatives(root, first).some((value) => value.type === 'null' || (Array.isArray(value.type) && value.type.includes('null')));
  });
}

/** The names that the text gives: blocks, variables and arguments, ids. @param {string} text */
function namesIn(text) {
  const blocks = new Set();
  const variables = new Set();
  let section = '';
  for (const line of text.split('\n')) {
    const top = line.match(/^([\w-]+)\s*:(.*)/);
    if (top) section = top[1];
    const below = line.match(/^ {2}([\w.-]+)\s*:/);
    if (section === 'blocks' && below) blocks.add(below[1]);
    if (section === 'variables') {
      if (below) variables.add(below[1]);
      for (const match of top?.[2].matchAll(/([A-Za-z_]\w*)\s*:/g) ?? []) variables.add(match[1]);
    }
    for (const match of line.match(/\bargs\s*:\s*\{([^}]*)/)?.[1].matchAll(/([A-Za-z_]\w*)\s*:/g) ?? []) variables.add(match[1]);
  }
  const ids = new Set([...text.matchAll(/(?:^|[{,\s-])id:\s*([\w.-]+)/g)].map((match) => match[1]));
  return { blocks: [...blocks], variables: [...variables], ids: [...ids] };
}

/** A value of the schema as it is written. @param {unknown} value */
function written(value) {
  return value === null ? '~' : String(value);
}

/** What may be written at the caret. @param {Schema} schema @param {string} text @param {number} caret @param {{blocks?: string[], files?: string[]}} [known] @returns {Completions} */
export function completions(schema, text, caret, known = {}) {
  const place = placeAt(text, caret);
  if (!place) return { from: caret, items: [] };
  const { path, role, prefix, from, taken } = place;
  const names = namesIn(text);
  const here = at(schema, path);
  /** @type {Map<string, Completion>} */
  const found = new Map();
  /** @param {string} label @param {string} insert @param {string} detail @param {number} [stop] */
  const add = (label, insert, detail, stop) => {
    if (!found.has(label)) found.set(label, { label, insert, caret: stop ?? insert.length, detail });
  };
  const layers = path[path.length - 1] === '[]' && here.some((one) => one.properties?.conv || one.enum?.includes('conv'));
  if (prefix.startsWith('$')) {
    for (const name of names.variables) add(`$${name}`, `$${name}`, 'a variable of this spec');
  } else {
    if (role !== 'value') {
      for (const one of here) {
        for (const [name, value] of Object.entries(/** @type {Record<string, Schema>} */ (one.properties ?? {}))) {
          if (taken.includes(name)) continue;
          const detail = value.description ?? alternatives(schema, value).find((other) => other.description)?.description ?? '';
          if (!layers || role === 'key') add(name, `${name}: `, detail);
          else if (one.properties?.conv && needsArguments(schema, value)) add(name, `${name}: {}`, detail, name.length + 3);
          else add(name, ['id', 'from', 'if', 'share', 'residual', 'branches', 'repeat', 'sequential', 'dense'].includes(name) ? `${name}: ` : name, detail);
        }
      }
      if (layers) for (const name of [...names.blocks, ...(known.blocks ?? [])]) add(name, name, 'a block');
    }
    if (role !== 'key') {
      const key = [...path].reverse().find((name) => name !== '[]');
      for (const one of here) {
        if (!layers) for (const value of one.enum ?? []) add(written(value), written(value), one.description ?? '');
        if ('const' in one) add(written(one.const), written(one.const), one.description ?? '');
        if (one.type === 'boolean') ['true', 'false'].forEach((value) => add(value, value, ''));
      }
      if (key === 'from' || key === 'outputs' || key === 'share') names.ids.forEach((id) => add(id, id, 'the id of a layer'));
      if (key === 'include') (known.files ?? []).forEach((file) => add(file, file, 'built-in blocks'));
      const numeric = here.some((one) => one.type === 'integer' || one.type === 'number' || one.pattern);
      if (numeric) names.variables.forEach((name) => add(`$${name}`, `$${name}`, 'a variable of this spec'));
    }
  }
  const wanted = prefix.toLowerCase();
  /** @param {Completion} item */
  const rank = (item) => {
    const label = item.label.toLowerCase();
    return label.startsWith(wanted) ? 0 : label.includes(wanted) ? 1 : 2;
  };
  const all = [...found.values()].map((item, order) => ({ item, order, rank: rank(item) })).filter((one) => one.rank < 2);
  all.sort((a, b) => a.rank - b.rank || a.order - b.order);
  // An alias of an argument says the same as the argument.
  const said = new Set();
  const distinct = all.filter(({ item }) => layers || role !== 'key' || !item.detail || (said.has(item.detail) ? false : said.add(item.detail)));
  const items = distinct.slice(0, MOST).map((one) => one.item);
  // What is written already needs no list.
  return { from, items: items.length === 1 && items[0].label === prefix ? [] : items };
}
