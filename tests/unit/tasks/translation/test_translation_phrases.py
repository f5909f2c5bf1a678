from __future__ import annotations

import doctest
import re
from datetime import date
from itertools import pairwise

import pytest

from crossover.errors import ConfigError
from crossover.tasks.translation import phrases as translation_phrases
from crossover.tasks.translation.numbers import chinese_number, english_number, english_ordinal, numeral_ordinal
from crossover.tasks.translation.phrases import phrases
from crossover.tasks.translation.sources import embedded_phrases

NUMBERS = [
    (0, "zero", "零"),
    (2, "two", "二"),
    (10, "ten", "十"),
    (12, "twelve", "十二"),
    (20, "twenty", "二十"),
    (22, "twenty-two", "二十二"),
    (101, "one hundred and one", "一百零一"),
    (110, "one hundred and ten", "一百一十"),
    (115, "one hundred and fifteen", "一百一十五"),
    (200, "two hundred", "二百"),
    (342, "three hundred and forty-two", "三百四十二"),
    (1000, "one thousand", "一千"),
    (1005, "one thousand and five", "一千零五"),
    (1050, "one thousand and fifty", "一千零五十"),
    (1500, "one thousand five hundred", "一千五百"),
    (2000, "two thousand", "两千"),
    (2222, "two thousand two hundred and twenty-two", "两千二百二十二"),
    (10_000, "ten thousand", "一万"),
    (10_005, "ten thousand and five", "一万零五"),
    (10_010, "ten thousand and ten", "一万零一十"),
    (12_000, "twelve thousand", "一万二千"),
    (20_002, "twenty thousand and two", "两万零二"),
    (100_000, "one hundred thousand", "十万"),
    (102_000, "one hundred and two thousand", "十万二千"),
    (342_000, "three hundred and forty-two thousand", "三十四万二千"),
    (1_000_000, "one million", "一百万"),
    (2_500_000, "two million five hundred thousand", "二百五十万"),
    (20_000_000, "twenty million", "两千万"),
    (100_002_000, "one hundred million two thousand", "一亿零二千"),
    (105_000_000, "one hundred and five million", "一亿零五百万"),
    (200_000_000, "two hundred million", "两亿"),
    (100_050_005, "one hundred million fifty thousand and five", "一亿零五万零五"),
    (2_000_000_000, "two billion", "二十亿"),
    (300_000_000_000, "three hundred billion", "三千亿"),
]

