"""BLEU, chrF and exact matches by sacreBLEU, as per-sentence statistics that add up.

sacreBLEU: Post 2018, "A Call for Clarity in Reporting BLEU Scores"; chrF: Popović 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from crossover.errors import DataError

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU


def sentence_statistics(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, language: str
) -> dict[str, np.ndarray]:
    """What the scores of a set of sentences are made from, float64, one row for each sentence.

    `references` holds one or more for each hypothesis, not equally many; `language` is the target's code.

    - ``bleu_correct`` and ``bleu_total`` [N, 4]: n-grams of the hypothesis that stand in a reference, and all;
    - ``bleu_lengths`` [N, 2]: words of the hypothesis, and of the reference whose length is nearest;
    - ``chrf`` [N, 18]: character n-grams (hypothesis, reference, matched) for n from 1 to 6, by the best reference;
    - ``exact`` [N]: 1 where the hypothesis is one of the references, spaces aside;
    - ``sentences`` [N]: ones.

    Raises DataError for another number of references than of hypotheses, and for a sentence without a reference.
    """
    if len(hypotheses) != len(references):
        raise DataError(f"{len(hypotheses)} hypotheses for {len(references)} lists of references: give one for each")
    for row, given in enumerate(references):
        if not given:
            raise DataError(f"sentence {row + 1} has no reference: give one or more for each sentence")
    scorer = _bleu(language)
    bleu = [scorer.sentence_score(h, list(given)) for h, given in zip(hypotheses, references, strict=True)]
    exact = [
        _spaced(h) in {_spaced(reference) for reference in given}
        for h, given in zip(hypotheses, references, strict=True)
    ]
    return {
        "bleu_correct": _rows([score.counts for score in bleu], 4),
        "bleu_total": _rows([score.totals for score in bleu], 4),
        "bleu_lengths": _rows([[score.sys_len, score.ref_len] for score in bleu], 2),
        "chrf": _rows(_chrf_statistics(hypotheses, references), 18),
        "exact": np.array(exact, dtype=np.float64),
        "sentences": np.ones(len(hypotheses)),
    }


def scores_from_sums(sums: Mapping[str, np.ndarray], *, language: str) -> dict[str, float]:
    """``bleu`` and ``chrf`` (0 to 100) and ``exact_match`` (0 to 1) of a set, from its statistics' sums.

    The sums have no sentence dim: ``bleu_correct`` [4] and so on. Sums of a resampled set are as good.
    """
    from sacrebleu.metrics import BLEU, CHRF

    hypothesis_words, reference_words = (round(length) for length in sums["bleu_lengths"].tolist())
    bleu = BLEU.compute_bleu(
        sums["bleu_correct"].tolist(),
        sums["bleu_total"].tolist(),
        hypothesis_words,
        reference_words,
        smooth_method=_bleu(language).smooth_method,
    )
    sentences = float(sums["sentences"])
    return {
        "bleu": float(bleu.score),
        # sacreBLEU offers chrF's score of statistics under no public name.
        "chrf": float(CHRF()._compute_score_from_stats(sums["chrf"].tolist()).score),
        "exact_match": float(sums["exact"]) / sentences if sentences else 0.0,
    }


def signature(language: str, metric: Literal["bleu", "chrf"] = "bleu") -> str:
    """sacreBLEU's signature: everything about the metric that a reader needs to compute the same score."""
    from sacrebleu.metrics import CHRF

    scorer: Any = _bleu(language, sentence=False) if metric == "bleu" else CHRF()
    scorer.num_refs = -1  # sacreBLEU's mark for "as many references as each sentence has"
    return str(scorer.get_signature())


def _bleu(language: str, *, sentence: bool = True) -> BLEU:
    """sacreBLEU's scorer for the target language; `sentence` keeps it from warning, and changes no statistic."""
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize="zh" if language.lower().startswith("zh") else "13a", effective_order=sentence)


def _chrf_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[list[int]]:
    """chrF's statistics of each sentence, which sacreBLEU offers under no public name."""
    from sacrebleu.metrics import CHRF

    if not hypotheses:
        return []
    most = max(len(given) for given in references)
    # None is sacreBLEU's mark for a sentence with fewer references than others, which its types leave out.
    streams: list[list[Any]] = [[given[i] if i < len(given) else None for given in references] for i in range(most)]
    statistics: list[list[int]] = CHRF()._extract_corpus_statistics(hypotheses, streams)
    return statistics


def _rows(values: Sequence[Sequence[float]], width: int) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(len(values), width)


def _spaced(text: str) -> str:
    return " ".join(text.split())
