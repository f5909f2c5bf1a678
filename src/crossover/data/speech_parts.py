"""Part-of-speech tags: HanTa for English, jieba for Chinese, both mapped to the universal tags (UD 2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from crossover.data.text import chinese_tokenizer, is_chinese, split_words

TAGS = (
    "PAD", "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT",
    "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip
"""The universal tags, and PAD, which is 0 as in every vocabulary."""

_LONGEST_WORD = 40
_ENGLISH_SUFFIX = re.compile(r"(?<=\w)(?:n['’]t|['’](?:s|re|ve|ll|d|m)?)$", re.IGNORECASE)
# The tags of the British National Corpus (C5) by their first letters, the longest that fits.
_ENGLISH = {
    "AJ": "ADJ", "AT": "DET", "AV": "ADV", "CJC": "CCONJ", "CJ": "SCONJ", "CRD": "NUM", "DPS": "PRON", "DT": "DET",
    "EX": "PRON", "ITJ": "INTJ", "NN": "NOUN", "NP": "PROPN", "ORD": "ADJ", "PN": "PRON", "POS": "PART", "PR": "ADP",
    "PU": "PUNCT", "TO": "PART", "VB": "AUX", "VD": "AUX", "VH": "AUX", "VM": "AUX", "VV": "VERB", "XX": "PART",
}  # fmt: skip
# The tags of jieba's dictionary (ICTCLAS), likewise.
_CHINESE = {
    "a": "ADJ", "ad": "ADV", "an": "NOUN", "b": "ADJ", "c": "CCONJ", "d": "ADV", "e": "INTJ", "f": "ADP", "h": "PART",
    "k": "PART", "m": "NUM", "n": "NOUN", "nr": "PROPN", "ns": "PROPN", "nt": "PROPN", "nz": "PROPN", "o": "INTJ",
    "p": "ADP", "q": "NOUN", "r": "PRON", "s": "NOUN", "t": "NOUN", "u": "PART", "v": "VERB", "vd": "ADV",
    "vn": "NOUN", "w": "PUNCT", "y": "PART", "z": "ADJ",
}  # fmt: skip


def tag_words(texts: Sequence[str]) -> list[list[tuple[str, str]]]:
    """(word, tag of `TAGS`) for each text; the words are those of `split_words`, so tags align with word ids.

    A text with a Chinese character is tagged by jieba, any other by HanTa, which reads it as one sentence. Numbers
    and signs are tagged by what they are.
    """
    return [list(_tag_text(text)) for text in texts]


@lru_cache(maxsize=1 << 16)
def _tag_text(text: str) -> tuple[tuple[str, str], ...]:
    words = split_words(text)
    tags = [_chinese_tag(word) for word in words] if is_chinese(text) else _english_tags(words)
    return tuple((word, _tag_of_sign(word) or tag) for word, tag in zip(words, tags, strict=True))


@lru_cache(maxsize=1 << 12)
def _tag_of_sign(word: str) -> str | None:
    if word[0].isdigit():
        return "NUM"
    kind = unicodedata.category(word[0])
    if len(word) > 1 or kind[0] not in "PS":
        return None
    return "SYM" if kind[0] == "S" or word in "%‰#&@" else "PUNCT"


def _mapped(tag: str, table: dict[str, str]) -> str:
    return next((table[tag[:n]] for n in range(len(tag), 0, -1) if tag[:n] in table), "X")


def _english_tags(words: Sequence[str]) -> list[str]:
    """A contraction or a possessive is tagged as what stands before its apostrophe (didn't → did)."""
    if not words:
        return []
    heads = [_ENGLISH_SUFFIX.sub("", word)[:_LONGEST_WORD] for word in words]
    return [_mapped(tag, _ENGLISH) for tag in _english_tagger().tag_sent(heads, taglevel=0)]


@cache
def _english_tagger() -> Any:
    """HanTa's English model; the library unpickles it from a file of its own package."""
    from HanTa.HanoverTagger import HanoverTagger

    return HanoverTagger("morphmodel_en.pgz")


@lru_cache(maxsize=1 << 16)
def _chinese_tag(word: str) -> str:
    """jieba tags words without their context, so one look per distinct word is enough."""
    if not is_chinese(word):
        return "X"
    *_, last = _chinese_tagger().cut(word)
    return _mapped(last.flag, _CHINESE)


@cache
def _chinese_tagger() -> Any:
    tokenizer = chinese_tokenizer()
    from jieba.posseg import POSTokenizer

    return POSTokenizer(tokenizer)
