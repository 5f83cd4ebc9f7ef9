//! What every measure of an evaluation is, and what stands beside it.

/// Names of measures with their definitions, in the order of the page.
pub(super) const DEFINITIONS: [(&str, &str); 33] = [
    (
        "interval",
        "Percentile bootstrap with the patient as its unit: patients are drawn with replacement, each with all of its \
         cases (Efron & Tibshirani 1993). Replicates in which a measure is undefined are left out.",
    ),
    ("macro_average", "Mean over the labels for which the measure is defined; in a bootstrap replicate likewise."),
    (
        "auroc",
        "Probability that a case with the finding scores above one without, ties counting half. Baseline: any constant \
         answer, 0.5.",
    ),
    (
        "auroc_visible",
        "AUROC without the phantoms whose finding is there but too small or too faint for the input's resolution, since \
         nothing could know of it. Baseline: any constant answer, 0.5.",
    ),
    (
        "auprc",
        "Average precision, the step-wise area under the precision-recall curve (scikit-learn's average_precision_score). \
         Baseline: any constant answer, which is the prevalence.",
    ),
    (
        "f1",
        "2 TP / (2 TP + FP + FN) at the label's threshold, which was chosen on validation patients (the largest F1 there). \
         Baseline: always positive.",
    ),
    (
        "weighted_f1",
        "F1 of either class weighted by its size, as CT-CLIP and its followers print it; it rewards the common negatives. \
         Baseline: always negative.",
    ),
    ("precision", "TP / (TP + FP) at the threshold. Baseline: always positive, which is the prevalence."),
    ("recall", "Sensitivity, TP / (TP + FN), at the threshold. No baseline: always positive has 1."),
    ("specificity", "TN / (TN + FP) at the threshold. No baseline: always negative has 1."),
    ("accuracy", "Share of right calls at the threshold. Baseline: always negative."),
    (
        "brier",
        "Mean squared difference of probability and truth, 0 is perfect. Baseline: the prevalence of these very cases \
         for everybody, the best of all constants.",
    ),
    (
        "ece",
        "Expected calibration error over 10 bins of equal width: mean over cases of the distance between a bin's mean \
         probability and its share of positives. Grows when cases are few, and in a bootstrap draw more so: its interval may lie above it. No baseline.",
    ),
    ("micro_f1", "F1 of all labels' calls taken together. Baseline: everything is called."),
    ("macro_f1", "Mean F1 over all 18 labels, an undefined one counting 0. Baseline: everything is called."),
    ("micro_precision", "Share of the asserted findings that is there. Baseline: everything is called."),
    (
        "crg",
        "CRG score of the VLM3D challenge, which weighs hits, misses and false alarms by the balance of the classes. \
         Baseline: constant calls, all or none, have 1/3.",
    ),
    ("hallucinated_per_case", "Findings asserted but absent, per case. Baseline: nothing is called."),
    ("missed_per_case", "Findings present but not asserted, per case. Baseline: nothing is called."),
    ("all_labels_right", "Share of cases whose 18 labels are all right. Baseline: nothing is called."),
    (
        "negation_flip",
        "Share of cases that lie nearer to the true one of a label's two sentences than to its negation, mean of cases \
         with and without the finding. Baseline: 0.5, a model that does not read the \"not\".",
    ),
    ("prompt_cosine", "Cosine between a label's two sentences; near 1 the report tower hardly tells them apart."),
    (
        "recall_at_1",
        "Share of queries whose right candidate comes first; a wrong one with the same score comes before it. Baseline: \
         random ranking of the same pool. Interval: queries drawn by patient, candidates stay.",
    ),
    ("recall_at_5", "Share of queries with a right candidate among the best 5. Baseline: random ranking."),
    ("recall_at_10", "Share of queries with a right candidate among the best 10. Baseline: random ranking."),
    ("recall_at_50", "Share of queries with a right candidate among the best 50. Baseline: random ranking."),
    ("median_rank", "Median rank of the first right candidate, 1 is perfect. Baseline: random ranking."),
    ("mean_reciprocal_rank", "Mean of one over that rank. Baseline: random ranking."),
    (
        "bleu",
        "Corpus BLEU-1 to BLEU-4, cumulative: sacrebleu's tok:13a, smooth:exp, case kept. sentence_bleu_4 is the mean of \
         smoothed sentence scores and not comparable with it.",
    ),
    ("rouge_l", "Mean F1 of the longest common subsequence of words (rougeL, no stemming)."),
    ("meteor", "Mean METEOR by exact and stem matches (Porter2), without synonyms, hence below scores with WordNet."),
    ("cider_d", "CIDEr-D as pycocoevalcap computes it, 0 to 10, document frequencies of these reports."),
    ("distinct_share", "Different drafts over cases; near 0 the drafts have collapsed to a template."),
];

/// The definition of a measure; BLEU's orders share one.
pub(super) fn definition(measure: &str) -> Option<&'static str> {
    let name = if measure.contains("bleu") { "bleu" } else { measure };
    DEFINITIONS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
