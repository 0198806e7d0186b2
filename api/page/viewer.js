// Shows a scan with the evidence over it; both zoom and move together, in one pane or side by side.

const MAX_ZOOM = 12;
const STEP = 0.1; // of the pane, for an arrow key
const WHEEL_SPEED = 0.0015;

export class Viewer {
  #element;
  #view = { zoom: 1, x: 0, y: 0 }; // x and y: where the picture begins, in parts of the pane
  #pointers = new Map();
  #urls = new Map();

  constructor(element) {
    this.#element = element;
    element.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    element.addEventListener("pointerdown", (event) => this.#onDown(event));
    element.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      element.addEventListener(kind, (event) => this.#pointers.delete(event.pointerId));
    }
    element.addEventListener("dblclick", () => this.fit());
    element.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Shows a picture in a layer, `scan` or `evidence`; nothing where it is null. */
  show(layer, blob, alt) {
    URL.revokeObjectURL(this.#urls.get(layer));
    this.#urls.set(layer, blob && URL.createObjectURL(blob));
    const images = this.#element.querySelectorAll(`.${layer}`);
    for (const image of images) {
      image.hidden = !blob;
      if (blob) image.src = this.#urls.get(layer);
    }
    images[0].alt = alt;
  }

  setOpacity(part) {
    this.#element.style.setProperty("--opacity", part);
  }

  split(isSplit) {
    this.#element.classList.toggle("split", isSplit);
  }

  fit() {
    this.#place({ zoom: 1, x: 0, y: 0 });
  }

  /** Zooms about a point, given in parts of the pane; by default its centre. */
  zoomBy(factor, [x, y] = [0.5, 0.5]) {
    const { zoom, x: left, y: top } = this.#view;
    const next = Math.min(MAX_ZOOM, Math.max(1, zoom * factor));
    this.#place({ zoom: next, x: x - ((x - left) * next) / zoom, y: y - ((y - top) * next) / zoom });
  }

  #moveBy(x, y) {
    this.#place({ zoom: this.#view.zoom, x: this.#view.x + x, y: this.#view.y + y });
  }

  #place({ zoom, x, y }) {
    const bound = (value) => Math.min(0, Math.max(1 - zoom, value)); // no gap between picture and pane
    this.#view = { zoom, x: bound(x), y: bound(y) };
    this.#element.classList.toggle("zoomed", zoom > 1);
    for (const [name, value] of Object.entries(this.#view)) this.#element.style.setProperty(`--${name}`, value);
  }

  #locate(event) {
    const pane = (event.target.closest(".pane") ?? this.#element).getBoundingClientRect();
    return [(event.clientX - pane.left) / pane.width, (event.clientY - pane.top) / pane.height];
  }

  #onWheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * WHEEL_SPEED), this.#locate(event));
  }

  #onDown(event) {
    event.target.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#locate(event));
  }

  #onMove(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#locate(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other) this.zoomBy(distance(now, other) / distance(before, other), middle(now, other));
    else if (this.#view.zoom > 1) this.#moveBy(now[0] - before[0], now[1] - before[1]);
  }

  #onKey(event) {
    const actions = {
      "+": () => this.zoomBy(1.5),
      "=": () => this.zoomBy(1.5),
      "-": () => this.zoomBy(1 / 1.5),
      0: () => this.fit(),
      ArrowLeft: () => this.#moveBy(STEP, 0),
      ArrowRight: () => this.#moveBy(-STEP, 0),
      ArrowUp: () => this.#moveBy(0, STEP),
      ArrowDown: () => this.#moveBy(0, -STEP),
    };
    const action = event.ctrlKey || event.metaKey ? null : actions[event.key];
    if (!action || (event.key.startsWith("Arrow") && this.#view.zoom === 1)) return;
    event.preventDefault();
    action();
  }
}

const distance = ([x, y], [otherX, otherY]) => Math.max(0.01, Math.hypot(x - otherX, y - otherY));
const middle = ([x, y], [otherX, otherY]) => [(x + otherX) / 2, (y + otherY) / 2];
