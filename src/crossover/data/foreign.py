"""The vocabulary of another library's model: a tokenizer of the `tokenizers` library with ids of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossover.data.text import GAP
from crossover.errors import DataError

_MASKS = (GAP, "<mask>")
_UNKNOWN = ("[UNK]", "<unk>")
_ENDS = ("<|endoftext|>", "</s>", "[SEP]", "[PAD]")


class ForeignVocabulary:
    """Reads texts as the model that it came with did: its own normalisation and its own special tokens included.

    Where the tokenizer has no id for a hidden or an unknown unit (GPT-2 has neither), the end of a text stands for
    it.
    Raises DataError for a tokenizer that cannot be read.
    """

    kind = "foreign"

    def __init__(self, tokenizer: str) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:
            # The library raises plain Exception for whatever is wrong with the text.
            raise DataError(
                f"this is no saved tokenizer of the tokenizers library ({error}): save it again"
            ) from None
        self._tokenizer.encode_special_tokens = True  # "[SEP]" in a text is text, not the special id
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._size = 1 + max(self._tokenizer.get_vocab().values(), default=0)
        added = self._tokenizer.get_added_tokens_decoder()
        self.special = frozenset(i for i, token in added.items() if token.special)
        self.unknown = self._first(*_UNKNOWN, *_ENDS)
        self.mask = self._first(*_MASKS, *_ENDS)

    def _first(self, *tokens: str) -> int:
        found = (self._tokenizer.token_to_id(token) for token in tokens)
        return next((i for i in found if i is not None), 0)

    @property
    def size(self) -> int:
        """Number of ids, the special ones included."""
        return self._size

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, with what the model expects around it (``[CLS] … [SEP]`` for BERT)."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch([_readable(text) for text in texts])]

    def encode_units(self, units: Sequence[str]) -> list[list[int]]:
        """Ids of each unit, read as after a space, as most words of a text are."""
        given = [" " + _readable(unit) for unit in units]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(given, add_special_tokens=False)]

    def encode_gaps(self, text: str) -> list[int]:
        """Ids of `text`, where ``[MASK]`` is `mask`."""
        around = self.encode([""])[0]
        half = (len(around) + 1) // 2
        given = [_readable(piece) for piece in text.split(GAP)]
        pieces = [piece.ids for piece in self._tokenizer.encode_batch(given, add_special_tokens=False)]
        gaps = (i for piece in pieces[1:] for i in (self.mask, *piece))
        return [*around[:half], *pieces[0], *gaps, *around[half:]]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; special ones are left out."""
        wrong = next((i for i in ids if not 0 <= i < self.size), None)
        if wrong is not None:
            raise DataError(f"id {wrong} is not in a vocabulary of {self.size}")
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as JSON, for `vocabulary_from_json`."""
        return {"kind": self.kind, "lowercase": False, "tokenizer": self._tokenizer.to_str()}


def _readable(text: str) -> str:
    """The text with ``?`` for what has no bytes, a lone surrogate."""
    return text.encode("utf-8", "replace").decode("utf-8")
