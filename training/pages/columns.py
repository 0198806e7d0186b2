"""Titles of the test splits and of the metrics, and how to read each split."""

TITLES = {
    "official_test": "official Testing",
    "copy_free_test": "Testing without copies",
    "grouped_test": "grouped test",
    "external_test": "external scans",
}
WORTH = {
    "official_test": (
        "The folder that everyone reports on. If it holds copies of training scans, or other slices of the same "
        "patients, a good number shows that the model remembers them; compare it only with published numbers."
    ),
    "copy_free_test": (
        "The same folder without every scan that has a copy in Training, mirrored copies included. The rest is small,"
        " has other class proportions, and may still show patients who are in Training too."
    ),
    "grouped_test": (
        "Whole groups that training, model selection and calibration never touched. This column is the one that says "
        "something about new patients, from the same sources."
    ),
    "external_test": (
        "Scans from elsewhere. If nobody in them was trained on, this column says how the weights do there. Its "
        "intervals are too narrow where a patient has several scans and no table names the patients. Classes without "
        "scans count in no mean over classes."
    ),
}
_SEEN_BY_GROUPED = (
    "Flattered: these weights were trained on groups, whose training part takes scans from Testing too. On the "
    "data they were trained on, they have seen part of this column."
)
SEEN = {
    "official_test": _SEEN_BY_GROUPED,
    "copy_free_test": _SEEN_BY_GROUPED,
    "grouped_test": (
        "Flattered: these weights were not trained on the groups' training part. On the data they were trained on, "
        "they have seen those scans of this column that lie in Training."
    ),
}
METRICS = {
    "missed_tumor_rate": "tumours called healthy",
    "false_alarm_rate": "healthy called a tumour",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_roc_auc": "macro ROC-AUC",
    "tumor_accuracy": "accuracy among tumours alone",
    "ece": "ECE, 15 bins",
    "brier": "Brier score",
    "nll": "negative log-likelihood, nats",
}
CLASS_METRICS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
}
REVIEW_METRICS = {
    "share_none": "no review",
    "error_rate_none": "wrong among these",
    "share_consider": "review to be considered",
    "error_rate_consider": "wrong among these",
    "share_required": "review required",
    "error_rate_required": "wrong among these",
    "missed_tumors_sent_to_review": "tumours called healthy that go to review",
    "healthy_sent_to_review": "healthy scans that go to review",
    "tumors_of_another_sequence": "tumours taken for another sequence than contrast T1",
    "coverage": "prediction sets that contain the true class",
    "set_size": "classes in a set, mean",
    "outlier_rate": "taken for outliers",
}
ELSEWHERE_METRICS = {
    "lesion_auc": "AUC",
    "called_tumor": "lesions called tumour",
    "missed_silently": "missed, no review",
    "wrong_type_silently": "wrong type, no review",
    "called_healthy": "lesion-free called healthy",
    "flagged": "flagged as outlier",
    "kind_right": "kind right",
    "reviewed": "reviewed",
}
