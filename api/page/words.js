// Says in words what the fields of a response mean. Levels and thresholds are the service's, none are decided here.

export const HEADLINES = { none: "High confidence", consider: "Consider review", required: "Expert review" };
const NO_DOUBT = "No reason for doubt was found. The class may be wrong all the same.";

const KINDS = {
  contrast_t1: "Looks like a T1 slice after contrast, as most scans in training",
  other_mr: "Looks like no contrast T1: tumour types were learnt on contrast T1 alone",
  not_head_mr: "Does not look like an MR slice of the head: do not use the result",
};
const SPLITS = {
  grouped_test: "Unseen patients and groups",
  copy_free_test: "Official test without copies of training scans",
  official_test: "Official test, which holds copies of training scans",
};
const METRICS = {
  accuracy: "Accuracy",
  missed_tumor_rate: "Tumours missed",
  false_alarm_rate: "Healthy scans called tumours",
};

export const percent = (part) => `${(100 * part).toFixed(1)} %`;

const REASONS = {
  low_confidence: "Low confidence",
  ambiguous: "More than one class possible",
  out_of_distribution: "Unlike the scans of training",
  tumor_not_excluded: "Tumour not excluded",
  unfamiliar_sequence: "Another sequence than in training",
};

/** The reasons for a review in a few words. */
export const nameReasons = (review) => review.reasons.map((reason) => REASONS[reason] ?? shorten(reason)).join(", ");

/** One sentence for each reason why a person should look at the scan. */
export function describeReview({ review, ood, confidence, prediction_set }) {
  if (!review) return ["These weights carry no thresholds: whether an expert should look cannot be said."];
  const sentences = {
    out_of_distribution: () =>
      `The image is unlike those of training: its score ${ood.score.toFixed(2)} exceeds ${ood.threshold.toFixed(2)}. Do not use the result.`,
    ambiguous: () => `More than one class is possible: ${list(prediction_set)}.`,
    low_confidence: () => `The most probable class has only ${percent(confidence)}.`,
    tumor_not_excluded: () => `A tumour is not excluded: all tumours together have ${percent(1 - confidence)}.`,
    unfamiliar_sequence: () => "The slice looks like another sequence than those on which tumour types were learnt.",
  };
  const reasons = review.reasons.map((reason) => sentences[reason]?.() ?? shorten(reason));
  return reasons.length ? reasons : [NO_DOUBT];
}

function shorten(code) {
  const words = code.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

export function describeSet({ prediction_set, ood }, level) {
  if (!prediction_set) return "These weights carry no calibration: which other classes remain possible cannot be said.";
  if (ood?.outlier) return "Not known: the calibration holds for brain scans like those of training alone.";
  const times = level ? `${Math.round(100 * level)} times in 100` : "nearly always";
  return prediction_set.length === 1
    ? `Only ${prediction_set[0]}. On scans like those of calibration, such sets hold the true class ${times}.`
    : `${list(prediction_set)}. On scans like those of calibration, one of them is the true class ${times}.`;
}

/** What is known about the picture that was sent. */
export function describeInput({ input, ood }) {
  const facts = [`${input.format}, ${input.width} × ${input.height} pixels`];
  if (input.kind) {
    const [kind, part] = Object.entries(input.kind).reduce((best, entry) => (entry[1] > best[1] ? entry : best));
    facts.push(`${KINDS[kind] ?? shorten(kind)} (${percent(part)})`);
  }
  if (!ood) facts.push("These weights carry no outlier detector: whether this is a brain scan at all cannot be said");
  return [...facts, ...input.warnings.map((text) => text[0].toUpperCase() + text.slice(1))];
}

/** The card's headline figures, one line each: what, value, and how many scans it was measured on. */
export function describeMetrics({ metrics }) {
  return Object.entries(metrics).flatMap(([split, values]) => [
    [SPLITS[split] ?? shorten(split), count(values)],
    ...Object.entries(METRICS)
      .filter(([name]) => values[name])
      .map(([name, words]) => [words, interval(values[name])]),
  ]);
}

function count({ images, groups }) {
  const scans = `${images.toLocaleString("en")} scans`;
  return groups ? `${scans}, ${groups.toLocaleString("en")} groups` : scans;
}

const interval = ({ value, low, high }) => `${percent(value)} (95 %: ${percent(low)} to ${percent(high)})`;

function list(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
