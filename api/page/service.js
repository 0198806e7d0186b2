// Sends requests to the public API. Addresses are relative: below a prefix the page works as at the root.

const MAX_ATTEMPTS = 8; // while the queue is full
const DEFAULT_PAUSE_SECONDS = 1;
const UNREACHABLE = 0; // the status of a request without a response
const TOO_MUCH = [413, UNREACHABLE]; // of several files: fewer may do, or one of them cannot be read

/** An error as RFC 9457 describes it: a status, a title and what to do. */
export class Problem extends Error {
  constructor(status, title, detail = "") {
    super(detail ? `${title}. ${detail}` : `${title}.`);
    Object.assign(this, { status, title, detail });
  }

  static of({ status, title = `The service responded with ${status}`, detail }) {
    return new Problem(status, title, detail);
  }

  static async read(response) {
    return Problem.of({ ...(await response.json().catch(() => ({}))), status: response.status });
  }
}

export class Service {
  key = "";

  async readCard() {
    return (await this.#send("model")).json();
  }

  async predict(file, frame, signal) {
    return (await this.#send("predict", { query: { frame }, body: file, signal })).json();
  }

  /** Classifies several files; each has an `result` or a `problem`. Where they are too much at once, half of them. */
  async predictBatch(files, signal) {
    const body = new FormData();
    for (const file of files) body.append("files", file);
    try {
      const { results, model } = await (await this.#send("predict/batch", { body, signal })).json();
      return results.map(({ prediction, problem }) =>
        problem ? { problem: Problem.of(problem) } : { result: { ...prediction, model } },
      );
    } catch (error) {
      if (files.length === 1 || !TOO_MUCH.includes(error.status)) throw error;
      const half = Math.ceil(files.length / 2);
      const [first, second] = [files.slice(0, half), files.slice(half)];
      return [...(await this.predictBatch(first, signal)), ...(await this.predictBatch(second, signal))];
    }
  }

  /** Asks for one picture: `scan`, the pixels as they were read, or `evidence`, to be laid over them. */
  async draw(file, query, signal) {
    return (await this.#send("predict/visualize", { query, body: file, signal })).blob();
  }

  async #send(path, { query = {}, body, signal } = {}) {
    const headers = new Headers(this.key ? { "X-API-Key": this.key } : {});
    if (body instanceof Blob) headers.set("Content-Type", "application/octet-stream");
    const options = { method: body ? "POST" : "GET", body, headers, signal };
    for (let attempt = 1; ; attempt += 1) {
      const response = await fetch(address(path, query), options).catch(explain);
      if (response.ok) return response;
      if (response.status !== 503 || attempt === MAX_ATTEMPTS) throw await Problem.read(response);
      await pause(response.headers.get("Retry-After") ?? DEFAULT_PAUSE_SECONDS, signal);
    }
  }
}

/** Puts a path and the parameters that have a value together. */
export function address(path, query) {
  const given = Object.entries(query).filter(([, value]) => value != null);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

function explain(error) {
  if (error.name === "AbortError") throw error;
  throw new Problem(UNREACHABLE, "The service cannot be reached, or the file cannot be read", "Try again in a moment.");
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
