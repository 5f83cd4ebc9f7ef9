#!/usr/bin/env python3
"""Makes small inputs and what other people's implementations say of them, for the unit tests of `eval::metrics`.

    metric_vectors.py > trainer/src/eval/metrics/vectors.json

The file is committed; the packages are needed only to make it anew, and are therefore not in requirements.txt:
pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 sacrebleu==2.6.0 rouge-score==0.1.2 nltk==3.10.4
pip install --no-deps pycocoevalcap==1.2

Where no package has the number (ranks in pools, CRG, BERTScore's matching) it is computed here a second time, by numpy
or by enumeration.
"""

import itertools
import json
import sys
from fractions import Fraction
from statistics import median

import numpy as np
from nltk.stem.snowball import SnowballStemmer
from nltk.translate.meteor_score import single_meteor_score
from pycocoevalcap.cider.cider import Cider
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from scipy.optimize import minimize_scalar
from scipy.stats import bootstrap
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

DEPTHS = (1, 5, 10, 50)

# Candidate and reference: templated normal text, wrong and missing findings, other forms of a word, and punctuation,
# numbers and entities that tokenisers differ on.
REPORTS = [
    ("Trachea and both main bronchi are open. No pleural effusion was detected.",
     "Trachea and both main bronchi are open. No pleural effusion or thickening was detected."),
    ("There is a 5.5 mm nodule in the right upper lobe, and a 3-4 mm nodule in the left.",
     "There are nodules of 5.5 mm and 4 mm in the upper lobes of both lungs."),
    ("Heart size is normal; calcified plaques are observed in the aorta (wall).",
     "Calcific plaques were observed on the aortic wall. Heart size is increasing."),
    ("Emphysematous changes.", "Mosaic attenuation pattern, peribronchial thickening & bronchiectasis in both lungs."),
    ("Consolidation areas with air bronchograms, in the lower lobes.\nPleural effusions, measuring 12.5 mm, on the left.",
     "Consolidations with air bronchogram in lower lobe on the left. Effusion measures 12,5 mm in its thickest place."),
    ("No.", "No nodule."),
    ("", "The thoracic esophagus is normal."),
    ("The lungs are clear the lungs are clear the lungs are clear the lungs",
     "The lungs are clear. The heart, the vessels and the bones are normal."),
    ("Width of the mediastinal main vascular structures is normal...  (e.g. the aorta: 3.1cm/1.2)",
     "Width of the mediastinal main vascular structures are normal"),
    ("Findings &lt;stable&gt; since 2019-2020; ratio 1,000.50/2 ~ 'unchanged' -5%.",
     "Findings are stable since 2019-2020, 'unchanged'."),
]


def labelled(scores, truth):
    """One label's scores, with ties."""
    out = {"scores": scores.tolist(), "truth": truth.tolist()}
    out["auroc"] = metrics.roc_auc_score(truth, scores)
    out["average_precision"] = metrics.average_precision_score(truth, scores)
    false_positive, true_positive, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
    out["roc"] = [[float(f), float(t)] for f, t in zip(false_positive, true_positive)]
    youden = true_positive - false_positive
    # The first of equals has the highest threshold; the origin is no candidate.
    best = 1 + int(np.argmax(np.round(youden[1:], 12)))
    out["youden"] = [float(thresholds[best]), float(youden[best])]
    f1s = np.array([metrics.f1_score(truth, scores >= threshold) for threshold in thresholds[1:]])
    best = int(np.argmax(np.round(f1s, 12)))
    out["best_f1"] = [float(thresholds[1 + best]), float(f1s[best])]
    out["threshold"] = 0.5
    called = scores >= 0.5
    tn, fp, fn, tp = metrics.confusion_matrix(truth, called).ravel()
    out["confusion"] = [int(tp), int(fp), int(tn), int(fn)]
    out["ratios"] = [
        metrics.precision_score(truth, called),
        metrics.recall_score(truth, called),
        metrics.recall_score(~truth, ~called),
        metrics.accuracy_score(truth, called),
        metrics.f1_score(truth, called),
        metrics.f1_score(truth, called, average="weighted"),
    ]
    out["brier"] = metrics.brier_score_loss(truth, scores)
    share, mean = calibration_curve(truth, scores, n_bins=10, strategy="uniform")
    out["reliability"] = [[float(m), float(s)] for m, s in zip(mean, share)]
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], scores)
    counts = [int((bins == b).sum()) for b in range(10) if (bins == b).any()]
    out["ece"] = float(sum(n * abs(m - s) for n, m, s in zip(counts, mean, share)) / len(scores))
    return out


