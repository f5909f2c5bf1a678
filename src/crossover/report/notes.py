"""What tasks say of themselves and of their data, found again in the catalogues.

Tasks write plain English into `study.json` (their descriptions and notes) and know nothing of languages. Here stand
the sentences that they write, with their values left open; a sentence that none of them matches is said as it is.
"""

from __future__ import annotations

import re
from functools import cache

from crossover.report.messages import Message, Text, _

NOTES: tuple[Message, ...] = (
    _("{data}: {window} values to the next {horizon}"),
    _("{file} is separated by {delimiter}."),
    _("The quotes in {file} do not enclose fields: they are read as ordinary characters."),
    _("{file} is not UTF-8 (byte {byte}) and is read as {encoding}."),
    _("{count} rows of the split {split} of {name} are read from the hub."),
    _("Column {column} of {file} is read as the time."),
    _("{file} is read as {encoding}."),
    _("{file} has no header: its columns are named {first} to {last}."),
    _("{count} gaps in {file} ({located}) are filled by linear interpolation."),
    _("{count} missing values in {file} are filled by linear interpolation."),
    _("{count} of {all} objects in {file} lack a field: it is left empty."),
    _(
        "{count} of {all} steps of {file} are not {step}, the first from {from} to {to}: "
        "rows are taken as equally far apart."
    ),
    _("{count} of {all} weeks have no value and are interpolated linearly."),
    _("The last {count} rows of {file} are the validation split."),
    _("Each row of {length} tokens says {pairs} pairs and then asks for one of them at every step."),
    _("Trained on rows of up to {longest} bits, tested on the last step of rows of {lengths}."),
    _("Targets number the values from 0, which token {token} stands for."),
    _("Token 1 is a zero, token 2 a one; the target is 1 where the ones so far are odd in number."),
    _("{count} symbols of {alphabet}, copied after {lag} steps."),
    _("Targets number the symbols from 0, which token 1 stands for; token {token} asks."),
    _("Settings of the task: {settings}."),
    _("Part-of-speech tags are a second input beside the words."),
    _("{count} of the {all} train rows are the validation split."),
    _("Labels with fewer than {needed} examples are {fate}: {labels}."),
    _("Labels in {split} that train does not have: {labels}."),
    _("{count} rows of {split} with labels unseen in train are left out."),
    _("{count} {units} of {split} do not occur in train and count as unknown."),
    _("{count} topics, split by topic."),
    _("{count} headlines whose companies differ in polarity were left out."),
    _("{count} of {all} {split} texts were cut at {length} {units}."),
    _("Values are normalised by train's mean {mean} and deviation {deviation}."),
    _("Column {column} is taken as the {role}."),
    _("Rows left out: {empty} with an empty text, {unlabelled} without a label."),
    _("Test texts that also stand in train or valid: {exact} exactly, {near} nearly; {fate}."),
    _("The label has {count} numeric values: this is a regression, scored by its squared error."),
    _("{finding}; kept as --rare keep says, and counted as errors."),
    _("{finding}; kept as --rare keep says."),
    _("{finding}; dropped as --rare drop says."),
)
PHRASES: tuple[Message, ...] = (
    _("label {label} has one example"),
    _("{count} labels ({labels}) have one example"),
    _("label {label} has no example in train, but some in valid or test"),
    _("{count} labels ({labels}) have no example in train, but some in valid or test"),
    _("removed from test"),
    _("kept (--deduplicate removes them)"),
    _("left out"),
    _("kept in train only"),
    _("train"),
    _("valid"),
    _("test"),
    _("words"),
    _("subwords"),
    _("characters"),
    _("text"),
    _("label"),
    _("time"),
)
DESCRIPTIONS: tuple[Message, ...] = (
    _("weekly CO2 at Mauna Loa, 1958-2001"),
    _("monthly sea surface temperature of the eastern Pacific, 1950-2010"),
    _("hourly load and oil temperature of an electricity transformer, 7 channels"),
    _("daily temperature of Melbourne, 1981-1990"),
    _("daily exchange rates of eight currencies, 1990-2016"),
    _("your own series (--data FILE --target COLUMN)"),
    _("keys and values, then keys whose values are asked for"),
    _("whether the ones so far are odd in number, tested at up to 8 times the trained length"),
    _("a few symbols, to be said again after a given number of steps"),
    _("handwritten digits of 8 x 8 grey values, read step by step"),
    _("which of nine speakers says two vowels, from 12 coefficients over 7 to 29 steps"),
    _("standing, walking, running or badminton, from six sensors of a watch over 100 steps"),
    _("a hand that draws a gun or points, over 150 steps"),
    _("winter or summer half-year, from a day's power demand by the hour"),
    _("your own labelled series (--train F.ts --test F.ts, or --data F.ts)"),
    _("the Python language reference, topic by topic"),
    _("the plays of Shakespeare, character by character"),
    _("articles of Wikipedia"),
    _("your own text"),
    _("generated headlines in English and Chinese that need word order, negation and numbers"),
    _("sentences of English financial news by their sentiment for an investor"),
    _("headlines of English financial news by their sentiment towards the companies named"),
    _("a label or a value for each text"),
)


def recognised(said: str) -> Text:
    """`said` as the message that it is an instance of, its values recognised in turn; or as it is."""
    for template, pattern in _patterns():
        if found := pattern.fullmatch(said):
            return template.filled(**{name: recognised(value) for name, value in found.groupdict().items()})
    return said


@cache
def _patterns() -> tuple[tuple[Message, re.Pattern[str]], ...]:
    return tuple((template, _pattern(template.text)) for template in (*DESCRIPTIONS, *PHRASES, *NOTES))


def _pattern(text: str) -> re.Pattern[str]:
    open_ = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text))
    return re.compile(open_, re.DOTALL)
