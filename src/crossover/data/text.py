"""Words and vocabularies: text to ids and back, trained on the training split only."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from crossover.errors import ConfigError, DataError, unknown

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
MASK = BEGIN
"""What stands for a hidden unit: no text that is read whole begins with it, so it needs no id of its own."""
GAP = "[MASK]"
"""What a user writes for a hidden unit."""
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
KINDS = ("words", "subwords", "characters")
BYTES = 256
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
"""The Chinese characters, as a class of a regular expression holds them."""

_SPECIAL_IDS = frozenset(range(len(SPECIALS)))

_TOKEN = re.compile(
    rf"(?P<han>[{HAN}]+)"
    r"|\d+(?:[.,]\d+)*"
    rf"|[^\W\d_{HAN}](?:[^\W\d_{HAN}]|\d+(?![.,]?\d)|['’\-](?=[^\W_{HAN}]))*"
    r"|\S"
)
_HAN_WORD = re.compile(f"[{HAN}]")
_segmenter_lock = threading.Lock()


def split_words(text: str) -> list[str]:
    """Words, numbers and signs, in order.

    A word may hold apostrophes, hyphens and a number at its end (``company's``, ``mid-cap``, ``Q2``); a number keeps
    its decimals and thousands (``1,234.5``); every other sign stands alone. Chinese runs are cut by jieba.

    >>> split_words("Q2 net rose 6.4% to EUR13.1mn, it's up.")
    ['Q2', 'net', 'rose', '6.4', '%', 'to', 'EUR', '13.1', 'mn', ',', "it's", 'up', '.']
    """
    words: list[str] = []
    for match in _TOKEN.finditer(unicodedata.normalize("NFC", text)):
        if match["han"]:
            words.extend(segment_chinese(match[0]))
        else:
            words.append(match[0])
    return words


def join_words(words: Sequence[str]) -> str:
    """Words as text: spaces between them, none between two Chinese ones."""
    text = ""
    for word in words:
        glued = not text or (is_chinese(word[0]) and is_chinese(text[-1]))
        text += word if glued else " " + word
    return text


def is_chinese(word: str) -> bool:
    """Whether `word` holds a Chinese character."""
    return _HAN_WORD.search(word) is not None


def segment_chinese(text: str) -> list[str]:
    """Words of Chinese text by jieba, its new-word model included."""
    with _segmenter_lock:
        tokenizer = chinese_tokenizer()
    return list(tokenizer.cut(text))


@cache
def chinese_tokenizer() -> Any:
    """jieba's tokenizer, filled from its dictionary directly.

    Left to itself jieba loads a cache file of that name from the shared temporary folder, where anyone may have
    put it, and reports on stderr.
    """
    import jieba

    jieba.setLogLevel("ERROR")
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


@runtime_checkable
class Vocabulary(Protocol):
    """Text to ids and back. Ids: 0 pad, 1 unknown, 2 begin, 3 end; `encode` adds neither begin nor end.

    A vocabulary that came with another library's model has ids of its own (`crossover.data.foreign`): `unknown` and
    `mask` are what hides a unit, `special` the ids that stand for no text.
    """

    unknown: int
    mask: int
    special: frozenset[int]

    @property
    def kind(self) -> str:
        """One of ``words``, ``subwords``, ``characters``."""
        ...

    @property
    def size(self) -> int:
        """Number of ids, the four special ones included."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""
        ...

    def encode_units(self, units: Sequence[str]) -> list[list[int]]:
        """Ids of each word or sign that a text was cut into beforehand, with nothing around them."""
        ...

    def encode_gaps(self, text: str) -> list[int]:
        """Ids of `text`, where ``[MASK]`` is `mask`."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; pad, begin and end are left out."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as JSON, for `vocabulary_from_json`."""
        ...


def unit_names(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """The text of each unit by itself; a dot for one that stands for no text."""
    return [vocabulary.decode([i]).strip() or "·" for i in ids]


class ListedVocabulary:
    """A vocabulary that is a list of tokens: whole words as `split_words` cuts them, or single characters."""

    unknown, mask, special = UNKNOWN, MASK, _SPECIAL_IDS

    def __init__(self, kind: str, tokens: Sequence[str], *, lowercase: bool = False) -> None:
        self.kind = kind
        self.lowercase = lowercase
        self.tokens = (*SPECIALS, *tokens)
        self._cut: Callable[[str], list[str]] = split_words if kind == "words" else list
        self._join: Callable[[Sequence[str]], str] = join_words if kind == "words" else "".join
        self._ids = {token: i for i, token in enumerate(self.tokens) if i >= len(SPECIALS)}

    @property
    def size(self) -> int:
        """Number of ids, the four special ones included."""
        return len(self.tokens)

    def cut(self, text: str) -> list[str]:
        """The tokens of `text`, one for each id of `encode`."""
        return self._cut(text.lower() if self.lowercase else text)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""
        return [self.ids_of(self.cut(text)) for text in texts]

    def ids_of(self, tokens: Sequence[str]) -> list[int]:
        """The id of each token as it stands."""
        get = self._ids.get
        return [get(token, UNKNOWN) for token in tokens]

    def encode_units(self, units: Sequence[str]) -> list[list[int]]:
        """A word's one id, also where `split_words` would cut it; of characters an id each."""
        given = [unit.lower() if self.lowercase else unit for unit in units]
        return [[i] for i in self.ids_of(given)] if self.kind == "words" else [self.ids_of(unit) for unit in given]

    def encode_gaps(self, text: str) -> list[int]:
        """Ids of `text`, where ``[MASK]`` is `mask`."""
        return _encode_gaps(self, text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; pad, begin and end are left out."""
        return self._join([self.tokens[_checked(i, self.size)] for i in ids if i not in (PAD, BEGIN, END)])

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as JSON, for `vocabulary_from_json`."""
        return {"kind": self.kind, "lowercase": self.lowercase, "tokens": list(self.tokens[len(SPECIALS) :])}


class SubwordVocabulary:
    """Byte-level byte-pair encoding (Sennrich et al. 2016, over bytes as in GPT-2), digits one by one.

    Nothing is unknown to it.
    """

    kind = "subwords"
    unknown, mask, special = UNKNOWN, MASK, _SPECIAL_IDS

    def __init__(self, tokenizer: Any, *, lowercase: bool = False) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True  # "<s>" in a text is text, not the special id
        self.lowercase = lowercase

    @property
    def size(self) -> int:
        """Number of ids, the four special ones included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""
        given = [_without_surrogates(t.lower() if self.lowercase else t) for t in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(given, add_special_tokens=False)]

    def encode_units(self, units: Sequence[str]) -> list[list[int]]:
        """Ids of each unit, read as after a space, as most words of a text are."""
        return self.encode([" " + unit for unit in units])

    def encode_gaps(self, text: str) -> list[int]:
        """Ids of `text`, where ``[MASK]`` is `mask`."""
        return _encode_gaps(self, text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; the special ones are left out."""
        return str(self._tokenizer.decode([_checked(i, self.size) for i in ids], skip_special_tokens=True))

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as JSON, for `vocabulary_from_json`."""
        return {"kind": self.kind, "lowercase": self.lowercase, "tokenizer": self._tokenizer.to_str()}


def train_vocabulary(
    kind: Literal["words", "subwords", "characters"],
    texts: Sequence[str],
    *,
    size: int,
    minimum_count: int = 1,
    lowercase: bool = False,
) -> Vocabulary:
    """A vocabulary of at most `size` ids (the four special ones included) from the training texts alone.

    The most frequent tokens with at least `minimum_count` occurrences are kept, ties in alphabetical order.
    Subwords need `size` of at least 260: every byte has an id.

    Raises ConfigError for an unknown kind or a size too small, DataError where `texts` hold no token.
    """
    if kind not in KINDS:
        raise ConfigError(unknown("kind of units", kind, KINDS))
    if kind == "subwords":
        return _train_subwords(texts, size, minimum_count, lowercase)
    empty = ListedVocabulary(kind, (), lowercase=lowercase)
    counts = Counter(token for text in texts for token in empty.cut(text))
    return vocabulary_of(kind, counts, size=size, minimum_count=minimum_count, lowercase=lowercase)


def vocabulary_of(
    kind: str, counts: Mapping[str, int], *, size: int, minimum_count: int = 1, lowercase: bool = False
) -> ListedVocabulary:
    """The vocabulary of tokens that were counted in the training texts; errors as in `train_vocabulary`."""
    _check_size(kind, size, len(SPECIALS) + 1)
    kept = [token for token, count in counts.items() if count >= minimum_count]
    kept.sort(key=lambda token: (-counts[token], token))
    if not kept:
        raise DataError(f"the training texts hold no {kind} seen {minimum_count} times: use other texts")
    return ListedVocabulary(kind, kept[: size - len(SPECIALS)], lowercase=lowercase)


def _check_size(kind: str, size: int, smallest: int) -> None:
    if size < smallest:
        raise ConfigError(f"a vocabulary of {size} {kind}: use at least {smallest}")


def _train_subwords(texts: Sequence[str], size: int, minimum_count: int, lowercase: bool) -> SubwordVocabulary:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    _check_size("subwords", size, len(SPECIALS) + BYTES)
    if not any(text.strip() for text in texts):
        raise DataError(f"the {len(texts)} training texts are empty: subwords need some text")
    tokenizer = Tokenizer(models.BPE())
    # Digits stand alone: a number that train does not hold is read, and written, digit by digit.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=minimum_count,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    given: Iterable[str] = (_without_surrogates(t.lower() if lowercase else t) for t in texts)
    tokenizer.train_from_iterator(given, trainer)
    return SubwordVocabulary(tokenizer, lowercase=lowercase)


def vocabulary_from_json(value: dict[str, Any]) -> Vocabulary:
    """What `to_json` gave, back as a vocabulary; anything else is a DataError."""
    try:
        kind, lowercase = value["kind"], bool(value["lowercase"])
        if kind == "foreign":
            from crossover.data.foreign import ForeignVocabulary

            return ForeignVocabulary(value["tokenizer"])
        if kind == "subwords":
            from tokenizers import Tokenizer

            return SubwordVocabulary(Tokenizer.from_str(value["tokenizer"]), lowercase=lowercase)
        tokens = [str(token) for token in value["tokens"]]
    except Exception as error:
        raise DataError(
            f"this is no saved vocabulary ({type(error).__name__}: {error}): use one from to_json"
        ) from error
    if kind in KINDS:
        return ListedVocabulary(kind, tokens, lowercase=lowercase)
    raise DataError(unknown("kind of units", str(kind), KINDS))


@dataclass(frozen=True)
class Borrowed:
    """A vocabulary that comes with a trained model, and the name of that model: a task reads its texts with it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"arbitrary_types_allowed": True}

    vocabulary: Vocabulary
    owner: str

    @property
    def note(self) -> str:
        """What a task that reads by it says of it."""
        return f"Texts are read by the vocabulary of {self.owner} ({self.vocabulary.size} units)."


def _encode_gaps(vocabulary: Vocabulary, text: str) -> list[int]:
    pieces = vocabulary.encode(text.split(GAP))
    return [*pieces[0], *(i for piece in pieces[1:] for i in (vocabulary.mask, *piece))]


def _checked(index: int, size: int) -> int:
    if not 0 <= index < size:
        raise DataError(f"id {index} is not in a vocabulary of {size}")
    return int(index)


def _without_surrogates(text: str) -> str:
    """Lone surrogates have no bytes; they become U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
