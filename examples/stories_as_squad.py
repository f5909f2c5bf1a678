"""Write generated stories as question-answering files in the form of SQuAD, in English or Chinese.

    python examples/stories_as_squad.py --language chinese --out stories
    crossover compare qa --train stories/train.json --test stories/test.json --models lstm,transformer

The answers stand in the stories; a question whose answer does not (who has a thing that lies on the floor) is marked
as having none.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crossover.tasks.questions.squad import SpanQuestion, squad_document
from crossover.tasks.questions.stories import Language, Question, generate_stories

KINDS = ("where", "before", "holder")


def as_span(question: Question, story: str, number: int, language: Language) -> SpanQuestion:
    """The question with its answer as a span of the story, none where the story does not hold it."""
    name = f"{story}-{number}"
    space = " " if language == "english" else ""
    context = space.join(question.story)
    if question.support is None:
        return SpanQuestion(name, context, question.text, (), story)
    before = sum(len(sentence) + len(space) for sentence in question.story[: question.support])
    start = context.index(question.answer, before)
    return SpanQuestion(name, context, question.text, ((question.answer, start),), story)


def write(folder: Path, language: Language, sizes: dict[str, int], seed: int = 0) -> None:
    """One file for each part, of so many stories."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = generate_stories(sum(sizes.values()), seed=seed, language=language, kinds=KINDS)
    for part, size in sizes.items():
        stories, drawn = drawn[:size], drawn[size:]
        questions = [
            as_span(question, f"{part}-{number}", asked, language)
            for number, story in enumerate(stories, start=1)
            for asked, question in enumerate(story, start=1)
        ]
        text = json.dumps(squad_document(questions), ensure_ascii=False, indent=1)
        (folder / f"{part}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write generated stories in the form of SQuAD.")
    parser.add_argument("--language", choices=("english", "chinese"), default="english")
    parser.add_argument("--out", type=Path, default=Path("stories"))
    parser.add_argument("--train", type=int, default=2000, help="stories of the train file, three questions each")
    parser.add_argument("--test", type=int, default=300, help="stories of the test file")
    given = parser.parse_args()
    write(given.out, given.language, {"train": given.train, "test": given.test})
