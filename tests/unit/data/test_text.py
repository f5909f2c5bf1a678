import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossover.data.text import join_words, split_words, train_vocabulary, vocabulary_from_json
from crossover.errors import ConfigError, DataError

TEXTS = ["Profit rose 6.4% to EUR13.1mn", "profit fell", "净利润增长，公司满意", "Sales didn't rise"]
KINDS = ("words", "subwords", "characters")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("company's mid-cap shares", ["company's", "mid-cap", "shares"]),
        ("up 1,234.5 or $3.2", ["up", "1,234.5", "or", "$", "3.2"]),
        ("Q2 COVID-19 A320neo", ["Q2", "COVID-19", "A320neo"]),
        ("EUR13.1mn, 3rd", ["EUR", "13.1", "mn", ",", "3", "rd"]),
        ("Wait... (no)!", ["Wait", ".", ".", ".", "(", "no", ")", "!"]),
        ("don’t - 'quote'", ["don’t", "-", "'", "quote", "'"]),
        ("cafe\u0301", ["café"]),
        ("净利润增长6.4%，Nokia满意", ["净利润", "增长", "6.4", "%", "，", "Nokia", "满意"]),
        (" \n\t", []),
    ],
)
def test_split_words(text, words):
    assert split_words(text) == words


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_split_words_loses_nothing_but_space(text):
    import unicodedata

    kept = "".join(split_words(text))
    assert "".join(kept.split()) == "".join(unicodedata.normalize("NFC", text).split())


def test_join_words_leaves_chinese_together():
    assert join_words(["净利润", "增长", "6.4", "%", "Nokia"]) == "净利润增长 6.4 % Nokia"


@pytest.mark.parametrize("kind", KINDS)
def test_vocabulary_survives_json(kind):
    vocabulary = train_vocabulary(kind, TEXTS, size=400, lowercase=True)
    again = vocabulary_from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again.encode([*TEXTS, "unseen ☃"]) == vocabulary.encode([*TEXTS, "unseen ☃"])
    assert (again.kind, again.size, again.lowercase) == (kind, vocabulary.size, True)


@pytest.mark.parametrize("kind", ["subwords", "characters"])
@settings(max_examples=60, deadline=None)
@given(text=st.text("abc é净利 .\n", max_size=40))
def test_decode_undoes_encode(kind, text):
    vocabulary = train_vocabulary(kind, ["abc é净利 .\n"], size=300)
    assert vocabulary.decode(vocabulary.encode([text])[0]) == text


def test_ids_of_the_special_tokens():
    vocabulary = train_vocabulary("words", ["b a b"], size=10)
    assert vocabulary.encode(["b a c"]) == [[4, 5, 1]]
    assert vocabulary.decode([2, 4, 1, 3, 0]) == "b <unk>"


def test_special_names_in_text_are_ordinary_words():
    for kind in KINDS:
        vocabulary = train_vocabulary(kind, ["<pad> <s> a"], size=300)
        assert not {0, 2, 3} & set(vocabulary.encode(["<pad> <s> a"])[0]), kind


def test_size_counts_and_ties():
    vocabulary = train_vocabulary("words", ["c c b a a d"], size=7)
    assert vocabulary.to_json()["tokens"] == ["a", "c", "b"]
    assert vocabulary.size == 7
    assert train_vocabulary("words", ["c c b a a d"], size=50, minimum_count=2).size == 6


def test_subword_training_is_the_same_in_another_process():
    program = (
        "import json; from crossover.data.text import train_vocabulary as train;"
        "print(json.dumps(train('subwords', ['low lower lowest newer wider ' * 3] * 5, size=300).to_json()))"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(2)
    )
    assert first == second


def test_lone_surrogates_do_not_stop_subwords():
    vocabulary = train_vocabulary("subwords", ["ab\ud800"], size=300)
    assert vocabulary.decode(vocabulary.encode(["ab\ud800"])[0]).startswith("ab")


def test_bad_requests():
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        train_vocabulary("word", TEXTS, size=100)
    with pytest.raises(ConfigError, match="use at least 260"):
        train_vocabulary("subwords", TEXTS, size=100)
    for kind in KINDS:
        with pytest.raises(DataError):
            train_vocabulary(kind, ["", ""], size=300)
    with pytest.raises(DataError, match="id 99"):
        train_vocabulary("words", TEXTS, size=20).decode([99])


@pytest.mark.parametrize(
    "value", [{}, {"kind": "words"}, {"kind": "other", "lowercase": False, "tokens": []}, [], None,
              {"kind": "subwords", "lowercase": False, "tokenizer": "{"}]
)  # fmt: skip
def test_what_is_no_vocabulary_is_refused(value):
    with pytest.raises(DataError):
        vocabulary_from_json(value)


def test_segmenting_chinese_writes_no_cache_and_no_log(tmp_path):
    program = "from crossover.data.text import split_words; print(split_words('净利润增长'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env={"TMPDIR": str(tmp_path), "PATH": "", "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.strip() == "['净利润', '增长']"
    assert "jieba" not in done.stderr.lower()
    assert list(tmp_path.iterdir()) == []
