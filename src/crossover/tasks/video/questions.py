"""Questions about clips: a sequence whose first steps are the words of a question and whose next are frames.

At a word's step there is no picture, and at a frame's step no word (id 0). "which digit moves up?" over a clip in
which a 3 moves up and a 7 to the left is the five words ``which digit moves up ?``, then the frames; answer: 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from crossover.data.clips import Clips
from crossover.data.options import DataOptions
from crossover.errors import DataError, unknown
from crossover.tasks.base import Baseline, Batch, Split, TaskSpec
from crossover.tasks.objectives import Classification
from crossover.tasks.options import Choice, Whole
from crossover.tasks.series.simple_classifiers import convolutions
from crossover.tasks.video.clips import LabelledClips
from crossover.tasks.video.frame_form import MOST_CLIPS, ClipRows, FrameForm, simple_view
from crossover.tasks.video.moving_digits import (
    CLIPS,
    DIGITS_PER_CLIP,
    DIRECTIONS,
    STEPS_D2,
    DigitImages,
    clip_generator,
    digits_by_split,
    distinct,
    draw,
)
from crossover.tasks.video.moving_tasks import DEFAULTS, DIGITS, RECIPES, known
from crossover.tasks.video.reader import ClipReader, clip_spec

FAMILY = "video-questions"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ANSWERS = (*DIGITS, *DIRECTIONS)
WORDS = ("", "?", "which", "digit", "moves", "where", "does", "the", "move", *DIRECTIONS, *NAMES)
"""By id; id 0 says that a step is a frame."""
_LONGEST_QUESTION = 6
_WORD = re.compile(r"[a-z]+|\?")


def question_ids(question: str) -> np.ndarray:
    """The ids of a question's words; DataError for a word that no question of the task has."""
    words = _WORD.findall(question.lower())
    for word in words:
        if word not in WORDS:
            raise DataError(f"question {question!r}: {unknown('word', word, WORDS[1:])}")
    if not words:
        raise DataError(f"{question!r} is no question: ask 'which digit moves up?' or 'where does the three move?'")
    return np.array([WORDS.index(word) for word in words], dtype=np.int64)


class QuestionReader(ClipReader):
    """Clips with a question each in, answers out. `seen` says what a model sees: both, or one of them."""

    family = FAMILY

    def __init__(self, spec: TaskSpec, form: FrameForm, seen: str) -> None:
        super().__init__(spec, form)
        self.seen = seen

    def rows(self, clips: Sequence[np.ndarray], questions: Sequence[str], targets_N: np.ndarray) -> ClipRows:
        """Clips and questions as rows of words and frames, of which the unseen part is left out."""
        nothing = np.zeros(0, dtype=np.int64)
        asked = [nothing if self.seen == "clip" else question_ids(question) for question in questions]
        if self.seen == "question":
            clips = [clip[:0] for clip in clips]
        words = [
            np.concatenate([ids, np.zeros(len(clip), dtype=np.int64)]) for ids, clip in zip(asked, clips, strict=True)
        ]
        return ClipRows(clips=clips, form=self.form, targets=targets_N, features={"words": words})

    def encode_clips(self, clips: Clips, where: str) -> Batch:
        """Clips and their questions to a batch."""
        if clips.questions is None and self.seen != "clip":
            raise DataError(f"{where} holds no questions: give an .npz file with clips and questions [N] beside them")
        self.form.check(clips, where)
        count = len(clips.rows)
        rows = self.rows(clips.rows, clips.questions or [""] * count, np.zeros(count, dtype=np.int64))
        return rows.gather(np.arange(count))

    def told(self, batch: Batch, row: int) -> str:
        """The question."""
        ids = batch.features["words"][row].tolist()
        return " ".join(WORDS[i] for i in ids if i) or "(no question)"

    def clip_of(self, batch: Batch, row: int) -> np.ndarray:
        """The frames of a row, without the steps of its words."""
        real = batch.features["words"][row, : int(batch.lengths_B[row])].numpy(force=True) == 0
        steps = batch.inputs[row, : int(batch.lengths_B[row])].numpy(force=True)
        return self.form.values(steps[real])

    def artifacts(self) -> dict[str, Any]:
        """What `restore` needs, as JSON."""
        return {**super().artifacts(), "input": self.seen}


