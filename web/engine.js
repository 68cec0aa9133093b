// cnnkit behind the page: requests wait for their turn, and a run that takes too long ends with its thread.

/** @typedef {{request: any, file?: ArrayBuffer, large: boolean, slot: string, resolve: (answer: Answer) => void, id: number, started: number}} Job */
/** What comes back: `json` is the answer, `flaw` why there is none. A request that a newer one replaced has neither.
 * @typedef {{json?: any, text?: string, flaw?: string, stopped?: boolean, replaced?: boolean, seconds?: number}} Answer */

/** A file of so many bytes leaves a memory behind that does not shrink: its thread ends with it. */
const LARGE = 1 << 26;
/** A run that a newer request replaces may take this long, in milliseconds, before its thread is ended. */
const PATIENCE = 1500;

export class Engine {
  /** @param {WebAssembly.Module} module @param {string} source the text of the worker */
  constructor(module, source) {
    this.module = module;
    this.url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    /** @type {Job[]} */
    this.waiting = [];
    /** @type {Job | null} */
    this.running = null;
    this.count = 0;
    /** The times that the thread was started anew. */
    this.restarts = -1;
    /** @type {(job: Job | null) => void} */
    this.onchange = () => {};
    this.start();
  }

  start() {
    this.restarts += 1;
    const worker = new Worker(this.url);
    this.worker = worker;
    worker.onmessage = ({ data }) => { if (worker === this.worker) this.answered(data); };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker === this.worker) this.answered({ id: this.running?.id, fatal: event.message || 'the thread ended' });
    };
    worker.postMessage({ module: this.module });
  }

  /** Asks once its turn comes; of several requests in one `slot`, the last counts. @param {any} request @param {{slot?: string, file?: ArrayBuffer}} [options] @returns {Promise<Answer>} */
  ask(request, { slot = '', file } = {}) {
    return new Promise((resolve) => {
      if (slot) {
        this.waiting = this.waiting.filter((job) => {
          if (job.slot === slot) job.resolve({ replaced: true });
          return job.slot !== slot;
        });
      }
      this.waiting.push({ request, file, large: (file?.byteLength ?? 0) > LARGE, slot, resolve, id: (this.count += 1), started: 0 });
      if (slot && this.running?.slot === slot) this.hurry(this.running);
      this.next();
    });
  }

  /** Ends a run that a newer request replaces, now or when it has had its time. @param {Job} job */
  hurry(job) {
    const left = PATIENCE - (performance.now() - job.started);
    setTimeout(() => {
      if (this.running === job && this.waiting.some((other) => other.slot === job.slot)) this.end({ replaced: true });
    }, Math.max(0, left));
  }

  next() {
    if (this.running) return;
    const job = this.waiting.shift();
    if (!job) return;
    this.running = job;
    job.started = performance.now();
    this.onchange(job);
    this.worker?.postMessage({ id: job.id, request: JSON.stringify(job.request), file: job.file }, job.file ? [job.file] : []);
  }

  /** Ends the run, and its thread with it. @param {Answer} answer */
  end(answer) {
    const job = this.running;
    if (!job) return;
    this.worker?.terminate();
    this.start();
    this.running = null;
    this.onchange(null);
    job.resolve(answer);
    this.next();
  }

  stop() {
    this.end({ stopped: true });
  }

  /** @param {{id?: number, answer?: string, flaw?: string, fatal?: string, seconds?: number}} data */
  answered(data) {
    const job = this.running;
    if (!job || data.id !== job.id) return;
    if (data.fatal !== undefined) {
      this.end({ flaw: unexpected(data.fatal) });
      return;
    }
    this.running = null;
    this.onchange(null);
    if (job.large) {
      this.worker?.terminate();
      this.start();
    }
    if (data.flaw !== undefined) job.resolve({ flaw: data.flaw });
    else {
      const text = data.answer ?? '';
      const json = JSON.parse(text);
      job.resolve(typeof json.flaw === 'string' ? { flaw: json.flaw } : { json, text, seconds: data.seconds });
    }
    this.next();
  }
}

/** @param {string} said */
function unexpected(said) {
  if (/memory access|unreachable/.test(said)) return 'This needs more memory than a page has. The program has no such limit: cnnkit report FILE -o report.html';
  return `cnnkit ended unexpectedly, which is a defect of cnnkit: please report it with the spec. It said: ${said}`;
}

/** Loads what the page needs: after this it makes no request. @returns {Promise<Engine>} */
export async function load() {
  const [module, source] = await Promise.all([compiled('cnnkit.wasm'), fetched('worker.js').then((response) => response.text())]);
  return new Engine(module, source);
}

/** @param {string} name */
async function fetched(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
}

/** @param {string} name */
async function compiled(name) {
  const response = await fetched(name);
  // A server that does not know the type of the file still serves it.
  if (response.headers.get('content-type') === 'application/wasm') return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}
