from hypothesis import given, settings
from hypothesis import strategies as st

from crossover.data.speech_parts import TAGS, tag_words
from crossover.data.text import split_words


def test_pad_is_tag_zero():
    assert TAGS[0] == "PAD"
    assert len(set(TAGS)) == len(TAGS)


def test_english_in_context():
    (tags,) = tag_words(["The company's profit didn't rise 6.4%, it fell."])
    assert tags == [
        ("The", "DET"), ("company's", "NOUN"), ("profit", "NOUN"), ("didn't", "AUX"), ("rise", "VERB"),
        ("6.4", "NUM"), ("%", "SYM"), (",", "PUNCT"), ("it", "PRON"), ("fell", "VERB"), (".", "PUNCT"),
    ]  # fmt: skip


def test_chinese_by_script():
    (tags,) = tag_words(["公司的净利润增长6.4%。"])
    assert tags == [
        ("公司", "NOUN"), ("的", "PART"), ("净利润", "NOUN"), ("增长", "VERB"), ("6.4", "NUM"), ("%", "SYM"),
        ("。", "PUNCT"),
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text("abcdeINGs'’-. 净利润是不", max_size=60))
def test_tags_align_with_words_for_any_text(text):
    (tags,) = tag_words([text])
    assert [word for word, _ in tags] == split_words(text)
    assert {tag for _, tag in tags} <= set(TAGS[1:])
    assert tag_words([text]) == [tags]


def test_a_very_long_word_is_tagged_at_once():
    assert len(tag_words(["a" * 20_000])[0]) == 1
