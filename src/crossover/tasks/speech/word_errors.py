"""Word and character errors by jiwer, as statistics per text that add up, and texts with their errors marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from crossover.tasks.base import Sums

_NAMES = ("word_errors", "words", "character_errors", "characters", "exact", "texts")
_KINDS = ("substitute", "delete", "insert")


def error_statistics(references: Sequence[str], hypotheses: Sequence[str]) -> Sums:
    """What error rates are made from, float64, one row for each text.

    ``word_errors`` [N, 3] substitutions, deletions and insertions by the shortest edit; ``words`` [N] of the
    reference; ``character_errors`` [N] and ``characters`` [N] likewise; ``exact`` [N] 1 where the words are the same;
    ``texts`` [N] ones.
    """
    import jiwer

    references, hypotheses = list(references), list(hypotheses)
    if not references:
        return {name: np.zeros((0, 3) if name == "word_errors" else 0) for name in _NAMES}
    by_word = jiwer.process_words(references, hypotheses).alignments
    by_character = jiwer.process_characters(references, hypotheses).alignments
    word_errors_N3 = _edits(by_word)
    return {
        "word_errors": word_errors_N3,
        "words": np.array([float(len(reference.split())) for reference in references]),
        "character_errors": _edits(by_character).sum(1),
        "characters": np.array([float(len(reference)) for reference in references]),
        "exact": (word_errors_N3.sum(1) == 0).astype(np.float64),
        "texts": np.ones(len(references)),
    }


def error_rates(sums: Sums) -> dict[str, float]:
    """``wer`` and ``cer``, which exceed 1 where much is inserted; substitutions, deletions and insertions for each
    word said; the share of texts without an error. From the statistics' sums."""
    words = max(float(sums["words"].sum()), 1e-12)
    kinds_3 = np.asarray(sums["word_errors"], dtype=np.float64)
    return {
        "wer": float(kinds_3.sum() / words),
        "cer": float(sums["character_errors"] / max(float(sums["characters"]), 1e-12)),
        "substitutions": float(kinds_3[0] / words),
        "deletions": float(kinds_3[1] / words),
        "insertions": float(kinds_3[2] / words),
        "exact_match": float(sums["exact"] / max(float(sums["texts"]), 1e-12)),
    }


def marked(reference: str, hypothesis: str) -> str:
    """The hypothesis with its word errors marked: ``[two→too]`` for one, ``[-two-]`` left out, ``[+two+]`` added.

    Words of a run of errors of one kind are marked one by one.
    """
    import jiwer

    said, heard = reference.split(), hypothesis.split()
    told: list[str] = []
    for chunk in jiwer.process_words([reference], [hypothesis]).alignments[0]:
        ours = said[chunk.ref_start_idx : chunk.ref_end_idx]
        theirs = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "substitute":
            told += [f"[{a}→{b}]" for a, b in zip(ours, theirs, strict=True)]
        elif chunk.type == "delete":
            told += [f"[-{word}-]" for word in ours]
        else:
            told += [f"[+{word}+]" for word in theirs] if chunk.type == "insert" else theirs
    return " ".join(told)


def _edits(alignments: Sequence[Sequence[Any]]) -> np.ndarray:
    """Substitutions, deletions and insertions [N, 3] of jiwer's alignments."""
    counts_N3 = np.zeros((len(alignments), 3))
    for row, chunks in enumerate(alignments):
        for chunk in chunks:
            kind = chunk.type
            if kind in _KINDS:
                steps = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
                counts_N3[row, _KINDS.index(kind)] += steps
    return counts_N3
