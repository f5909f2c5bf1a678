"""English phrases of numbers, dates, times and prices with their Chinese translation, exact by rule.

Numbers regroup from thousands to 万 and 亿, dates and sentences change their order, counted things take a measure
word, hours a part of the day. The Chinese is a function of the English alone: each source has one reference. Of two
usual ways to write a number one is always taken: 二 before 十 and 百 and inside a number, 两 before 千, 万 and 亿 at
its beginning and before a measure word; 零 for zeros inside a number, none where a group of four ends.

>>> for english, chinese in phrases(3, seed=2):
...     print(english, "|", chinese)
The concert in Moscow was put off until the fifth of November 2062. | 莫斯科的音乐会推迟到2062年11月5日举行。
558.2 billion | 5582亿
June 14th, 2012 | 2012年6月14日
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from string import Formatter
from typing import TypeVar

import numpy as np

from crossover.errors import ConfigError
from crossover.tasks.translation.numbers import (
    DIGITS,
    SCALES,
    SMALL,
    chinese_number,
    counted,
    english_number,
    english_ordinal,
    numeral_ordinal,
)

Item = TypeVar("Item")
Phrase = tuple[str, str]
"""English and Chinese."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_SEASONS = (("spring", "春天"), ("summer", "夏天"), ("autumn", "秋天"), ("winter", "冬天"))
_CURRENCIES = (
    *(("$", "USD", "dollar", "cent", "美元", "美分"), ("€", "EUR", "euro", "cent", "欧元", "欧分")),
    ("£", "GBP", "pound", "penny", "英镑", "便士"),
)
_CITIES = (
    *(
        ("London", "伦敦"),
        ("Paris", "巴黎"),
        ("Beijing", "北京"),
        ("Tokyo", "东京"),
        ("Cairo", "开罗"),
        ("Rome", "罗马"),
    ),
    *(("Moscow", "莫斯科"), ("Sydney", "悉尼"), ("Berlin", "柏林"), ("Shanghai", "上海"), ("Madrid", "马德里")),
    *(("New York", "纽约"), ("Toronto", "多伦多"), ("Boston", "波士顿"), ("Vienna", "维也纳"), ("Oslo", "奥斯陆")),
)
_PEOPLE = (("Anna", "安娜"), ("David", "大卫"), ("Mary", "玛丽"), ("Peter", "彼得"), ("He", "他"), ("She", "她"))
_THINGS = (
    *(("book", "本书"), ("table", "张桌子"), ("chair", "把椅子"), ("car", "辆汽车"), ("shirt", "件衬衫")),
    *(("ticket", "张票"), ("letter", "封信"), ("computer", "台电脑"), ("flower", "朵花"), ("house", "座房子")),
    *(("pen", "支钢笔"), ("photograph", "张照片"), ("bicycle", "辆自行车"), ("apple", "个苹果"), ("hat", "顶帽子")),
)
_SPANS = (("hour", "小时"), ("minute", "分钟"), ("day", "天"), ("week", "周"), ("year", "年"))
_UNITS = (*_SPANS, ("kilometer", "公里"), ("meter", "米"), ("mile", "英里"), ("kilogram", "公斤"), ("liter", "升"))
_FIGURES = (("sales", "销售额"), ("profits", "利润"), ("exports", "出口额"), ("costs", "成本"))
_EVENTS = (("meeting", "会议"), ("concert", "音乐会"), ("wedding", "婚礼"), ("exhibition", "展览"))


def phrases(count: int, seed: int) -> list[tuple[str, str]]:
    """`count` (English, Chinese) with distinct English, half of them sentences; pure in its arguments.

    Raises ConfigError for a negative count.
    """
    if count < 0:
        raise ConfigError(f"cannot generate {count} phrases: give a number from 0 up")
    rng = np.random.default_rng(seed)
    drawn: dict[str, str] = {}
    while len(drawn) < count:
        kind = _sentence if rng.random() < 0.5 else _pick(rng, _KINDS)
        english, chinese = kind(rng)
        drawn[english] = chinese
    return list(drawn.items())


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _plural(noun: str, n: int) -> str:
    return noun if n == 1 else "pence" if noun == "penny" else noun + "s"