def classification(random):
    cases = []
    for count, prevalence, digits in [(40, 0.4, 1), (60, 0.1, 2), (50, 0.7, 3)]:
        truth = random.random(count) < prevalence
        scores = 1 / (1 + np.exp(-(random.normal(0, 1, count) + 1.2 * truth - 0.5)))
        cases.append(labelled(np.round(scores, digits), truth))
    return cases


def temperature(random):
    cases = []
    for stretch in (3.0, 0.4):
        truth = random.random(60) < 0.4
        logits = np.round(stretch * (random.normal(0, 1, 60) + 1.5 * truth - 0.7), 4)
        nll = lambda log_t: metrics.log_loss(truth, 1 / (1 + np.exp(-logits / np.exp(log_t))))
        found = minimize_scalar(nll, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-12})
        cases.append({"logits": logits.tolist(), "truth": truth.tolist(), "temperature": float(np.exp(found.x)),
                      "log_loss": float(found.fun)})
    return cases


def isotonic(random):
    scores = np.round(random.random(50), 2)
    truth = random.random(50) < scores**2
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, truth.astype(float))
    at = np.round(np.linspace(-0.1, 1.1, 41), 3)
    return {"scores": scores.tolist(), "truth": truth.tolist(), "at": at.tolist(), "values": model.predict(at).tolist()}


def hits(ranks):
    return [*(float(np.mean(np.array(ranks) <= k)) for k in DEPTHS), float(median(ranks)),
            float(np.mean(1 / np.array(ranks)))]


def ranks(scores, right):
    """Rank of the first right candidate, wrong ones of the same score before it."""
    found = []
    for row, ok in zip(scores, right):
        order = sorted(range(len(row)), key=lambda j: (-row[j], ok[j]))
        found.append(1 + next(place for place, j in enumerate(order) if ok[j]))
    return found


def chance(right):
    """By hypergeometric tails in exact fractions."""
    size = len(right)
    within = [Fraction(0)] * (size + 1)
    for ok in right:
        wrong = size - int(sum(ok))
        none = Fraction(1)
        for k in range(1, size + 1):
            none *= Fraction(max(wrong - k + 1, 0), size - k + 1)
            within[k] += (1 - none) / size
    steps = [within[r] - within[r - 1] for r in range(1, size + 1)]
    lower = next(r for r in range(1, size + 1) if within[r] >= Fraction(1, 2))
    upper = next(r for r in range(1, size + 1) if within[r] > Fraction(1, 2))
    reciprocal = sum(step / r for r, step in enumerate(steps, 1))
    return [*(float(within[min(k, size)]) for k in DEPTHS), (lower + upper) / 2, float(reciprocal)]


def retrieval(random):
    size = 24
    scores = np.round(random.normal(0, 1, (size, size)) + 1.5 * np.eye(size), 1)
    keys = random.integers(0, 9, size)
    same = keys[:, None] == keys[None, :]
    own = np.eye(size, dtype=bool)
    out = {"size": size, "scores": scores.ravel().tolist(), "keys": keys.tolist()}
    for direction, matrix in [("rows", scores), ("columns", scores.T)]:
        out[direction] = {"identity": hits(ranks(matrix, own)), "class": hits(ranks(matrix, same))}
    out["identity_chance"], out["class_chance"] = chance(own), chance(same)
    # Every ranking of five candidates in two classes, so that the fractions themselves are checked.
    small = [0, 0, 1, 1, 1]
    every = [1 + next(place for place, j in enumerate(order) if small[j] == key)
             for key in small for order in itertools.permutations(range(5))]
    assert np.allclose(hits(every), chance([[other == key for other in small] for key in small]))
    return out


