// The page at `/`: sends scans to /predict, /predict/batch and /predict/visualize, as any client does, and shows what
// comes back. Nothing is stored, here or there.
import { writeCsv } from "./csv.js";
import { readDrop, readInput } from "./files.js";
import { address, Service } from "./service.js";
import { create, ScanTable } from "./table.js";
import { Viewer } from "./viewer.js";
import { describeInput, describeMetrics, describeReview, describeSet, HEADLINES, percent } from "./words.js";

const LANES = 2; // requests at once: the service works on one while the next is on its way
const BATCH_FILES = 4; // few, so that the table fills steadily
const SHOWN_BY_BROWSERS = ["PNG", "JPEG", "WEBP", "BMP"];
const EXAMPLES = "page/examples";

const find = (selector) => document.querySelector(selector);
const service = new Service();
const viewer = new Viewer(find(".view"));
const table = new ScanTable(find("table"), select);

let scans = []; // { file, name, result, problem }
let current = null;
let card = null;
let session = new AbortController(); // of the scans that were opened last
let drawing = new AbortController(); // of the pictures of the scan that is shown
let evidence = new Map(); // those pictures, by class

// ---- Opening and classifying -------------------------------------------------------------------------------------

async function openScans(files) {
  if (!files.length) {
    complain("There is no scan in what was chosen.");
    return;
  }
  session.abort();
  session = new AbortController();
  scans = files.map(({ file, name }) => ({ file, name, result: null, problem: null }));
  table.fill(scans);
  scans.forEach((scan) => table.update(scan));
  find(".scans").hidden = scans.length === 1;
  document.body.classList.toggle("several", scans.length > 1);
  select(scans[0]);
  await classifyAll();
}

/** Classifies what has no result yet, the scan that is shown first. */
async function classifyAll() {
  const { signal } = session;
  const waiting = scans.filter((scan) => !scan.result);
  waiting.forEach((scan) => (scan.problem = null));
  const runLane = async () => {
    while (waiting.length && !signal.aborted) {
      const batch = waiting.splice(Math.max(0, waiting.indexOf(current)), BATCH_FILES);
      await classifyBatch(batch, signal);
      if (batch[0].problem?.status === 401) waiting.length = 0;
    }
  };
  showProgress();
  await Promise.all(Array.from({ length: LANES }, runLane));
  if (signal.aborted || scans.length === 1) return;
  table.arrange();
  const numFailed = scans.filter((scan) => scan.problem).length;
  announce(`${scans.length} scans classified${numFailed ? `, ${numFailed} of them failed` : ""}.`);
}

/** Asks for a few scans: one alone as any client does, of several each with a result or a problem of its own. */
async function classifyBatch(batch, signal) {
  const files = batch.map(({ file }) => file);
  const request = scans.length > 1 ? service.predictBatch(files, signal) : classifyOne(files[0], null, signal);
  const results = await request.catch((problem) => batch.map(() => ({ problem })));
  if (signal.aborted) return;
  batch.forEach((scan, index) => settle(scan, results[index]));
  showProgress();
  if (scans.length > 1) await Promise.all(batch.map((scan) => scan.result && showThumbnail(scan, signal)));
}

async function classifyOne(file, frame, signal) {
  return [{ result: await service.predict(file, frame, signal) }];
}

async function classifyFrame(scan, frame) {
  const { signal } = renewDrawing();
  find(".busy").hidden = false;
  const [result] = await classifyOne(scan.file, frame, signal).catch((problem) => [{ problem }]);
  if (!signal.aborted) settle(scan, result);
}

function settle(scan, { result = null, problem = null }) {
  Object.assign(scan, { result, problem });
  table.update(scan);
  if (scan === current) show(scan);
}

async function showThumbnail(scan, signal) {
  try {
    const isShown = SHOWN_BY_BROWSERS.includes(scan.result.input.format);
    await table.showThumbnail(scan, isShown ? scan.file : await service.draw(scan.file, { view: "scan" }, signal));
  } catch {
    // The row stays without a picture.
  }
}

function showProgress() {
  const numDone = scans.filter((scan) => scan.result || scan.problem).length;
  Object.assign(find("progress"), { max: scans.length, value: numDone });
  find(".progress output").textContent = `${numDone} of ${scans.length} classified`;
  find(".save").disabled = numDone < scans.length;
}

// ---- One scan ----------------------------------------------------------------------------------------------------

function select(scan) {
  if (!scan) return;
  current = scan;
  table.mark(scan);
  viewer.fit();
  show(scan);
}

