"""The registered tasks. A family is a file; a data set is a row in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crossover.registry import Registry
from crossover.tasks.base import Baseline, Batch, Reference, Split, Sums, Task, TaskSpec

TaskFactory = Callable[..., Task]
"""Builds the task; takes `DataOptions` (where user files lie, how they are split) as its only argument."""

TASKS: Registry[TaskFactory] = Registry("task", group="crossover.tasks")

Restorer = Callable[[Mapping[str, Any]], Any]
"""From a task's artifacts to an object with `spec`, `encode` and `decode`, without the data."""

RESTORERS: Registry[Restorer] = Registry("task family")
"""By the "family" that artifacts carry: what predicts with a trained model on new input."""

__all__ = ["RESTORERS", "TASKS", "Baseline", "Batch", "Reference", "Split", "Sums", "Task", "TaskFactory", "TaskSpec"]

_FORECASTING = "crossover.tasks.forecasting.task"
TASKS.add("forecasting", f"{_FORECASTING}:own", "the next values of your own series (CSV, Parquet)")
TASKS.add("forecasting/panel", f"{_FORECASTING}:panel", "daily sales of shops, with covariates, by rule")
TASKS.add("forecasting/co2", f"{_FORECASTING}:co2", "weekly CO2 at Mauna Loa")
TASKS.add("forecasting/elnino", f"{_FORECASTING}:elnino", "monthly sea surface temperature")
TASKS.add("forecasting/etth1", f"{_FORECASTING}:etth1", "hourly load and oil temperature of a transformer")
TASKS.add(
    "forecasting/weather",
    f"{_FORECASTING}:weather",
    "daily minimum or maximum temperature of Melbourne",
)
TASKS.add("forecasting/prices", f"{_FORECASTING}:prices", "daily exchange rates of eight currencies")
RESTORERS.add("forecasting", "crossover.tasks.forecasting.reader:restore")
TASKS.add("classification", "crossover.tasks.series.classification:own", "your own labelled series (.ts files)")
TASKS.add(
    "classification/digits", "crossover.tasks.series.classification:digits", "handwritten digits read step by step"
)
TASKS.add(
    "classification/japanese-vowels", "crossover.tasks.series.classification:japanese_vowels", "who speaks, of nine"
)
TASKS.add(
    "classification/basic-motions",
    "crossover.tasks.series.classification:basic_motions",
    "four motions from a watch's sensors",
)
TASKS.add(
    "classification/gunpoint", "crossover.tasks.series.classification:gunpoint", "a hand that draws a gun or points"
)
TASKS.add(
    "classification/italy-power-demand",
    "crossover.tasks.series.classification:italy_power_demand",
    "winter or summer from a day's power demand",
)
RESTORERS.add("classification", "crossover.tasks.series.classification:restore")

TASKS.add(
    "text-classification",
    "crossover.tasks.text.classification:own",
    "your own labelled texts (CSV, TSV, JSON lines, Parquet)",
    aliases=("sentiment",),
)
TASKS.add(
    "sentiment/headlines",
    "crossover.tasks.text.sentiment:headlines",
    "generated headlines in English and Chinese that need word order, negation and numbers",
)
TASKS.add(
    "sentiment/financial-phrasebank",
    "crossover.tasks.text.sentiment:financial_phrasebank",
    "sentences of financial news, four degrees of agreement",
)
TASKS.add("sentiment/sentfin", "crossover.tasks.text.sentiment:sentfin", "headlines of financial news")
RESTORERS.add("text-classification", "crossover.tasks.text.classification:restore")

_GENERATED = "crossover.tasks.generated.task"
TASKS.add(
    "recall", f"{_GENERATED}:recall", "associative recall: keys and values, then keys whose values are asked for"
)
TASKS.add("parity", f"{_GENERATED}:parity", "state tracking: whether the ones so far are odd in number")
TASKS.add("copy", f"{_GENERATED}:copying", "delayed copy: a few symbols, to be said again after a given lag")
RESTORERS.add("generated", f"{_GENERATED}:restore")

