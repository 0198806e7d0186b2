// Finds the scans in what was dropped or chosen: files are taken as they are, of folders what looks like an image.

const EXTENSION = /\.(png|jpe?g|jpe|jfif|webp|bmp|dib|tiff?|dcm|dicom)$/i;
const NAMED_ELSEWISE = /^[^.]+$|\.\d+$/; // as scanners name DICOM: no extension, or a number
const DICOM_MAGIC = { start: 128, end: 132, text: "DICM" }; // PS3.10, section 7.1
const DIRECTORY = "DICOMDIR"; // a table of contents, which holds no image

/** The files of an input; one that chooses folders also finds what is no scan. */
export function readInput(input) {
  const files = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  return input.webkitdirectory ? keepScans(files) : files;
}

/** The files of a drop, those of folders at any depth. */
export async function readDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  const found = await Promise.all(
    entries.map(async (entry) => (entry.isDirectory ? keepScans(await walk(entry)) : [await open(entry)])),
  );
  return found.flat();
}

async function walk(folder) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files; // they come a hundred at a time
    for (const entry of entries) files.push(...(entry.isDirectory ? await walk(entry) : [await open(entry)]));
  }
}

async function open(entry) {
  const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
  return { file, name: entry.fullPath.replace(/^\//, "") };
}

async function keepScans(files) {
  const kept = await Promise.all(files.map(({ file }) => isScan(file)));
  const byName = new Intl.Collator("en", { numeric: true });
  return files.filter((_, index) => kept[index]).sort((one, other) => byName.compare(one.name, other.name));
}

async function isScan(file) {
  if (file.name.startsWith(".") || file.name === DIRECTORY) return false;
  if (EXTENSION.test(file.name)) return true;
  if (!NAMED_ELSEWISE.test(file.name)) return false;
  const { start, end, text } = DICOM_MAGIC;
  return (await file.slice(start, end).text()) === text;
}