function show(scan) {
  const { result, problem } = scan;
  renewDrawing();
  evidence = new Map();
  complain(problem && (scans.length === 1 || problem.status === 401) ? explain(problem) : "");
  find(".busy").hidden = Boolean(result || problem);
  find(".result").hidden = !result;
  find(".failure").hidden = !problem || scans.length === 1;
  find(".failure h2").textContent = scan.name;
  find(".failure p").textContent = problem?.message ?? "";
  find(".waiting").hidden = Boolean(result) || scans.length > 1;
  find(".invitation").hidden = Boolean(result) || scans.length > 1;
  find(".view").hidden = !result;
  find(".controls").hidden = !result && scans.length === 1;
  document.body.classList.toggle("empty", !result);
  showSteps(scan);
  if (!result) return;
  showResult(scan);
  showTargets(result);
  showPictures(scan);
}

/** Ends what is under way for the scan that was shown. */
function renewDrawing() {
  drawing.abort();
  drawing = new AbortController();
  return drawing;
}

function showSteps(scan) {
  find(".steps").hidden = scans.length === 1;
  find(".steps output").textContent = `${table.ordered().indexOf(scan) + 1} of ${scans.length}`;
  for (const button of document.querySelectorAll("[data-step]")) {
    button.disabled = !table.neighbour(scan, Number(button.dataset.step));
  }
}

function showResult({ name, file, result }) {
  const { prediction, confidence, review } = result;
  find(".name").textContent = name;
  find(".result").classList.toggle("outlier", Boolean(result.ood?.outlier));
  find(".class").textContent = prediction;
  find(".confidence").textContent = percent(confidence);
  find(".result .advice").dataset.level = review?.level ?? "unknown";
  find(".result .advice b").textContent = HEADLINES[review?.level] ?? "Not known";
  fill(".result .advice ul", describeReview(result));
  showBars(result.probabilities);
  find(".possible").textContent = describeSet(result, card?.conformal?.level);
  fill(".input", describeInput(result));
  showFrame(result.input);
  find(".command pre").textContent = writeCommand(file, result.input.frame);
  announce(`${name}: ${prediction}, ${percent(confidence)}. ${HEADLINES[review?.level] ?? ""}`);
}

function fill(selector, texts) {
  find(selector).replaceChildren(...texts.map((textContent) => create("li", { textContent })));
}

function showBars(probabilities) {
  const parts = Object.entries(probabilities).sort(([, first], [, second]) => second - first);
  const rows = parts.map(([name, part]) => {
    const bar = create("i", {});
    bar.style.width = `${100 * part}%`;
    const texts = [create("dt", { textContent: name }), create("dd", { textContent: percent(part) })];
    return create("div", {}, ...texts, create("dd", { className: "track", ariaHidden: "true" }, bar));
  });
  find(".bars").replaceChildren(...rows);
}

function showTargets({ probabilities, prediction }) {
  const choices = Object.keys(probabilities).map((name) => {
    const choice = create("input", { type: "radio", name: "target", value: name, checked: name === prediction });
    choice.addEventListener("change", () => showEvidence(current, name));
    return create("label", {}, choice, create("span", { textContent: name }));
  });
  find(".targets div").replaceChildren(...choices);
}

function showFrame({ frame, num_frames }) {
  find(".frame").hidden = !(num_frames > 1);
  Object.assign(find(".frame input"), { max: num_frames ?? 1, value: frame ?? 1 });
  find(".frame output").textContent = `${frame} of ${num_frames}`;
}

// ---- Its pictures ------------------------------------------------------------------------------------------------

async function showPictures(scan) {
  viewer.show("scan", null, "");
  viewer.show("evidence", null, "");
  await draw(async (signal) => {
    const picture = service.draw(scan.file, { view: "scan", frame: scan.result.input.frame }, signal);
    await Promise.all([showEvidence(scan, scan.result.prediction), picture]);
    viewer.show("scan", await picture, `Scan ${scan.name}`);
  });
}

/** Shows the evidence for a class; it is asked for once. */
async function showEvidence(scan, target) {
  await draw(async (signal) => {
    const query = { view: "evidence", target, frame: scan.result.input.frame };
    if (!evidence.has(target)) evidence.set(target, await service.draw(scan.file, query, signal));
    if (signal.aborted || find(".targets :checked").value !== target) return;
    viewer.show("evidence", evidence.get(target), `Evidence for ${target}`);
    find(".evidence").dataset.target = target;
  });
}

async function draw(work) {
  const { signal } = drawing;
  find(".busy").hidden = false;
  try {
    await work(signal);
  } catch (error) {
    if (!signal.aborted) complain(explain(error));
  } finally {
    if (!signal.aborted) find(".busy").hidden = true;
  }
}

// ---- Words and messages ------------------------------------------------------------------------------------------

function complain(text) {
  const problem = find(".problem");
  problem.textContent = text ?? "";
  problem.hidden = !text;
}

function announce(text) {
  find(".news").textContent = text;
}