def _whole(rng: np.random.Generator, digits: int = 12) -> int:
    """Any length is as likely as another, and so are zeros."""
    length = _between(rng, 1, digits)
    kept = _between(rng, 1, length)
    return _between(rng, 10 ** (kept - 1), 10**kept - 1) * 10 ** (length - kept)


def _scaled(rng: np.random.Generator) -> Phrase:
    """*2.5 million*, 250万."""
    scale, name = _pick(rng, SCALES[:2])
    value = Decimal(_between(rng, 1, 9999)) / _pick(rng, (1, 10, 100))
    value = value if value < 1000 else value / 10
    unit, character = (10**8, "亿") if value * scale >= 10**8 else (10**4, "万")
    return f"{value.normalize():f} {name}", f"{(value * scale / unit).normalize():f}{character}"


def _number(rng: np.random.Generator) -> Phrase:
    form = rng.random()
    n = _whole(rng)
    if form < 0.6:
        return english_number(n, conjunction=bool(rng.random() < 0.7)), chinese_number(n)
    if form < 0.75:
        return _scaled(rng)
    if form < 0.85:
        return f"minus {english_number(n)}", f"负{chinese_number(n)}"
    digits = [_between(rng, 0, 9) for _ in range(_between(rng, 1, 2))]
    point = " ".join(SMALL[digit] for digit in digits)
    n = _between(rng, 0, 1) * _whole(rng, 3)
    return f"{english_number(n)} point {point}", f"{chinese_number(n)}点{''.join(DIGITS[digit] for digit in digits)}"


def _ordinal(rng: np.random.Generator, most: int = 999) -> Phrase:
    """*twenty-first* and *21st*."""
    n = _between(rng, 1, most)
    if rng.random() < 0.6:
        return english_ordinal(n), f"第{chinese_number(n)}"
    return numeral_ordinal(n), f"第{n}"


def _ordinal_phrase(rng: np.random.Generator) -> Phrase:
    """*the second book*, 第二本书."""
    english, chinese = _ordinal(rng)
    noun, measured = _pick(rng, (*_THINGS, ("", "")))
    return f"the {english} {noun}".rstrip(), chinese + measured


def _date(rng: np.random.Generator) -> Phrase:
    """A day: what can stand after *on*."""
    day = date.fromordinal(_between(rng, date(1900, 1, 1).toordinal(), date(2099, 12, 31).toordinal()))
    month, d = _MONTHS[day.month - 1], day.day
    weekday, chinese_weekday = _WEEKDAYS[day.weekday()], "星期" + "一二三四五六日"[day.weekday()]
    of_year, chinese = f"{day.month}月{d}日", f"{day.year}年{day.month}月{d}日"
    forms = (
        (f"{month} {d}, {day.year}", chinese),
        (f"{d} {month} {day.year}", chinese),
        (f"{month} {numeral_ordinal(d)}, {day.year}", chinese),
        (f"the {english_ordinal(d)} of {month} {day.year}", chinese),
        (day.isoformat(), chinese),
        (f"{weekday}, {month} {d}, {day.year}", chinese + chinese_weekday),
        (f"{weekday}, {d} {month}", of_year + chinese_weekday),
        (f"the {english_ordinal(d)} of {month}", of_year),
    )
    return _pick(rng, forms)


def _period(rng: np.random.Generator) -> Phrase:
    """A month, season, quarter, half or decade: what can stand after *in*."""
    year, month, quarter, half = (
        _between(rng, 1900, 2099),
        _between(rng, 1, 12),
        _between(rng, 1, 4),
        _between(rng, 1, 2),
    )
    season, chinese_season = _pick(rng, _SEASONS)
    decade = _between(rng, 191, 199) + 10 * _between(rng, 0, 1)
    forms = (
        (f"{_MONTHS[month - 1]} {year}", f"{year}年{month}月"),
        (f"the {season} of {year}", f"{year}年{chinese_season}"),
        (f"the {english_ordinal(quarter)} quarter of {year}", f"{year}年第{chinese_number(quarter)}季度"),
        (f"the {english_ordinal(half)} half of {year}", f"{year}年{'上下'[half - 1]}半年"),
        (f"the {decade}0s", f"{decade // 10 + 1}世纪{decade % 10}0年代"),
    )
    return _pick(rng, forms)


