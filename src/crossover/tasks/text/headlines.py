"""News-like headlines from a grammar, in English and Chinese, whose sentiment a bag of words cannot tell.

The sentiment is the one for the company marked with ``$``: negative, neutral or positive. Four kinds of headline,
each as frequent as the others, each with its classes equally frequent:

- **contest** (word order): who is ahead of whom. *$Altera again beats rival Castor* is positive, *Altera again beats
  rival $Castor* negative. A draw (*matches*) is neutral.
- **denial** (negation): a report is confirmed or denied, the verb negated or not; two negations cancel. *Brokers deny
  that profits at $Altera will not fall* is negative. What is only asked (*whether*) is neutral.
- **figures** (comparison of numbers): the figure against the earlier one, whatever was expected; a rise of profits is
  positive, a rise of costs negative, equality neutral. *Seen rising, profits at $Altera come in at EUR 12 mn after
  EUR 15 mn* is negative.
- **sequence** (order in time): the later of two events counts. *Big award for $Altera in Oslo after a late strike in
  Rome* is positive, with *before* negative.

There is no label noise: a reader who knows the rules is always right. Which words decide is symmetric, so that each
word, and each pair of neighbours, occurs about equally often with the positive and the negative label; what words do
tell is who is neutral (a draw, a question), and that one of two events was good.

>>> for headline in generate_headlines(4, seed=0):
...     print(f"{headline.kind:9}{headline.label:9}{headline.text}")
sequence negative 周五:$泰山钢铁在广州迎来首次罢工,之前在杭州迎来临时论坛
figures  positive Seen rising, losses at $Hartwick come in at EUR 2 mn after EUR 5 mn
contest  neutral  春风服装今日媲美竞争者$泰山钢铁
contest  positive 周一:长江重工暂时落后竞争者$高原乳业
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from crossover.errors import ConfigError
from crossover.tasks.text.headlines_words import CHINESE, ENGLISH, Lexicon

LABELS = ("negative", "neutral", "positive")
LARGEST_FIGURE = 12
"""Figures are whole numbers from 1 to this, one token each."""


@dataclass(frozen=True)
class Headline:
    """A headline, its label (one of `LABELS`), the kind of sentence and the language (``en`` or ``zh``)."""

    text: str
    label: str
    kind: str
    language: str


def generate_headlines(count: int, *, seed: int) -> list[Headline]:
    """`count` different headlines, kinds, languages and labels drawn evenly; pure in its arguments.

    Raises ConfigError for a negative count.
    """
    if count < 0:
        raise ConfigError(f"cannot generate {count} headlines: give a number from 0 up")
    random = Random(seed)
    seen: set[str] = set()
    headlines: list[Headline] = []
    while len(headlines) < count:
        headline = _draw(random)
        if headline.text not in seen:
            seen.add(headline.text)
            headlines.append(headline)
    return headlines


def _draw(random: Random) -> Headline:
    language = random.choice(list(_LEXICONS))
    kind = random.choice(list(_KINDS))
    sign = random.choice((-1, 0, 1))
    lexicon = _LEXICONS[language]
    text = random.choice(lexicon.openings) + _KINDS[kind](random, lexicon, sign)
    return Headline(text[0].upper() + text[1:], LABELS[sign + 1], kind, language)


def _contest(random: Random, words: Lexicon, sign: int) -> str:
    first, second = random.sample(words.companies, 2)
    first_is_marked = random.random() < 0.5
    return words.contest.format(
        first="$" * first_is_marked + first,
        adverb=random.choice(words.adverbs),
        verb=random.choice(words.contests[sign if first_is_marked else -sign]),
        rival=random.choice(words.rivals),
        second="$" * (not first_is_marked) + second,
    )


def _denial(random: Random, words: Lexicon, sign: int) -> str:
    negation, trend = random.choice((-1, 1)), random.choice((-1, 1))
    return words.denial.format(
        source=random.choice(words.sources),
        report=random.choice(words.reports[sign * negation * trend]),
        whether=words.whether[sign == 0],
        metric=random.choice(words.metrics[1]),
        company="$" + random.choice(words.companies),
        negation=words.negations[negation],
        trend=random.choice(words.trends[trend]),
    )


def _figures(random: Random, words: Lexicon, sign: int) -> str:
    metric_sign = random.choice((-1, 1))
    low, high = sorted(random.sample(range(1, LARGEST_FIGURE + 1), 2))
    same = random.randint(1, LARGEST_FIGURE)
    now, before = {-1: (low, high), 0: (same, same), 1: (high, low)}[sign * metric_sign]
    return words.figures.format(
        expectation=random.choice(words.expectations),
        metric=random.choice(words.metrics[metric_sign]),
        company="$" + random.choice(words.companies),
        now=now,
        before=before,
    )


def _sequence(random: Random, words: Lexicon, sign: int) -> str:
    first_is_later = random.choice((-1, 1))
    later, earlier = words.events[sign], words.events[random.choice((-1, 0, 1))]
    first, second = (later, earlier) if first_is_later == 1 else (earlier, later)
    place, place2 = random.sample(words.places, 2)
    adjective, adjective2 = random.sample(words.adjectives, 2)
    return words.sequence.format(
        company="$" + random.choice(words.companies),
        adjective=adjective,
        event=random.choice(first),
        place=place,
        order=random.choice(words.orders[first_is_later]),
        adjective2=adjective2,
        event2=random.choice(second),
        place2=place2,
    )


_LEXICONS: dict[str, Lexicon] = {"en": ENGLISH, "zh": CHINESE}
_KINDS: dict[str, Callable[[Random, Lexicon, int], str]] = {
    "contest": _contest,
    "denial": _denial,
    "figures": _figures,
    "sequence": _sequence,
}
