// One network of the report: the data, sums over it, and which layer is chosen. All parts of the page share it.

/** @typedef {{id: string, op: string, settings: string, input_shapes: (number[] | null)[], output_shape: number[] | null, params: number, buffers: number, macs: number, sampling_macs: number, other_ops: number, flops: number, shares?: string}} Layer */
/** @typedef {{id: string, inputs: number[], shape: number[] | null, weights?: {name: string, shape: number[], buffer?: boolean}[], place?: string, uses?: [string, string][]}} NodeData */
/** @typedef {{node?: number, block?: number}} Shown */
/** @typedef {{child?: number, lane?: number}} Slot */
/** @typedef {{node: number, from: number | null, to: number[], leaves: boolean}} Wires */
/** @typedef {{name: string, parent: number | null, nodes: [number, number], children: Shown[], nets: Wires[], ranks: Slot[][]}} Block */
/** @typedef {{id: string, input: string, size: number[], jump: (number | string)[], padding: (number | null)[], global?: boolean, global_context?: boolean, aligned?: boolean, bound?: boolean, varies?: boolean, seen: number, sampling?: unknown}} Rf */
/** @typedef {{rule: string, name: string, severity: string, message: string, file: string, line: number | null, column: number | null, node: string | null, help: string | null}} Finding */
/** @typedef {{claim: string, node: string, predicted: string, measured: string, method: string, ok: boolean}} Claim */
/** @typedef {{name: string, node: string | null, limit: string, expected: string, found: string | null, problem: string | null, ok: boolean, place: string | null}} Expected */
/** @typedef {{length: number, paths: number}} Length */

/**
 * @typedef {Object} Network
 * @property {{name: string | null, path: string | null}} spec
 * @property {string} description
 * @property {{totals: any, status: string, layers: Layer[], outputs: {id: string}[], not_analysed?: any[], remarks?: string[]}} params
 * @property {{layers: Rf[], misaligned: any[]}} [rf]
 * @property {{node: number, size: number[], global: boolean} | null} headline
 * @property {{outputs: any[], seams: any[]}} [channels]
 * @property {{outputs: any[], dense_blocks: any[]}} [paths]
 * @property {{findings: Finding[], suppressed: Finding[], skipped: any[], summary: any}} check
 * @property {Expected[]} expectations
 * @property {{claims: Claim[], notes: string[], choices: string[], ok: boolean}} [verify]
 * @property {{seconds: number, runs: number, threads: number, rates: {flops: number, bytes: number}, steps: {node: number, seconds: number, with?: number}[]}} [profile]
 * @property {{nodes: NodeData[], outputs: number[], last_uses: number[], tree: {blocks: Block[]} | null, reaches: import('./support.js').Reaches, kinds: Record<string, {summary: string, formulas: [string, string][], source: string}>}} graph
 * @property {Record<string, string>} missing
 */

/** Bytes of an element: f32. */
export const ELEMENT = 4;

/** @param {number[] | null | undefined} shape */
export function elements(shape) {
  return shape ? shape.reduce((a, b) => a * b, 1) : 0;
}

/** A network with its figures per node and the choice that all parts share. */
export class Model {
  /** @param {Network} network @param {Map<string, boolean>} [opened] which blocks are open, by their names */
  constructor(network, opened = new Map()) {
    this.opened = opened;
    this.network = network;
    this.nodes = network.graph.nodes;
    this.layers = network.params.layers;
    this.name = network.spec.name ?? 'network';
    /** @type {Map<string, number>} */
    this.index = new Map(this.nodes.map((node, i) => [node.id, i]));
    /** @type {number[][]} */
    this.readers = this.nodes.map(() => []);
    this.nodes.forEach((node, i) => new Set(node.inputs).forEach((from) => this.readers[from].push(i)));
    /** @type {Rf[][]} */
    this.fields = this.nodes.map(() => []);
    for (const field of network.rf?.layers ?? []) this.fields[this.index.get(field.id) ?? -1]?.push(field);
    /** Measured seconds of each node; 0 where another one's step computes it. */
    this.seconds = this.nodes.map(() => 0);
    /** The node whose step computes a node. */
    this.hosts = this.nodes.map((_, node) => node);
    for (const step of network.profile?.steps ?? []) {
      this.seconds[step.node] = step.seconds;
      this.hosts[step.node] = step.with ?? step.node;
    }
    this.chosen = -1;
    /** @type {((node: number, from: string) => void)[]} */
    this.listeners = [];
  }