def language():
    candidates, references = [c for c, _ in REPORTS], [r for _, r in REPORTS]
    tokenize = Tokenizer13a()
    corpus = [BLEU(max_ngram_order=n).corpus_score(candidates, [references]).score / 100 for n in (1, 2, 3, 4)]
    weak = [[candidates[3], candidates[5]], [references[3], references[5]]]
    smoothed = [BLEU(max_ngram_order=n).corpus_score(weak[0], [weak[1]]).score / 100 for n in (1, 2, 3, 4)]
    sentence = BLEU(effective_order=True)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)

    class NoWordNet:
        def synsets(self, _word):
            return []

    stemmer = SnowballStemmer("english")
    split = [(tokenize(c).split(), tokenize(r).split()) for c, r in REPORTS]
    cider, _ = Cider().compute_score({i: [tokenize(r)] for i, r in enumerate(references)},
                                     {i: [tokenize(c)] for i, c in enumerate(candidates)})
    return {
        "reports": REPORTS,
        "tokens_13a": [[c, r] for c, r in split],
        "corpus_bleu": corpus,
        "weak": [[candidates[i], references[i]] for i in (3, 5)],
        "weak_corpus_bleu": smoothed,
        "sentence_bleu": [sentence.sentence_score(c, [r]).score / 100 for c, r in REPORTS],
        "rouge": [[list(score) for score in scorer.score(r, c).values()] for c, r in REPORTS],
        "meteor": [single_meteor_score(r, c, stemmer=stemmer, wordnet=NoWordNet()) for c, r in split],
        "cider_d": float(cider),
    }


def bertscore(random):
    candidate = np.round(random.normal(0, 1, (5, 6)), 2)
    reference = np.round(random.normal(0, 1, (7, 6)), 2)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (candidate, reference)]
    cosines = unit[0] @ unit[1].T
    precision, recall = cosines.max(axis=1).mean(), cosines.max(axis=0).mean()
    return {"width": 6, "candidate": candidate.ravel().tolist(), "reference": reference.ravel().tolist(),
            "scores": [precision, recall, 2 * precision * recall / (precision + recall)]}


def intervals(random):
    """One item a patient, since scipy resamples items."""
    values = np.round(random.normal(3, 2, 80), 3)
    found = bootstrap((values,), np.mean, n_resamples=20000, confidence_level=0.9, method="percentile", rng=random)
    return {"values": values.tolist(), "confidence": 0.9, "standard_error": float(found.standard_error),
            "interval": [float(end) for end in found.confidence_interval],
            "quantiles": [float(q) for q in np.quantile(values, [0, 0.025, 0.5, 0.9, 1])]}


def findings(random):
    truth = random.random((20, 6)) < [0.1, 0.3, 0.5, 0.4, 0.2, 0.0]
    called = truth ^ (random.random((20, 6)) < 0.25)
    called[:, 0] = False
    average = lambda kind: [float(v) for v in metrics.precision_recall_fscore_support(
        truth, called, average=kind, zero_division=0)[:3]]
    tp, fp, fn = (int(part.sum()) for part in (truth & called, ~truth & called, truth & ~called))
    x, a = truth.size, int(truth.sum())
    r, u = (x - a) / (2 * a), (x - a) / 2
    return {"truth": truth.tolist(), "called": called.tolist(), "micro": average("micro"), "macro": average("macro"),
            "hallucinated": fp, "missed": fn, "crg": u / (2 * u - (r * tp - r * fn - fp))}


def main():
    random = np.random.default_rng(20261123)
    vectors = {
        "classification": classification(random),
        "temperature": temperature(random),
        "isotonic": isotonic(random),
        "retrieval": retrieval(random),
        "language": language(),
        "bertscore": bertscore(random),
        "intervals": intervals(random),
        "findings": findings(random),
    }
    # One line a group: a change of one is seen as one.
    lines = [f"{json.dumps(name)}: {json.dumps(group)}" for name, group in vectors.items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