def _time(rng: np.random.Generator) -> Phrase:
    """A time of day: what can stand after *at*. Figures stay figures, words become characters."""
    hour, minute, form = _between(rng, 0, 23), _between(rng, 0, 59), rng.random()
    on_the_dial = hour % 12 or 12
    if form < 0.2:
        return f"{hour}:{minute:02d}", f"{hour}点{minute:02d}分"
    if form < 0.6:
        half = "am" if hour < 12 else "pm"
        minutes, chinese_minutes = (f":{minute:02d}", f"{minute:02d}分") if rng.random() < 0.7 else ("", "")
        chinese = f"{_part_of_day(hour)}{on_the_dial if hour else 0}点{chinese_minutes}"
        return f"{on_the_dial}{minutes} {half}", chinese
    english, chinese = _spoken_time(on_the_dial, 5 * (minute // 5))
    if form < 0.8 or not 6 <= hour < 23 or hour == 12:
        return english, chinese
    return f"{english} in the {'morning' if hour < 12 else 'afternoon' if hour < 18 else 'evening'}", _part_of_day(
        hour
    ) + chinese


def _part_of_day(hour: int) -> str:
    limits = ((6, "凌晨"), (9, "早上"), (12, "上午"), (13, "中午"), (18, "下午"), (24, "晚上"))
    return next(part for limit, part in limits if hour < limit)


def _spoken_time(hour: int, minute: int) -> Phrase:
    """*ten past two*, 两点十分; *a quarter to three*, 两点四十五分."""
    chinese = counted(hour) + "点"
    if minute == 0:
        return f"{SMALL[hour]} o'clock", chinese
    if minute == 30:
        return f"half past {SMALL[hour]}", chinese + "半"
    distance = min(minute, 60 - minute)
    words = "a quarter" if distance == 15 else english_number(distance)
    joint, named = ("past", hour) if minute < 30 else ("to", hour % 12 + 1)
    chinese_minute = "一刻" if minute == 15 else ("零" if minute < 10 else "") + chinese_number(minute) + "分"
    return f"{words} {joint} {SMALL[named]}", chinese + chinese_minute


def _price(rng: np.random.Generator) -> Phrase:
    """What something in a shop costs."""
    sign, _, unit, hundredth, chinese, chinese_hundredth = _pick(rng, _CURRENCIES)
    whole, part, form = _whole(rng, 4), _between(rng, 1, 99), rng.random()
    if form < 0.35:
        return f"{sign}{whole:,}.{part:02d}", f"{whole}.{part:02d}{chinese}"
    if form < 0.5:
        return f"{sign}{whole:,}", f"{whole}{chinese}"
    english_whole, chinese_whole = f"{english_number(whole)} {_plural(unit, whole)}", f"{counted(whole)}{chinese}"
    if form < 0.7:
        return english_whole, chinese_whole
    rest = f"{english_number(part)} {_plural(hundredth, part)}"
    return f"{english_whole} and {rest}", f"{chinese_whole}{counted(part)}{chinese_hundredth}"


def _amount(rng: np.random.Generator) -> Phrase:
    """What a company or a state has."""
    sign, code, unit, _, chinese, _ = _pick(rng, _CURRENCIES)
    scaled, chinese_scaled = _scaled(rng)
    form = _pick(rng, ("{sign}{scaled}", "{code} {scaled}", "{scaled} {unit}s"))
    return form.format(sign=sign, code=code, unit=unit, scaled=scaled), chinese_scaled + chinese


def _percent(rng: np.random.Generator) -> Phrase:
    whole, rest = divmod(_between(rng, 1, 999), 10)
    if rng.random() < 0.5:
        value = f"{whole}.{rest}" if rest else str(whole)
        return value + _pick(rng, ("%", " percent")), f"{value}%"
    words, characters = english_number(whole), chinese_number(whole)
    if rest:
        words, characters = f"{words} point {SMALL[rest]}", f"{characters}点{DIGITS[rest]}"
    return f"{words} percent", f"百分之{characters}"


def _several(rng: np.random.Generator, nouns: Sequence[Phrase]) -> Phrase:
    """*two books*, 两本书; *250 books*, 250本书."""
    noun, measured = _pick(rng, nouns)
    if rng.random() < 0.6:
        n = _between(rng, 1, 99)
        return f"{english_number(n)} {_plural(noun, n)}", counted(n) + measured
    n = _between(rng, 2, 999)
    return f"{n} {_plural(noun, n)}", f"{n}{measured}"


def _sentence(rng: np.random.Generator) -> Phrase:
    """A sentence with each slot filled, no two of them alike."""
    english, chinese = _pick(rng, _SENTENCES)
    filled: dict[str, Phrase] = {}
    for _, slot, _, _ in Formatter().parse(english):
        if slot is not None:
            while (found := _SLOTS[slot.rstrip("2")](rng)) in filled.values():
                pass
            filled[slot] = found
    text = english.format_map({slot: pair[0] for slot, pair in filled.items()})
    return text[0].upper() + text[1:], chinese.format_map({slot: pair[1] for slot, pair in filled.items()})


_KINDS: tuple[Callable[[np.random.Generator], Phrase], ...] = (
    *(_number, _number, _ordinal_phrase, _date, _date, _period, _time, _price, _amount, _percent),
    lambda rng: _several(rng, (*_THINGS, *_UNITS)),
)
_SLOTS: dict[str, Callable[[np.random.Generator], Phrase]] = {
    "date": _date,
    "period": _period,
    "time": _time,
    "price": _price,
    "amount": _amount,
    "percent": _percent,
    "people": _scaled,
    "nth": lambda rng: _ordinal(rng, 40),
    "things": lambda rng: _several(rng, _THINGS),
    "span": lambda rng: _several(rng, _SPANS),
    "city": lambda rng: _pick(rng, _CITIES),
    "person": lambda rng: _pick(rng, _PEOPLE),
    "figure": lambda rng: _pick(rng, _FIGURES),
    "event": lambda rng: _pick(rng, _EVENTS),
}
_SENTENCES: tuple[Phrase, ...] = (
    ("The {event} is on {date}.", "{event}将于{date}举行。"),
    ("The {event} begins at {time} on {date}.", "{event}于{date}{time}开始。"),
    ("The {event} in {city} was put off until {date}.", "{city}的{event}推迟到{date}举行。"),
    ("It costs {price} more than last year.", "它比去年贵{price}。"),
    ("It is {percent} cheaper than in {city}.", "它比在{city}便宜{percent}。"),
    ("{person} bought {things} for {price}.", "{person}花{price}买了{things}。"),
    ("{person} has {things} and {things2}.", "{person}有{things}和{things2}。"),
    ("{person} was born in {city} on {date}.", "{person}于{date}出生在{city}。"),
    ("{person} finished the race in {nth} place.", "{person}在比赛中获得{nth}名。"),
    ("{person} lives on the {nth} floor of a house in {city}.", "{person}住在{city}一座房子的{nth}层。"),
    ("{person} waited for {span} in {city}.", "{person}在{city}等了{span}。"),
    ("The train to {city} leaves at {time}.", "开往{city}的火车{time}出发。"),
    ("The journey from {city} to {city2} takes {span}.", "从{city}到{city2}的旅程需要{span}。"),
    ("The shop opens at {time} and closes at {time2}.", "商店{time}开门，{time2}关门。"),
    ("It is {time} in {city}.", "{city}现在是{time}。"),
    ("{figure} rose by {percent} to {amount} in {period}.", "{period}，{figure}增长了{percent}，达到{amount}。"),
    ("{figure} fell from {amount} to {amount2}.", "{figure}从{amount}下降到{amount2}。"),
    ("In {period} {figure} were {percent} higher than in {period2}.", "{period}的{figure}比{period2}高{percent}。"),
    ("Less than {percent} of the students come from {city}.", "不到{percent}的学生来自{city}。"),
    ("{city} had {people} visitors in {period}.", "{period}，{city}有{people}名游客。"),
)