_TRANSLATION = "crossover.tasks.translation.sources"
TASKS.add("translation", f"{_TRANSLATION}:own", "your own pairs of texts (TSV, CSV, JSON lines, two aligned files)")
TASKS.add("translation/phrases", f"{_TRANSLATION}:phrases", "numbers, dates, times and prices in English to Chinese")
TASKS.add(
    "translation/names", f"{_TRANSLATION}:names", "names of languages, countries, currencies and units to Chinese"
)
TASKS.add("translation/tatoeba", f"{_TRANSLATION}:tatoeba_sentences", "everyday sentences, English to Chinese")
TASKS.add("translation/captions", f"{_TRANSLATION}:picture_captions", "captions of pictures, English to Chinese")
TASKS.add(
    "translation/python-docs", f"{_TRANSLATION}:python_documentation", "Python's documentation, English to Chinese"
)
RESTORERS.add("translation", "crossover.tasks.translation.reader:restore")

_MASKED = "crossover.tasks.language.masked"
TASKS.add("masked-language-modeling", f"{_MASKED}:own", "hidden words of your own texts: pre-training")
TASKS.add("masked-language-modeling/python-docs", f"{_MASKED}:python_docs", "hidden words of the Python reference")
TASKS.add("masked-language-modeling/financial-news", f"{_MASKED}:financial_news", "hidden words of financial news")
RESTORERS.add("masked-language-modeling", f"{_MASKED}:restore")

_LANGUAGE = "crossover.tasks.language.modeling"
TASKS.add("language-modeling", f"{_LANGUAGE}:own", "the next character or subword of your own text")
TASKS.add("language-modeling/python-docs", f"{_LANGUAGE}:python_docs", "the Python language reference")
TASKS.add("language-modeling/tinyshakespeare", f"{_LANGUAGE}:tinyshakespeare", "the plays of Shakespeare")
TASKS.add("language-modeling/wikitext2", f"{_LANGUAGE}:wikitext2", "articles of Wikipedia")
TASKS.add(
    "language-modeling/financial-news",
    "crossover.tasks.language.news:financial_news",
    "financial news, a text a line",
)
RESTORERS.add("language-modeling", f"{_LANGUAGE}:restore")

TASKS.add("qa", "crossover.tasks.questions.spans:own", "answers that stand in your own texts (SQuAD's JSON)")
RESTORERS.add("qa", "crossover.tasks.questions.spans:restore")
_STORIES = "crossover.tasks.questions.sources"
TASKS.add("qa/stories", f"{_STORIES}:stories", "questions about generated stories, in English or Chinese")
TASKS.add("qa/babi", f"{_STORIES}:babi", "the twenty tasks of bAbI in one model")
RESTORERS.add("qa-stories", "crossover.tasks.questions.answers:restore")
_SPEECH = "crossover.tasks.speech.sources"
TASKS.add("speech", "crossover.tasks.speech.files:own", "your own recordings (WAV, FLAC) with a table of transcripts")
TASKS.add("speech/tones", f"{_SPEECH}:tones", "digits dialled on a telephone, in noise")
TASKS.add("speech/fsdd", f"{_SPEECH}:digit_strings", "strings of spoken digits, six speakers")
TASKS.add("speech/fsdd-digits", f"{_SPEECH}:digits", "single spoken digits, six speakers")
RESTORERS.add("speech", "crossover.tasks.speech.reader:restore")
TASKS.add("video", "crossover.tasks.video.own:own", "your own labelled clips (.npz arrays, video files)")
TASKS.add(
    "video/moving-digits", "crossover.tasks.video.moving_tasks:moving_digits", "which of two moving digits is faster"
)
TASKS.add(
    "video/moving-digits-next",
    "crossover.tasks.video.next_frame_tasks:moving_digits_next",
    "the next frame of two moving digits",
)
TASKS.add(
    "video/moving-digits-qa",
    "crossover.tasks.video.questions:moving_digits_qa",
    "questions in words about two moving digits",
)
TASKS.add("video/action3d", "crossover.tasks.video.skeletons:action3d", "which of 20 actions a skeleton performs")
RESTORERS.add("video-skeletons", "crossover.tasks.video.skeletons:restore")
RESTORERS.add("video-questions", "crossover.tasks.video.questions:restore")
RESTORERS.add("video-next", "crossover.tasks.video.next_frame:restore")
RESTORERS.add("video", "crossover.tasks.video.reader:restore")
