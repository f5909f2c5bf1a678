import pytest

from crossover.report.messages import translate
from crossover.report.verdicts import TaskResult, TaskVerdict, task_verdict
from unit.report.example_study import DIGITS, FORECAST, HEADLINES, PARITY, RECALL, compare_study, row, verdict


def said(study: dict, task: str, lang: str = "en") -> tuple[str, str, str]:
    found = task_verdict(TaskResult(study, task))
    assert isinstance(found, TaskVerdict)
    say = translate(lang)
    return tuple(say(part).replace("\u00a0", " ") for part in (found.badge, found.sentence, found.scope))


def test_a_winner_is_named_with_both_scores_and_the_interval() -> None:
    badge, sentence, _scope = said(compare_study(), HEADLINES)
    assert badge == "lstm"
    assert sentence == (
        "lstm is better than transformer: accuracy 0.912 against 0.887, ahead by 0.025 (0.014–0.036). "
        "lstm is better than the linear baseline (0.874)."
    )


def test_the_second_of_a_pair_can_win() -> None:
    badge, sentence, _scope = said(compare_study(), RECALL)
    assert badge == "transformer"
    assert "transformer is better than lstm: accuracy 0.996 against 0.431, ahead by 0.565 (0.475–0.655)" in sentence


def test_neither_when_a_baseline_is_as_good() -> None:
    badge, sentence, _scope = said(compare_study(), DIGITS)
    assert badge == "neither: linear"
    assert sentence.startswith("Neither: the linear baseline is as good as lstm (accuracy 0.972 against 0.969")


def test_neither_when_a_baseline_is_better() -> None:
    study = compare_study()
    for v in study["verdicts"]:
        if v["task"] == DIGITS and "linear" in (v["a"], v["b"]):
            v |= {"verdict": "b", "difference": {"value": -0.03, "low": -0.04, "high": -0.02}}
    _badge, sentence, _scope = said(study, DIGITS)
    assert "Neither: the linear baseline is better than lstm" in sentence
    assert "difference 0.030 (0.020–0.040)" in sentence


def test_undecided_says_how_many_seeds_would_settle_it_and_turns_a_loss_around() -> None:
    badge, sentence, _scope = said(compare_study(), FORECAST)
    assert badge == "undecided"
    assert "Between lstm and transformer it is undecided: mean squared error 0.376 against 0.379" in sentence
    assert "difference 0.0027 (−0.0034 – 0.0088). About 9 seeds" in sentence


def test_too_few_seeds_are_blamed_where_the_interval_itself_would_decide() -> None:
    study = compare_study()
    study["verdicts"] = [verdict(PARITY, "lstm", "transformer", "undecided", 0.485, 0.02, seeds_needed=3)]
    badge, sentence, _scope = said(study, PARITY)
    assert badge == "undecided"
    assert "lstm is ahead of transformer" in sentence
    assert "too few seeds leave it undecided. About 3 seeds" in sentence


def test_the_interval_is_the_corrected_one() -> None:
    study = compare_study()
    corrected = {"value": 0.025, "low": 0.001, "high": 0.05}
    study["verdicts"] = [verdict(HEADLINES, "lstm", "transformer", "a", 0.025, 0.011, corrected=corrected)]
    assert "ahead by 0.025 (0.001–0.050)" in said(study, HEADLINES)[1]


def test_a_baseline_that_scores_better_is_said_even_where_nothing_is_settled() -> None:
    study = compare_study()
    study["verdicts"] = [
        verdict(DIGITS, "lstm", "transformer", "a", 0.005, 0.001),
        verdict(DIGITS, "lstm", "linear", "undecided", -0.003, 0.03),
    ]
    assert "The linear baseline scores better (0.972), though that is not settled." in said(study, DIGITS)[1]


def test_equal_models_are_called_equal_within_the_margin() -> None:
    study = compare_study()
    study["verdicts"] = [verdict(PARITY, "lstm", "transformer", "equal", 0.001, 0.004)]
    badge, sentence, _scope = said(study, PARITY)
    assert badge == "equal"
    assert "lstm and transformer are equal" in sentence
    assert "lies within 0.015" in sentence