class ClipQuestions(QuestionReader, LabelledClips):
    """An answer to a question about each clip, where neither the clip nor the question is enough by itself."""

    def __init__(self, name: str, drawn: Mapping[Split, Asked], seen: str, **fields: Any) -> None:
        """`drawn` clips, questions and answers; `fields` are further fields of `TaskSpec`."""
        form = FrameForm.of(list(drawn["train"].clips_NTHW))
        longest = drawn["train"].clips_NTHW.shape[1] + _LONGEST_QUESTION
        super().__init__(question_spec(name, form, ANSWERS, longest, **fields), form, seen)
        self.objective = Classification(ANSWERS)
        self.drawn = drawn
        self.splits = {
            split: self.rows(list(part.clips_NTHW), part.questions, part.answers_N) for split, part in drawn.items()
        }

    def baselines(self, split: Split) -> list[Baseline]:
        """The most frequent answer; the most frequent one to the question; random convolutions on the clip alone."""
        train, scored = self.drawn["train"], self.drawn[split]
        began = perf_counter()
        by_question = {
            question: np.bincount(train.answers_N[np.array(train.questions) == question]).argmax()
            for question in set(train.questions)
        }
        most = np.bincount(train.answers_N).argmax()
        asked_N = np.array([by_question.get(question, most) for question in scored.questions])
        question_seconds, began = perf_counter() - began, perf_counter()
        train_NTC, scored_NTC = (
            np.stack([simple_view(self.form, clip) for clip in clips])
            for clips in (train.clips_NTHW[:MOST_CLIPS], scored.clips_NTHW)
        )
        shown_N, parameters = convolutions(train_NTC, train.answers_N[:MOST_CLIPS], scored_NTC)
        clip_seconds = perf_counter() - began
        return [
            self.label_baseline("majority", "trivial", split, np.full(len(asked_N), most), 0.0),
            self.label_baseline("question only", "strong", split, asked_N, question_seconds, len(by_question)),
            self.label_baseline("clip only", "strong", split, shown_N, clip_seconds, parameters),
        ]


@dataclass(frozen=True)
class Asked:
    """Clips [N, T, H, W] of one split, a question about each, and its answer's index."""

    clips_NTHW: np.ndarray
    questions: list[str]
    answers_N: np.ndarray


def question_spec(name: str, form: FrameForm, answers: tuple[str, ...], max_length: int, **fields: Any) -> TaskSpec:
    """The spec of a task on questions about clips."""
    fields = {"description": "an answer to a question about each clip", **fields}
    return clip_spec(name, form, answers, max_length, **{**fields, "inputs": form.port({"words": len(WORDS)})})


def restore(artifacts: Mapping[str, Any]) -> QuestionReader:
    """The reader that `QuestionReader.artifacts` described; DataError where something is missing or wrong."""
    try:
        form = FrameForm.from_json(artifacts["form"])
        answers = tuple(str(answer) for answer in artifacts["labels"])
        spec = question_spec(str(artifacts["name"]), form, answers, int(artifacts["max_length"]))
        return QuestionReader(spec, form, str(artifacts["input"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"these are no artifacts of clip questions ({type(error).__name__}: {error})") from error


def moving_digits_qa(options: DataOptions) -> ClipQuestions:
    """Two digits move in two directions: which one goes where? Asked in words, about the clip."""
    name = "video/moving-digits-qa"
    settings = known(name, options, frames=Whole(9, minimum=3), input=Choice(("both", "clip", "question"), "both"))
    drawn = {split: _asked(part, split, settings) for split, part in digits_by_split(settings["source"]).items()}
    return ClipQuestions(
        name,
        drawn,
        settings["input"],
        description="a question about two moving digits",
        embedded=settings["source"] == "embedded",
        defaults=DEFAULTS,
        recipes=RECIPES,
        notes=(f"Settings of the task: task.input={settings['input']}, task.source={settings['source']}.",),
    )


def _asked(digits: DigitImages, split: Split, settings: dict[str, Any]) -> Asked:
    """The clips, questions and answers of one split."""
    count = min(settings["clips"], CLIPS.get(split, settings["clips"]))
    span, frames = settings["size"] - digits.side, settings["frames"]
    chosen_ND = np.empty((count, DIGITS_PER_CLIP), dtype=np.int64)
    corners_NDT2 = np.empty((count, DIGITS_PER_CLIP, frames, 2))
    questions, answers = [], []
    for row in range(count):
        generator = clip_generator(settings["seed"], split, row)
        chosen_ND[row] = distinct(digits, generator)
        ways_D = generator.choice(len(DIRECTIONS), DIGITS_PER_CLIP, replace=False)
        # Each digit goes at least half the way from side to side, and all of it inside the frame.
        far_D2 = STEPS_D2[ways_D] * generator.uniform(0.5, 1.0, (DIGITS_PER_CLIP, 1)) * span
        start_D2 = generator.uniform(np.maximum(0, -far_D2), span - np.maximum(0, far_D2))
        corners_NDT2[row] = start_D2[:, None] + far_D2[:, None] * np.linspace(0, 1, frames)[:, None]
        about = generator.integers(DIGITS_PER_CLIP)
        numeral, way = int(digits.labels_N[chosen_ND[row, about]]), DIRECTIONS[ways_D[about]]
        which = generator.integers(2)
        questions.append(f"which digit moves {way}?" if which else f"where does the {NAMES[numeral]} move?")
        answers.append(ANSWERS.index(DIGITS[numeral] if which else way))
    clips_NTHW = draw(digits.pixels_NHW[chosen_ND], np.rint(corners_NDT2).astype(np.int64), settings["size"])
    return Asked(clips_NTHW, questions, np.array(answers))
