// The body of a function that Gradio calls with `element`, the page's own, and `props`, which the service gave.
// A scan goes as it is to `judge`; pictures come back in the answer. Nothing is stored, here or there.
const find = (selector) => element.querySelector(selector);
const stage = find(".stage");
const evidence = find(".evidence");
const problem = find(".problem");
const percent = (part) => `${(100 * part).toFixed(1)} %`;

let scan = null; // the file that is shown
let frame = null; // and which of its frames; null where it has none
let pictures = new Map(); // the evidence for each class that was asked for
let running = null;

function create(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function complain(text) {
  problem.textContent = text;
  problem.hidden = !text;
  if (text) problem.scrollIntoView({ block: "nearest" });
}

function clear() {
  scan = frame = null;
  pictures = new Map();
  find("figure").hidden = find(".controls").hidden = find(".judged").hidden = true;
  find(".invitation").hidden = find(".waiting").hidden = false;
}

async function ask(file, wanted) {
  const key = find(".key input")?.value.trim();
  const response = await fetch(`judge?${new URLSearchParams(wanted)}`, {
    method: "POST",
    body: file,
    headers: { "Content-Type": "application/octet-stream", ...(key ? { "X-API-Key": key } : {}) },
    signal: running.signal,
  });
  if (response.ok) return response.json();
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) throw new Error("This service needs an API key. Enter a valid one above.");
  throw new Error(told.detail ? `${told.title}. ${told.detail}` : `The service answered with ${response.status}.`);
}

// Ask for a file, where `wanted` names one for a class or a frame of it; a new question ends the one before.
async function judge(file, wanted = {}) {
  running?.abort();
  const own = (running = new AbortController());
  complain("");
  find(".busy").hidden = false;
  try {
    const answer = await ask(file, wanted);
    if (own === running) show(file, answer);
  } catch (error) {
    if (own !== running) return;
    if (wanted.target) check(evidence.dataset.target);
    else clear();
    complain(error instanceof TypeError ? "The service cannot be reached. Try again in a moment." : error.message);
  } finally {
    if (own === running) find(".busy").hidden = true;
  }
}

function open(file) {
  if (!file) return;
  if (file.size > props.max_bytes) {
    running?.abort();
    running = null;
    find(".busy").hidden = true;
    clear();
    complain(`The file is too large: at most ${(props.max_bytes / 2 ** 20).toFixed(1)} MiB are accepted.`);
    return;
  }
  judge(file);
}

function show(file, answer) {
  if (file !== scan || answer.image.input.frame !== frame) {
    pictures = new Map();
    scan = file;
    frame = answer.image.input.frame;
    find(".scan").src = answer.scan;
    showAnswer(answer);
    showTargets(Object.keys(answer.image.probabilities));
  }
  pictures.set(answer.explained, answer.evidence);
  showEvidence(answer.explained);
  find(".invitation").hidden = find(".waiting").hidden = true;
  find("figure").hidden = find(".controls").hidden = find(".judged").hidden = false;
}

function showEvidence(target) {
  evidence.src = pictures.get(target);
  evidence.dataset.target = target;
  check(target);
}

function check(target) {
  for (const choice of element.querySelectorAll(".targets input")) choice.checked = choice.value === target;
}

function showTargets(names) {
  find(".targets div").replaceChildren(
    ...names.map((name) => {
      const choice = create("input", { type: "radio", name: "target", value: name });
      choice.addEventListener("change", () => (pictures.has(name) ? showEvidence(name) : explain(name)));
      return create("label", {}, choice, create("span", { textContent: name }));
    }),
  );
}

function explain(target) {
  judge(scan, frame === null ? { target } : { target, frame });
}

function showFrame(total) {
  find(".frame").hidden = !(total > 1);
  Object.assign(find(".frame input"), { max: total, value: frame });
  find(".frame output").textContent = `${frame} of ${total}`;
}

function showAnswer({ image, model, advice }) {
  find(".judged").classList.toggle("outlier", Boolean(image.ood?.outlier));
  find(".warning").hidden = !image.ood?.outlier;
  find(".class").textContent = image.prediction;
  find(".confidence").textContent = percent(image.confidence);
  find(".advice").dataset.level = advice.level;
  find(".advice b").textContent = advice.headline;
  find(".advice ul").replaceChildren(...advice.reasons.map((textContent) => create("li", { textContent })));
  const parts = Object.entries(image.probabilities).sort(([, first], [, second]) => second - first);
  find(".bars").replaceChildren(
    ...parts.map(([name, part]) => {
      const bar = create("i", {});
      bar.style.width = `${100 * part}%`;
      const row = [create("dt", { textContent: name }), create("dd", { textContent: percent(part) })];
      return create("div", {}, ...row, create("span", { ariaHidden: "true" }, bar));
    }),
  );
  const facts = [`${image.input.format}, ${image.input.width} × ${image.input.height} pixels`];
  showFrame(image.input.num_frames);
  find(".input").replaceChildren(
    ...[...facts, ...image.input.warnings].map((textContent) => create("li", { textContent })),
  );
  find(".model").textContent = `Model ${model.name} ${model.version}, ${model.sha256.slice(0, 12)}`;
}

for (const input of element.querySelectorAll(".file")) {
  input.addEventListener("change", () => {
    open(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
}
for (const button of element.querySelectorAll("[data-example]")) {
  button.addEventListener("click", async () => {
    const response = await fetch(`examples/${button.dataset.example}.png`).catch(() => null);
    if (response?.ok) open(await response.blob());
    else complain("The example cannot be loaded.");
  });
}
find(".opacity input").addEventListener("input", ({ target }) => {
  evidence.style.opacity = target.value / 100;
  find(".opacity output").textContent = `${target.value} %`;
});
find(".frame input").addEventListener("change", ({ target }) => judge(scan, { frame: target.value }));
find(".key")?.addEventListener("submit", (event) => event.preventDefault());
// A file that misses the stage would replace the page.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("dragover", () => stage.classList.add("ready"));
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => stage.classList.remove("ready"));
document.addEventListener("drop", (event) => open(event.dataTransfer.files[0]));
