"""Language modelling of financial news: causal pre-training for the tasks on such texts."""

from __future__ import annotations

from crossover.data.options import DataOptions
from crossover.tasks.base import Split
from crossover.tasks.language.modeling import FAMILY, SETTINGS, LanguageModeling
from crossover.tasks.language.unlabelled import NEWS_SETTINGS, financial_news_texts
from crossover.tasks.text.reader import read_text_settings


def financial_news(options: DataOptions) -> LanguageModeling:
    """Financial news, a text a line: the texts of ``masked-language-modeling/financial-news``."""
    name = f"{FAMILY}/financial-news"
    known = {**SETTINGS, **NEWS_SETTINGS}
    settings = read_text_settings(name, options, known, reads=("split_seed", "train_share", "borrowed"))
    texts = financial_news_texts(options.split_seed, settings["splits"], settings["agreement"]).on_share(options)
    lines: dict[Split, str] = {split: "\n".join(part) for split, part in texts.splits.items()}
    described = "financial news, a text a line"
    return LanguageModeling(name, lines, settings, options.borrowed, description=described, notes=texts.notes)
