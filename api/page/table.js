// The table of all scans, one row each: what came of it, sorted as its heads say, gone through by arrow keys.
import { HEADLINES, nameReasons, percent } from "./words.js";

const THUMBNAIL_PIXELS = 96; // twice what is shown, for fine screens
const URGENCY = ["none", "consider", "required"];
const NO_RESULT = URGENCY.length; // a scan without a result is the most urgent

/** Makes an element with properties and children. */
export function create(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export class ScanTable {
  #table;
  #body;
  #select;
  #scans = [];
  #rows = new Map();
  #sort = { by: "order", isReversed: false };

  /** `select` is called with the scan that was chosen. */
  constructor(table, select) {
    this.#table = table;
    this.#body = table.querySelector("tbody");
    this.#select = select;
    for (const head of table.querySelectorAll("[data-sort]")) {
      head.addEventListener("click", () => this.#sortBy(head.dataset.sort));
    }
    this.#body.addEventListener("keydown", (event) => this.#onKey(event));
  }

  fill(scans) {
    this.#scans = scans;
    this.#rows = new Map(scans.map((scan) => [scan, this.#createRow(scan)]));
    this.#sort = { by: "order", isReversed: false };
    this.arrange();
  }

  update(scan) {
    const { result, problem } = scan;
    const [, name, confidence, review] = this.#rows.get(scan).cells;
    name.textContent = result?.prediction ?? (problem ? "No result" : "");
    confidence.textContent = result ? percent(result.confidence) : "";
    review.dataset.level = problem ? "required" : (result?.review?.level ?? "");
    const reasons = problem ? problem.message : (result?.review ? nameReasons(result.review) : "");
    const headline = problem ? "Failed" : (HEADLINES[result?.review?.level] ?? (result ? "Not known" : "Waiting"));
    review.replaceChildren(create("b", { textContent: headline }), create("span", { textContent: reasons }));
  }

  /** Marks the scan that is shown. */
  mark(scan) {
    for (const [other, row] of this.#rows) {
      row.classList.toggle("current", other === scan);
      const button = row.querySelector("button");
      button.tabIndex = other === scan ? 0 : -1; // one stop for the Tab key, arrow keys within
      if (other === scan) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    this.#reveal(this.#rows.get(scan));
  }

  async showThumbnail(scan, blob) {
    const bitmap = await createImageBitmap(blob);
    const scale = THUMBNAIL_PIXELS / Math.max(bitmap.width, bitmap.height);
    const canvas = this.#rows.get(scan).querySelector("canvas");
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (THUMBNAIL_PIXELS - width) / 2, (THUMBNAIL_PIXELS - height) / 2, width, height);
    bitmap.close();
  }

  /** The scan so many places after another one, in the table's order; null at its ends. */
  neighbour(scan, step) {
    const ordered = this.ordered();
    return ordered[ordered.indexOf(scan) + step] ?? null;
  }

  ordered() {
    const keys = {
      order: (scan) => this.#scans.indexOf(scan),
      class: (scan) => scan.result?.prediction ?? "",
      confidence: (scan) => scan.result?.confidence ?? -1,
      review: (scan) => -(scan.result ? URGENCY.indexOf(scan.result.review?.level) : NO_RESULT),
    };
    const key = keys[this.#sort.by];
    const pairs = this.#scans.map((scan) => [key(scan), scan]);
    pairs.sort(([first], [second]) => (first < second ? -1 : Number(first > second)));
    const ordered = pairs.map(([, scan]) => scan);
    return this.#sort.isReversed ? ordered.reverse() : ordered;
  }

  /** Puts the rows into the order that was asked for. */
  arrange() {
    this.#body.append(...this.ordered().map((scan) => this.#rows.get(scan)));
    const rows = new Set(this.#rows.values());
    for (const row of [...this.#body.rows]) if (!rows.has(row)) row.remove();
    for (const head of this.#table.querySelectorAll("[data-sort]")) {
      const isSorted = head.dataset.sort === this.#sort.by;
      const order = this.#sort.isReversed ? "descending" : "ascending";
      head.closest("th").setAttribute("aria-sort", isSorted ? order : "none");
    }
  }

  /** Scrolls the table, but not the page, to a row. */
  #reveal(row) {
    const frame = this.#table.parentElement;
    const [inner, outer] = [row.getBoundingClientRect(), frame.getBoundingClientRect()];
    const top = outer.top + this.#table.tHead.offsetHeight;
    if (inner.top < top) frame.scrollTop -= top - inner.top;
    else if (inner.bottom > outer.bottom) frame.scrollTop += inner.bottom - outer.bottom;
  }

  #sortBy(by) {
    this.#sort = { by, isReversed: this.#sort.by === by && !this.#sort.isReversed };
    this.arrange();
  }

  #createRow(scan) {
    const canvas = create("canvas", { width: THUMBNAIL_PIXELS, height: THUMBNAIL_PIXELS, ariaHidden: "true" });
    const button = create("button", { type: "button", textContent: scan.name, tabIndex: -1 });
    const head = create("th", { scope: "row" }, create("div", {}, canvas, button));
    const cells = Array.from({ length: 3 }, () => create("td", {}));
    const row = create("tr", {}, head, ...cells);
    row.addEventListener("click", () => this.#select(scan));
    return row;
  }

  #onKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const row = event.target.closest("tr");
    const next = step < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!next) return;
    next.click();
    next.querySelector("button").focus();
  }
}
