"""Whole numbers in English words, as English ordinals, and in Chinese characters."""

from __future__ import annotations

SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
"""The numbers below twenty, by their value."""
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
"""Names of powers of a thousand, the largest first."""
_ORDINALS = {
    **{"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"},
    "twelve": "twelfth",
}
DIGITS = "零一二三四五六七八九"
"""Chinese digits by their value."""


def english_number(n: int, *, conjunction: bool = True) -> str:
    """A whole number below 10^12 in words; `conjunction` puts *and* before the tens, as in Britain."""
    if n < 20:
        return SMALL[n]
    if n < 100:
        return _TENS[n // 10] + (f"-{SMALL[n % 10]}" if n % 10 else "")
    scale, name = next(((s, name) for s, name in SCALES if n >= s), (100, "hundred"))
    words = f"{english_number(n // scale, conjunction=conjunction)} {name}"
    rest = n % scale
    joint = " and " if conjunction and rest < 100 else " "
    return words + (joint + english_number(rest, conjunction=conjunction) if rest else "")


def english_ordinal(n: int) -> str:
    """*first*, *twenty-second*, *one hundred and fifth*."""
    start, last = "", english_number(n)
    for sign in (" ", "-"):
        head, found, tail = last.rpartition(sign)
        start, last = start + head + found, tail
    regular = (last[:-1] + "ie" if last.endswith("y") else last) + "th"
    return start + _ORDINALS.get(last, regular)


def numeral_ordinal(n: int) -> str:
    """*1st*, *22nd*, *113th*."""
    return f"{n}{'th' if n % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def chinese_number(n: int) -> str:
    """A whole number below 10^12 in Chinese characters."""
    if n == 0:
        return DIGITS[0]
    text = ""
    for scale, unit in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group = n // scale % 10_000
        if group:
            text += ("零" if text and group < 1000 else "") + _group(group) + unit
        elif text and unit == "万" and n % 10_000 >= 1000:
            text += "零"
    if text.startswith("一十"):
        return text[1:]
    return "两" + text[1:] if text[0] == "二" and text[1:2] in ("千", "万", "亿") else text


def _group(n: int) -> str:
    """Four digits: 1005 is 一千零五, 1500 一千五百, 12 一十二."""
    text, zero = "", False
    for scale, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // scale % 10
        if digit:
            text += ("零" if zero else "") + DIGITS[digit] + unit
        zero = bool(text) and not digit
    return text


def counted(n: int) -> str:
    """A number before a measure word: 两, 三, 十二."""
    return "两" if n == 2 else chinese_number(n)