  /** @param {number} node */
  isInput(node) {
    return this.layers[node].op === 'input';
  }

  /** @param {number} node */
  weighs(node) {
    return (this.nodes[node].weights ?? []).length > 0;
  }

  /** Bytes of a node's output in f32. @param {number} node */
  outputBytes(node) {
    return elements(this.nodes[node].shape) * ELEMENT;
  }

  /** Bytes of a layer's weights, shared ones included, in f32. @param {number} node */
  weightBytes(node) {
    const { params, buffers } = this.layers[node];
    const weights = params + buffers || (this.nodes[node].weights ?? []).reduce((sum, weight) => sum + elements(weight.shape), 0);
    return weights * ELEMENT;
  }

  /**
   * The nodes that are computed at once, each with the node that they are named after; without measured times, every
   * layer is computed by itself.
   * @returns {{node: number, all: number[]}[]}
   */
  steps() {
    /** @type {Map<number, number[]>} */
    const all = new Map();
    this.hosts.forEach((host, node) => {
      if (!this.isInput(node)) all.set(host, [...(all.get(host) ?? []), node]);
    });
    return [...all].map(([node, nodes]) => ({ node, all: nodes }));
  }

  /**
   * Bytes that nodes computed at once move, if they read each input and weight once and write each output once, in f32;
   * what only they themselves read is not moved.
   * @param {number[]} nodes
   */
  traffic(...nodes) {
    const inside = new Set(nodes);
    const read = new Set(nodes.flatMap((node) => this.nodes[node].inputs).filter((from) => !inside.has(from)));
    const left = nodes.filter((node) => this.network.graph.outputs.includes(node) || !this.readers[node].length || this.readers[node].some((reader) => !inside.has(reader)));
    const sum = (/** @type {Iterable<number>} */ some) => [...some].reduce((bytes, node) => bytes + this.outputBytes(node), 0);
    return sum(read) + sum(left) + nodes.reduce((bytes, node) => bytes + this.weightBytes(node), 0);
  }

  /** @param {(node: number, from: string) => void} listener */
  onChoose(listener) {
    this.listeners.push(listener);
  }

  /** Chooses a node; -1 for none. @param {number} node @param {string} from the part that chose it */
  choose(node, from) {
    if (node === this.chosen && from !== 'link') return;
    this.chosen = node;
    this.listeners.forEach((listener) => listener(node, from));
  }

  /** The bytes that are live at each step, inputs included. @returns {number[]} */
  liveBytes() {
    const last = this.network.graph.last_uses;
    const change = new Array(this.nodes.length + 1).fill(0);
    this.nodes.forEach((_, node) => {
      const bytes = this.outputBytes(node);
      // Inputs exist before the first step.
      change[this.isInput(node) ? 0 : node] += bytes;
      if (last[node] + 1 < change.length) change[last[node] + 1] -= bytes;
    });
    let sum = 0;
    return this.nodes.map((_, step) => (sum += change[step]));
  }

  /** The tensors that are live at a step, largest first. @param {number} step @returns {number[]} */
  liveAt(step) {
    const last = this.network.graph.last_uses;
    const live = this.nodes.flatMap((_, node) => ((node <= step || this.isInput(node)) && last[node] >= step ? [node] : []));
    return live.sort((a, b) => this.outputBytes(b) - this.outputBytes(a) || a - b);
  }
}