FORMS = {
    "79.6 million": "7960万",
    "652.5 million": "6.525亿",
    "GBP 38 million": "3800万英镑",
    "$890.8 billion": "8908亿美元",
    "minus nineteen million": "负一千九百万",
    "two point nine": "二点九",
    "the 198th": "第198",
    "two hours": "两小时",
    "two tables": "两张桌子",
    "May 28, 2038": "2038年5月28日",
    "17 November 1934": "1934年11月17日",
    "July 31st, 2010": "2010年7月31日",
    "the thirteenth of February 2048": "2048年2月13日",
    "2022-04-04": "2022年4月4日",
    "Sunday, March 4, 2063": "2063年3月4日星期日",
    "Monday, 27 July": "7月27日星期一",
    "the ninth of February": "2月9日",
    "the summer of 2019": "2019年夏天",
    "the first half of 2069": "2069年上半年",
    "the 1930s": "20世纪30年代",
    "the 2070s": "21世纪70年代",
    "four o'clock": "四点",
    "half past ten": "十点半",
    "a quarter past six": "六点一刻",
    "a quarter to five in the afternoon": "下午四点四十五分",
    "12:04 am": "凌晨0点04分",
    "12 pm": "中午12点",
    "0:36": "0点36分",
    "$20.68": "20.68美元",
    "£1,000.23": "1000.23英镑",
    "two pounds": "两英镑",
    "six euros and two cents": "六欧元两欧分",
    "one pound and nine pence": "一英镑九便士",
    "55.7%": "55.7%",
    "4.8 percent": "4.8%",
    "two percent": "百分之二",
    "two point eight percent": "百分之二点八",
    "The meeting begins at half past one on 2075-07-15.": "会议于2075年7月15日一点半开始。",
    "It is 88.8% cheaper than in Paris.": "它比在巴黎便宜88.8%。",
    "one dollar and two cents": "一美元两美分",
    "Mary bought eight apples for $48.31.": "玛丽花48.31美元买了八个苹果。",
    "She finished the race in first place.": "她在比赛中获得第一名。",
    "Paris had 8.24 million visitors in the 1990s.": "20世纪90年代，巴黎有824万名游客。",
    "The wedding in Oslo was put off until Tuesday, June 26, 2085.": "奥斯陆的婚礼推迟到2085年6月26日星期二举行。",
    "In the 2040s sales were 14.6% higher than in December 2006.": "21世纪40年代的销售额比2006年12月高14.6%。",
    "The journey from Rome to Shanghai takes fifty-two weeks.": "从罗马到上海的旅程需要五十二周。",
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return dict(phrases(13_500, seed=0))


@pytest.mark.parametrize(("number", "english", "chinese"), NUMBERS)
def test_numbers_in_words_and_characters(number: int, english: str, chinese: str):
    assert english_number(number) == english
    assert chinese_number(number) == chinese


def test_numbers_without_the_british_and():
    assert english_number(342_000, conjunction=False) == "three hundred forty-two thousand"
    assert english_number(10_005, conjunction=False) == "ten thousand five"


def test_chinese_numbers_read_back_as_the_same_number():
    for number in [*range(3000), *(10**k + 10**j for k in range(12) for j in range(k)), 987_654_321_012, 200_300_040]:
        assert read(chinese_number(number)) == number


def read(text: str) -> int:
    """The value of Chinese characters: the definition that the writer must agree with."""
    total = group = digit = 0
    for character in text.replace("两", "二"):
        if character in "零一二三四五六七八九":
            digit = "零一二三四五六七八九".index(character)
        elif character in "十百千":
            group += (digit or 1) * 10 ** ("十百千".index(character) + 1)
            digit = 0
        else:
            total += (group + digit) * {"万": 10**4, "亿": 10**8}[character]
            group = digit = 0
    return total + group + digit


def test_ordinals_in_words_and_figures():
    written = {n: (english_ordinal(n), numeral_ordinal(n)) for n in (1, 2, 3, 5, 8, 9, 11, 12, 20, 22, 100, 113)}
    assert written == {
        1: ("first", "1st"),
        2: ("second", "2nd"),
        3: ("third", "3rd"),
        5: ("fifth", "5th"),
        8: ("eighth", "8th"),
        9: ("ninth", "9th"),
        11: ("eleventh", "11th"),
        12: ("twelfth", "12th"),
        20: ("twentieth", "20th"),
        22: ("twenty-second", "22nd"),
        100: ("one hundredth", "100th"),
        113: ("one hundred and thirteenth", "113th"),
    }


@pytest.mark.parametrize("english", FORMS)
def test_each_form_has_the_translation_written_by_hand(english: str, drawn: dict[str, str]):
    assert drawn[english] == FORMS[english]


def test_weekdays_are_those_of_the_calendar(drawn: dict[str, str]):
    dated = [re.fullmatch(r"(\d{4})年(\d+)月(\d+)日星期(.)", chinese) for chinese in drawn.values()]
    found = [match for match in dated if match]
    assert len(found) > 50
    for match in found:
        assert match[4] == "一二三四五六日"[date(*map(int, match.groups()[:3])).weekday()]


def test_whole_numbers_in_words_mean_the_same_on_both_sides(drawn: dict[str, str]):
    plain = {
        english: chinese
        for english, chinese in drawn.items()
        if re.fullmatch("[零一两二三四五六七八九十百千万亿]+", chinese)
    }
    assert len(plain) > 500
    for english, chinese in plain.items():
        number = read(chinese)
        assert english in (english_number(number), english_number(number, conjunction=False))


def test_a_source_has_the_same_reference_whatever_the_seed(drawn: dict[str, str]):
    again = [pair for seed in (1, 2) for pair in phrases(8_000, seed)]
    shared = [english for english, _ in again if english in drawn]
    assert len(shared) > 500
    known = dict(drawn)
    assert all(known.setdefault(english, chinese) == chinese for english, chinese in again)


def test_phrases_are_distinct_half_sentences_and_a_function_of_the_seed(drawn: dict[str, str]):
    assert len(drawn) == 13_500
    assert 0.4 < sum(english.endswith(".") for english in drawn) / len(drawn) < 0.75
    assert phrases(200, 0) == list(drawn.items())[:200]
    assert phrases(200, 1) != phrases(200, 0)
    assert phrases(0, 0) == []
    with pytest.raises(ConfigError, match="cannot generate -1 phrases"):
        phrases(-1, 0)


def test_the_embedded_splits_are_disjoint_and_have_one_reference_each():
    data = embedded_phrases(0, sizes=(600, 50, 100))
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 600, "valid": 50, "test": 100}
    assert all(len(references) == 1 for part in data.splits.values() for references in part.references)
    sources = [set(part.sources) for part in data.splits.values()]
    assert all(not left & right for left, right in pairwise([*sources, sources[0]]))
    assert data.languages == ("en", "zh")
    assert embedded_phrases(0, sizes=(600, 50, 100)) == data
    assert embedded_phrases(1, sizes=(600, 50, 100)).splits["test"] != data.splits["test"]


def test_the_example_of_the_module_holds():
    result = doctest.testmod(translation_phrases)
    assert (result.attempted, result.failed) == (1, 0)
