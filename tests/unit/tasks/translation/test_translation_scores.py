from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import sacrebleu

from crossover.errors import DataError
from crossover.tasks.translation.scores import scores_from_sums, sentence_statistics, signature

ENGLISH = (
    ["The cat sat on the mat.", "He  is reading a book", "no", "", "It rained all day in the north of Spain."],
    [
        ["The cat sat on the mat."],
        ["He is reading a book", "He reads a book."],
        ["Yes, of course.", "Certainly.", "Yes."],
        ["Something was said."],
        ["It rained the whole day in northern Spain.", "All day it rained in the north of Spain."],
    ],
)
CHINESE = (
    ["他在看书。", "会议于2019年3月3日举行。", "我不知道", "天气很好，我们出去吧。", "三十四万二千"],
    [
        ["他在读书。", "他正在看书。"],
        ["会议定于2019年3月3日举行。"],
        ["我不知道。", "我不知道"],
        ["今天天气很好，我们出去走走吧。"],
        ["三十四万两千", "三十四万二千"],
    ],
)
CASES = [("en", *ENGLISH), ("zh", *CHINESE), ("zh-CN", *CHINESE)]


def summed(hypotheses: Sequence[str], references: Sequence[Sequence[str]], language: str, weights: np.ndarray):
    statistics = sentence_statistics(hypotheses, references, language=language)
    return {name: np.tensordot(weights, values, axes=1) for name, values in statistics.items()}


def by_sacrebleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], language: str
) -> tuple[float, float]:
    most = max(map(len, references))
    streams = [[given[i] if i < len(given) else None for given in references] for i in range(most)]
    tokenize = "zh" if language.startswith("zh") else "13a"
    bleu = sacrebleu.corpus_bleu(hypotheses, streams, tokenize=tokenize).score
    return bleu, sacrebleu.corpus_chrf(hypotheses, streams).score


@pytest.mark.parametrize(("language", "hypotheses", "references"), CASES)
def test_summed_statistics_give_the_scores_of_sacrebleu(language, hypotheses, references):
    scores = scores_from_sums(summed(hypotheses, references, language, np.ones(5)), language=language)
    assert (scores["bleu"], scores["chrf"]) == pytest.approx(by_sacrebleu(hypotheses, references, language))
    assert scores["bleu"] > 10


@pytest.mark.parametrize(("language", "hypotheses", "references"), CASES)
def test_resampled_sums_give_the_scores_of_the_resampled_sentences(language, hypotheses, references):
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(5, size=rng.integers(1, 9))
        scores = scores_from_sums(
            summed(hypotheses, references, language, np.bincount(rows, minlength=5)), language=language
        )
        chosen = [hypotheses[i] for i in rows], [references[i] for i in rows]
        assert (scores["bleu"], scores["chrf"]) == pytest.approx(by_sacrebleu(*chosen, language))


def test_one_sentence_alone_is_scored_as_a_set_of_one():
    for hypothesis, given in zip(*ENGLISH, strict=True):
        scores = scores_from_sums(summed([hypothesis], [given], "en", np.ones(1)), language="en")
        assert (scores["bleu"], scores["chrf"]) == pytest.approx(by_sacrebleu([hypothesis], [given], "en"))


def test_statistics_of_a_sentence_worked_out_by_hand():
    statistics = sentence_statistics(["a b c d"], [["a b x d e f", "a b c"]], language="en")
    assert statistics["bleu_correct"].tolist() == [[4, 2, 1, 0]]
    assert statistics["bleu_total"].tolist() == [[4, 3, 2, 1]]
    assert statistics["bleu_lengths"].tolist() == [[4, 3]]
    assert statistics["chrf"][0, :6].tolist() == [4, 3, 3, 3, 2, 2]


def test_exact_matches_count_one_of_the_references_with_spaces_aside():
    hypotheses, references = ENGLISH
    statistics = sentence_statistics(hypotheses, references, language="en")
    assert statistics["exact"].tolist() == [1, 1, 0, 0, 0]
    assert statistics["sentences"].tolist() == [1] * 5
    scores = scores_from_sums({name: values.sum(axis=0) for name, values in statistics.items()}, language="en")
    assert scores["exact_match"] == pytest.approx(0.4)


def test_statistics_have_the_sentences_on_their_first_dim_also_where_there_are_none():
    for count in (0, 5):
        statistics = sentence_statistics(ENGLISH[0][:count], ENGLISH[1][:count], language="en")
        assert {name: values.shape for name, values in statistics.items()} == {
            "bleu_correct": (count, 4),
            "bleu_total": (count, 4),
            "bleu_lengths": (count, 2),
            "chrf": (count, 18),
            "exact": (count,),
            "sentences": (count,),
        }
    scores = scores_from_sums(
        {name: np.zeros(values.shape[1:]) for name, values in statistics.items()}, language="en"
    )
    assert scores == {"bleu": 0, "chrf": 0, "exact_match": 0}


def test_scoring_leaves_the_sums_as_they_are():
    sums = summed(*CHINESE, "zh", np.ones(5))
    before = {name: values.copy() for name, values in sums.items()}
    scores_from_sums(sums, language="zh")
    assert all(np.array_equal(sums[name], before[name]) for name in sums)


def test_missing_references_are_refused():
    with pytest.raises(DataError, match="2 hypotheses for 1 lists of references"):
        sentence_statistics(["a", "b"], [["a"]], language="en")
    with pytest.raises(DataError, match="sentence 2 has no reference"):
        sentence_statistics(["a", "b"], [["a"], []], language="en")


def test_the_signature_names_the_tokenisation_and_the_version():
    chinese, english = signature("zh"), signature("en")
    assert chinese == f"nrefs:var|case:mixed|eff:no|tok:zh|smooth:exp|version:{sacrebleu.__version__}"
    assert "tok:13a" in english
    assert "nc:6|nw:0" in signature("zh", "chrf")
