"""Sentences for people. A `Message` is a sentence in no language yet; a `Translator` says it in one.

The source text is English and stands where it is used, marked by `_` or `ngettext`; the other languages are gettext
catalogues under ``locale/``, read with Babel when they are needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from pathlib import Path

from crossover.errors import ConfigError, unknown

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

LOCALES = Path(__file__).resolve().parent.parent / "locale"


@dataclass(frozen=True)
class Message:
    """A sentence with its values; a value may be a Text itself and is then translated too."""

    text: str
    values: Mapping[str, Text] = field(default_factory=dict)
    plural: str = ""
    count: int = 1

    def filled(self, **values: Text) -> Message:
        """The same sentence with `values`: for one that is chosen first and filled afterwards."""
        return replace(self, values=values)


@dataclass(frozen=True)
class Listing:
    """Several texts as one: ``a, b and c``."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Sentences:
    """Several sentences after one another; a language decides what stands between them."""

    items: tuple[Text, ...]


Text = str | Message | Listing | Sentences
"""What a report is made of: a plain string (a name, a formatted number) is the same in every language."""


def _(text: str, /, **values: Text) -> Message:
    """Mark a sentence for translation; ``{name}`` in it stands for `values`."""
    return Message(text, values)


def ngettext(singular: str, plural: str, count: int, /, **values: Text) -> Message:
    """Mark a sentence whose form depends on `count`, which it may show as ``{count}``."""
    return Message(singular, {"count": str(count), **values}, plural, count)


def stored(value: object) -> Text:
    """A sentence from a study file: plain text (said as it is, unless the catalogue knows it) or
    ``{"message": …, "values": {…}}``."""
    if isinstance(value, Mapping):
        return Message(str(value["message"]), {k: stored(v) for k, v in value.get("values", {}).items()})
    return Message(str(value))


class Translator:
    """Says texts in one language; a message that its catalogue lacks is said in English."""

    def __init__(self, lang: str, entries: Mapping[str, Sequence[str]], plural: Mapping[int, int]) -> None:
        self.lang = lang
        self._entries = entries
        self._plural = plural

    def gettext(self, text: str) -> str:
        """The translation of `text`, placeholders untouched."""
        return self._entries[text][0] if text in self._entries else text

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        """The translation in the form that `count` asks for."""
        if singular not in self._entries:
            return singular if count == 1 else plural
        forms = self._entries[singular]
        return forms[self._plural.get(count, len(forms) - 1)]

    def __call__(self, text: Text) -> str:
        """`text` in this language, values filled in."""
        if isinstance(text, str):
            return text
        if isinstance(text, Listing):
            return self._listing([self(item) for item in text.items])
        if isinstance(text, Sentences):
            return self._joined([self(item) for item in text.items])
        said = self.ngettext(text.text, text.plural, text.count) if text.plural else self.gettext(text.text)
        return self._filled(said, text.values)

    def _filled(self, said: str, values: Mapping[str, Text]) -> str:
        return _PLACEHOLDER.sub(lambda found: self(values.get(found[1], found[0])), said)

    def _joined(self, items: list[str]) -> str:
        pair = self.gettext(_("{sentence} {next}").text)
        return reduce(lambda one, other: self._filled(pair, {"sentence": one, "next": other}), items, "").lstrip()

    def _listing(self, items: list[str]) -> str:
        if len(items) < 2:
            return "".join(items)
        first = self.gettext(_(", ").text).join(items[:-1])
        return self._filled(self.gettext(_("{first} and {last}").text), {"first": first, "last": items[-1]})


def languages() -> list[str]:
    """The languages that reports come in."""
    return ["en", *sorted(path.name for path in LOCALES.iterdir() if path.is_dir())]


def choose_language(asked: str | None = None) -> str:
    """`asked` (ConfigError if there is no catalogue for it), or the locale's language, or English."""
    if asked is not None:
        language = asked.replace("-", "_").split("_")[0].lower()
        if language not in languages():
            raise ConfigError(unknown("language", asked, languages()))
        return language
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")
        if value:
            language = value.split(".")[0].split("_")[0].lower()
            return language if language in languages() else "en"
    return "en"


@cache
def translate(lang: str | None = None) -> Translator:
    """The translator for `lang`, or for the locale's language; ConfigError if there is no such language."""
    language = choose_language(lang)
    if language == "en":
        return Translator("en", {}, {})
    from babel.messages.pofile import read_po

    with (LOCALES / language / "LC_MESSAGES" / "crossover.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    entries: dict[str, tuple[str, ...]] = {}
    for message in catalogue:
        if message.id and not message.fuzzy:
            source = message.id if isinstance(message.id, str) else message.id[0]
            forms = message.string or ""
            entries[source] = (forms,) if isinstance(forms, str) else tuple(forms)
    entries = {source: forms for source, forms in entries.items() if all(forms)}
    return Translator(language, entries, {} if catalogue.num_plurals == 1 else {1: 0})
