"""Names of languages, territories, currencies, scripts and units in English and Chinese, from Unicode's CLDR.

Real names that come with Babel: no data need to be fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from babel import Locale

from crossover.tasks.translation.pairs import TranslationData, group_by_source, split_pairs

LANGUAGES = ("en", "zh")


def embedded_names(seed: int = 0) -> TranslationData:
    """The names, 80 % train, 10 % valid and 10 % test at random by English name.

    A name of several things (*Arabic*: a language, 阿拉伯语, and a script, 阿拉伯文) has several references.
    """
    kinds = name_pairs()
    pairs = group_by_source(pair for found in kinds.values() for pair in found)
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in kinds.items())
    notes = (
        f"Names of CLDR as in Babel {version('babel')}: {counts}; {len(pairs)} distinct English names.",
        "Test names stand in no other split, their words do: what is scored is how names are made up.",
    )
    return TranslationData(splits=split_pairs(pairs, seed), notes=notes, languages=LANGUAGES)


def name_pairs() -> dict[str, list[tuple[str, str]]]:
    """(English, Chinese) names by kind, in the order of their keys; what is written alike in both is left out."""
    english, chinese = (Locale(language) for language in LANGUAGES)
    return {
        "languages": list(_shared(english.languages, chinese.languages)),
        "territories": list(_shared(english.territories, chinese.territories)),
        "currencies": list(_shared(english.currencies, chinese.currencies)),
        "scripts": list(_shared(english.scripts, chinese.scripts)),
        "units": list(_shared(_units(english), _units(chinese))),
    }


def _shared(english: Mapping[str, str], chinese: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in sorted(english.keys() & chinese.keys()):
        if english[key] != chinese[key]:
            yield english[key], chinese[key]


def _units(locale: Locale) -> dict[str, str]:
    """The units' names; Chinese gives a long one only where it differs from the short one."""
    names = {}
    for unit, forms in locale.unit_display_names.items():
        name = forms.get("long", forms.get("short"))
        if name:
            names[unit] = name
    return names