function explain(problem) {
  if (problem.status !== 401) return problem.message;
  askForKey("This service needs an API key. Enter a valid one.");
  return "This service needs an API key. Enter a valid one above.";
}

function writeCommand(file, frame) {
  const target = new URL(address("predict", { frame }), document.baseURI).href;
  const key = find(".key").hidden ? "" : ` -H "X-API-Key: $KEY"`;
  return `curl${key} -F ${quote(`file=@"${file.name ?? "scan.png"}"`)} ${quote(target)}`;
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

async function copyCommand() {
  const text = find(".command pre");
  const button = find(".command button");
  getSelection().selectAllChildren(text);
  // Only pages from this machine or by HTTPS may write to the clipboard; elsewhere the selected line can be copied.
  const isCopied = await navigator.clipboard?.writeText(text.textContent).then(() => true, () => false);
  button.textContent = isCopied ? "Copied" : "Selected: copy with Ctrl+C";
}

// ---- The model's card and the key --------------------------------------------------------------------------------

async function showCard() {
  try {
    card = await service.readCard();
  } catch (problem) {
    if (problem.status === 401) askForKey("This key is not known. Enter a valid one.");
    return false;
  }
  find(".card").hidden = false;
  const gaps = card.gaps.map((text) => create("li", { textContent: `These weights lack ${text}.` }));
  find(".card").open = gaps.length > 0;
  find(".card summary").textContent = `Model ${card.name} ${card.version}${gaps.length ? ", not complete" : ""}`;
  const rows = describeMetrics(card).map(([name, value]) =>
    create("div", {}, create("dt", { textContent: name }), create("dd", { textContent: value })),
  );
  const identity = create("p", { textContent: `${card.architecture}, SHA-256 ${card.sha256}` });
  find(".card div").replaceChildren(create("ul", { className: "gaps", hidden: !gaps.length }, ...gaps), create("dl", {}, ...rows), create("p", { textContent: card.intended_use }), identity);
  return true;
}

function askForKey(text) {
  find(".key").hidden = false;
  find(".key span").textContent = text;
}

async function useKey(event) {
  event.preventDefault();
  service.key = find(".key label input").value.trim();
  if (!(await showCard())) return;
  find(".key span").textContent = "The key is accepted. It is kept in this page alone.";
  complain("");
  if (scans.length) await classifyAll();
}

// ---- Events ------------------------------------------------------------------------------------------------------

function addListeners() {
  const on = (selector, kind, listener) => {
    for (const element of document.querySelectorAll(selector)) element.addEventListener(kind, listener);
  };
  on(".files", "change", async ({ target }) => {
    const files = await readInput(target);
    target.value = ""; // the same file may be chosen again
    await openScans(files);
  });
  on("[data-example]", "click", ({ target }) => openExample(target.dataset.example));
  on(".opacity input", "input", ({ target }) => {
    viewer.setOpacity(target.value / 100);
    find(".opacity output").textContent = `${target.value} %`;
  });
  on(".frame input", "change", ({ target }) => classifyFrame(current, target.value));
  on("[data-step]", "click", ({ currentTarget }) => {
    select(table.neighbour(current, Number(currentTarget.dataset.step)));
  });
  on("[data-zoom]", "click", ({ currentTarget }) => {
    const factor = Number(currentTarget.dataset.zoom);
    if (factor) viewer.zoomBy(factor);
    else viewer.fit();
  });
  on(".split", "click", ({ target }) => {
    const isSplit = target.ariaPressed !== "true";
    target.ariaPressed = String(isSplit);
    viewer.split(isSplit);
  });
  on(".command button", "click", copyCommand);
  on(".save", "click", save);
  on(".key", "submit", useKey);
  addDropListeners();
}

/** Takes what is dropped anywhere: a file that misses the stage would replace the page. */
function addDropListeners() {
  const { classList } = find(".stage");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    classList.add("ready");
  });
  document.addEventListener("dragleave", () => classList.remove("ready"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    classList.remove("ready");
    await openScans(await readDrop(event.dataTransfer));
  });
}

async function openExample(name) {
  const response = await fetch(`${EXAMPLES}/${name}.png`).catch(() => null);
  if (!response?.ok) complain("The drawing cannot be loaded.");
  else await openScans([{ file: new File([await response.blob()], `${name}.png`), name: `${name}.png` }]);
}

function save() {
  const classes = card?.classes ?? Object.keys(scans.find((scan) => scan.result)?.result.probabilities ?? {});
  const url = URL.createObjectURL(new Blob([writeCsv(scans, classes)], { type: "text/csv" }));
  create("a", { href: url, download: "predictions.csv" }).click();
  URL.revokeObjectURL(url);
}

addListeners();
if (document.body.classList.contains("keys")) find(".key").hidden = false;
else showCard();
