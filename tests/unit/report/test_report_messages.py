import re
import string
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

import crossover.report.messages as messages
from crossover.errors import ConfigError
from crossover.report.messages import Listing, Sentences, _, choose_language, ngettext, stored, translate

PACKAGE = Path(messages.__file__).parent.parent
OTHER_LANGUAGES = [language for language in messages.languages() if language != "en"]


def extracted() -> set[str]:
    """Every message that the package marks, by its English (singular) text."""
    with (messages.LOCALES / "babel.cfg").open() as file:
        mapping, options = parse_mapping_cfg(file)
    keywords = {"_": None, "ngettext": (1, 2)}
    found = extract_from_dir(PACKAGE, mapping, options, keywords=keywords)
    return {text if isinstance(text, str) else text[0] for _file, _line, text, _comments, _context in found}


def catalogue(language: str):
    with (messages.LOCALES / language / "LC_MESSAGES" / "crossover.po").open("rb") as file:
        return [message for message in read_po(file, locale=language) if message.id]


def source(message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def forms(message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def placeholders(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}


def test_chinese_is_among_the_languages() -> None:
    assert "zh" in OTHER_LANGUAGES


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_every_message_is_translated_and_none_is_fuzzy(language: str) -> None:
    finished = {source(m) for m in catalogue(language) if not m.fuzzy and all(forms(m))}
    assert len(extracted()) > 150
    assert extracted() - finished == set()


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_no_translation_is_left_over(language: str) -> None:
    assert {source(m) for m in catalogue(language)} - extracted() == set()


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_placeholders_are_those_of_the_source(language: str) -> None:
    for message in catalogue(language):
        plural = message.id[1] if isinstance(message.id, tuple | list) else source(message)
        for form in forms(message):
            assert placeholders(form) == placeholders(source(message)) == placeholders(plural), source(message)


def test_values_are_translated_inside_a_sentence() -> None:
    sentence = _("{metric}, higher is better", metric=_("accuracy"))
    assert translate("en")(sentence) == "accuracy, higher is better"
    assert translate("zh")(sentence) == "准确率（越高越好）"


def test_a_value_with_braces_stays_as_it_is() -> None:
    assert translate("en")(_("{model} is better", model="{model}")) == "{model} is better"


@pytest.mark.parametrize(("count", "said"), [(1, "1 seed"), (3, "3 seeds")])
def test_the_plural_follows_the_count(count: int, said: str) -> None:
    message = ngettext("{count} seed", "{count} seeds", count)
    assert translate("en")(message) == said
    assert translate("zh")(message) == f"{count} 个种子"


@pytest.mark.parametrize(
    ("items", "english", "chinese"),
    [
        ((), "", ""),
        (("a",), "a", "a"),
        (("a", "b"), "a and b", "a 和 b"),
        (("a", "b", "c"), "a, b and c", "a、b 和 c"),
    ],
)
def test_a_listing_is_joined_as_the_language_does(items: tuple[str, ...], english: str, chinese: str) -> None:
    assert translate("en")(Listing(items)) == english
    assert translate("zh")(Listing(items)) == chinese


def test_sentences_are_spaced_as_the_language_does() -> None:
    both = Sentences((_("It ran on {device}.", device="x"), _("Everything together took {seconds}.", seconds="1 s")))
    assert translate("en")(both) == "It ran on x. Everything together took 1 s."
    assert re.fullmatch(r"\S+ x。\S+ 1 s。", translate("zh")(both))


def test_a_stored_message_is_known_by_its_text() -> None:
    assert translate("zh")(stored({"message": "{metric}, lower is better", "values": {"metric": "loss"}})) == (
        "损失（越低越好）"
    )
    assert translate("zh")(stored("no such message")) == "no such message"


@pytest.mark.parametrize(
    ("asked", "locale", "chosen"),
    [
        ("zh", "en_US.UTF-8", "zh"),
        ("zh-CN", "", "zh"),
        ("zh_TW", "", "zh"),
        (None, "zh_CN.UTF-8", "zh"),
        (None, "C.UTF-8", "en"),
        (None, "fr_FR", "en"),
        (None, "", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_or_the_locale(monkeypatch, asked, locale, chosen) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", locale)
    assert choose_language(asked) == chosen


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="unknown language 'fr': use one of en or zh"):
        choose_language("fr")
