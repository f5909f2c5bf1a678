"""What a rule found, as tests read it."""

from __future__ import annotations

from crossover.study.audit.rules import Finding
from crossover.study.audit.words import english, sentences


def spoken(finding: Finding) -> str:
    """The sentence and the figures after it, in English."""
    return english(sentences([finding.sentence, *finding.figures]))