def test_models_of_the_winning_family_that_are_level_share_the_badge() -> None:
    study = compare_study()
    study["table"].append(row(HEADLINES, "gru", "recurrent", 0.908))
    study["verdicts"] += [
        verdict(HEADLINES, "lstm", "gru", "equal", 0.004, 0.006),
        verdict(HEADLINES, "gru", "transformer", "a", 0.021, 0.01),
    ]
    badge, sentence, _scope = said(study, HEADLINES)
    assert badge == "lstm and gru"
    assert "lstm is better than transformer" in sentence
    assert "lstm and gru are equal" in sentence


def test_several_beaten_models_stand_in_one_sentence() -> None:
    study = compare_study()
    study["table"].append(row(HEADLINES, "gpt", "attention", 0.85))
    study["verdicts"].append(verdict(HEADLINES, "gpt", "lstm", "b", -0.06, 0.01))
    _badge, sentence, _scope = said(study, HEADLINES)
    assert (
        "lstm is better than transformer and gpt: accuracy 0.912 against 0.887 of transformer, the next" in sentence
    )


def test_many_open_questions_and_many_equals_are_a_sentence_each() -> None:
    study = compare_study()
    rivals = ["transformer", "gru", "mingru"]
    study["table"] = [row(PARITY, model, "recurrent", 0.9 - 0.01 * i) for i, model in enumerate(["lstm", *rivals])]
    for answer, opening in (("undecided", "Between lstm and each of"), ("equal", "lstm is equal to")):
        study["verdicts"] = [verdict(PARITY, "lstm", rival, answer, 0.02, 0.03) for rival in rivals]
        _badge, sentence, _scope = said(study, PARITY)
        assert sentence.startswith(f"{opening} transformer, gru and mingru")
        assert "accuracy 0.900 against 0.870–0.890" in sentence
        assert not any(word in said(study, PARITY, "zh")[1] for word in ("Between", "equal"))


def test_a_single_model_wins_only_over_its_baselines() -> None:
    study = compare_study()
    study["table"] = [row(PARITY, "lstm", "recurrent", 0.53), row(PARITY, "majority", "baseline", 0.51)]
    study["verdicts"] = [verdict(PARITY, "lstm", "majority", "undecided", 0.02, 0.03)]
    assert said(study, PARITY)[0] == "undecided"
    study["verdicts"] = [verdict(PARITY, "lstm", "majority", "a", 0.02, 0.01)]
    assert said(study, PARITY)[0] == "lstm"


def test_models_that_were_not_compared_are_not_judged() -> None:
    study = compare_study() | {"verdicts": []}
    badge, sentence, _scope = said(study, HEADLINES)
    assert badge == "undecided"
    assert sentence == "lstm and transformer could not be compared: accuracy 0.912 against 0.887."


def test_a_verdict_on_another_metric_does_not_decide() -> None:
    study = compare_study()
    study["verdicts"] = [verdict(HEADLINES, "lstm", "transformer", "b", -1, 0.1, metric="step_seconds")]
    assert said(study, HEADLINES)[0] == "undecided"


def test_the_scope_names_data_sizes_budget_seeds_and_device() -> None:
    _badge, _sentence, scope = said(compare_study(), HEADLINES)
    assert scope == (
        "Scope: 4,000 training rows, 788 k – 797 k parameters without embedding, 60 s a run, 3 seeds and "
        "a CPU with 2 cores."
    )


def test_a_task_without_trained_models_has_no_verdict() -> None:
    study = compare_study()
    study["table"] = [r for r in study["table"] if r["family"] == "baseline"]
    assert task_verdict(TaskResult(study, HEADLINES)) is None


@pytest.mark.parametrize("task", [HEADLINES, DIGITS, RECALL, PARITY, FORECAST])
def test_chinese_sentences_hold_no_english_words(task: str) -> None:
    badge, sentence, scope = said(compare_study(), task, "zh")
    for word in ("better", "baseline", "Scope", "seeds", "Neither", "undecided", "against"):
        assert word not in badge + sentence + scope
