"""Text to units that know where they stand: words, numbers and signs, each Chinese character by itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from crossover.data.text import HAN

_UNIT = re.compile(rf"[{HAN}]|\d+(?:[.,]\d+)*|[^\W\d_{HAN}](?:[^\W_{HAN}]|['’\-](?=[^\W_{HAN}]))*|\S")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]|\n")


@dataclass(frozen=True)
class Unit:
    """A unit's text in Unicode's composed form (NFC), and the characters `begin` to `end` of the original."""

    text: str
    begin: int
    end: int


def cut_units(text: str) -> list[Unit]:
    """The units of `text`, in order.

    >>> [(unit.text, unit.begin) for unit in cut_units("Ann's 3.5 km, 小明")]
    [("Ann's", 0), ('3.5', 6), ('km', 10), (',', 12), ('小', 14), ('明', 15)]
    """
    if unicodedata.is_normalized("NFC", text):
        return [Unit(match[0], match.start(), match.end()) for match in _UNIT.finditer(text)]
    composed, places = "", []
    for cluster, begin in _clusters(text):
        part = unicodedata.normalize("NFC", cluster)
        composed += part
        places += [(begin, begin + len(cluster))] * len(part)
    return [
        Unit(match[0], places[match.start()][0], places[match.end() - 1][1]) for match in _UNIT.finditer(composed)
    ]


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Each character with what composes with it (accents, Hangul vowels and finals), and where it begins."""
    begin = 0
    for place in range(1, len(text) + 1):
        joins = place < len(text) and (unicodedata.combining(text[place]) or "\u1160" <= text[place] <= "\u11ff")
        if not joins:
            yield text[begin:place], begin
            begin = place


def cut_sentences(text: str) -> list[str]:
    """The sentences of `text`, each with its mark; a line ends one too.

    >>> cut_sentences("Ann paid 3.5 dollars. 小明去了厨房。他在哪里？")
    ['Ann paid 3.5 dollars.', '小明去了厨房。', '他在哪里？']
    """
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    pieces = [text[begin:end].strip() for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [piece for piece in pieces if piece]
