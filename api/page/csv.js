// The results as a table in CSV, with the columns of `python -m model predict --format csv`.

/** Writes a row for each scan; a scan that failed has its problem in the last column. */
export function writeCsv(scans, classes) {
  const columns = [
    ...["file", "prediction", "confidence"],
    ...classes.map((name) => `p_${name}`),
    ...["prediction_set", "review", "review_reasons", "ood_score", "ood_threshold", "ood_outlier"],
    ...["format", "width", "height", "warnings", "frame", "num_frames"],
    ...["model_name", "model_version", "model_sha256", "decode_ms", "inference_ms"],
    ...["volume", "num_slices", "num_judged"],
    ...classes.map((name) => `slices_${name}`),
    ...["note", "overlay", "capture", "report", "error"],
  ];
  const rows = scans.map((scan) => ({
    file: scan.name,
    ...(scan.result && flatten(scan.result)),
    error: scan.problem?.message,
  }));
  const records = [columns, ...rows.map((row) => columns.map((name) => row[name]))];
  return records.map((values) => `${values.map(quote).join(",")}\n`).join("");
}

function flatten({ input, model, ood, review, timing_ms, ...result }) {
  return {
    prediction: result.prediction,
    confidence: result.confidence,
    ...prefix("p_", result.probabilities),
    prediction_set: result.prediction_set?.map(escapeSpaces).join(" "),
    review: review?.level,
    review_reasons: review?.reasons.join(" "),
    ...prefix("ood_", ood ?? {}),
    ...input,
    warnings: input.warnings.join("; "),
    ...prefix("model_", model),
    decode_ms: timing_ms.decode,
    inference_ms: timing_ms.inference,
  };
}

const escapeSpaces = (name) => name.replaceAll("%", "%25").replaceAll(" ", "%20");

function prefix(start, fields) {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [start + name, value]));
}

function quote(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
