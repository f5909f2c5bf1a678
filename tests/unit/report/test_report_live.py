import io

import pytest
from rich.console import Console

from crossover.report.live import LiveView
from crossover.train.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def event(step: int = 10, **given) -> Progress:
    values = {
        "task": "parity",
        "model": "lstm",
        "seed": 1,
        "step": step,
        "fraction": step / 100,
        "loss": 0.5,
        "rate": 1e-3,
        "tokens_per_second": 48_312.0,
        "seconds": 6.0,
        "metric": "accuracy",
        "validation": 0.75,
    }
    return Progress(**(values | given))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_without_a_terminal_a_line_says_all() -> None:
    stream = io.StringIO()
    with LiveView("en", stream) as view:
        view(event())
    assert plain(stream.getvalue()) == (
        "parity  lstm  seed 1   10%  step 10  loss 0.500  accuracy 0.750  54.0 s left  48,312 tokens/s\n"
    )


def test_a_study_says_which_of_its_parts_this_is() -> None:
    stream = io.StringIO()
    with LiveView("zh", stream) as view:
        view.begin("search", 1, 2)
        view(event())
        view.begin("train", 3, 12)
        view(event(seed=2))
    searched, trained = plain(stream.getvalue()).splitlines()
    assert searched.startswith("第 1 次搜索，共 2 次  parity  lstm  种子 1")
    assert trained.startswith("第 3 次训练，共 12 次  parity  lstm  种子 2")


def test_lines_are_limited_in_rate_but_for_validations_and_new_runs() -> None:
    stream, clock = io.StringIO(), Clock()
    with LiveView("en", stream, clock=clock) as view:
        for second in range(25):
            clock.now = float(second)
            view(event(second + 1, validated=second == 5))
        view(event(1, seed=2))
    steps = [line.split("step ")[1].split()[0] for line in stream.getvalue().splitlines()]
    assert steps == ["1", "6", "16", "1"]


def test_a_message_stands_above_the_view_and_stays() -> None:
    for stream in (io.StringIO(), Terminal()):
        with LiveView("en", stream) as view:
            view(event())
            view.tell("measuring [parity]")
        assert "measuring [parity]\n" in stream.getvalue()


def test_what_is_not_known_yet_is_left_out() -> None:
    stream = io.StringIO()
    with LiveView("en", stream) as view:
        view(event(0, loss=None, validation=None, fraction=0.0))
    assert plain(stream.getvalue()) == "parity  lstm  seed 1    0%  step 0  48,312 tokens/s\n"


def test_in_a_terminal_the_latest_event_is_drawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    stream = Terminal()
    with LiveView("zh", stream) as view:
        for step in range(1, 50):
            view(event(step))
    text = plain(stream.getvalue())
    assert "parity" in text
    assert "词元/秒" in text
    assert text.count("parity") < 10
    assert "\x1b[" in text


def test_a_broken_run_leaves_the_terminal_usable() -> None:
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), LiveView("en", stream) as view:
        view(event())
        raise KeyboardInterrupt
    assert stream.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in stream.getvalue()


def drawn(width: int, lang: str = "en", **given) -> list[str]:
    view, stream = LiveView(lang, io.StringIO()), io.StringIO()
    view(event(18_400, **({"fraction": 0.43, "task": "forecasting/etth1"} | given)))
    Console(file=stream, width=width, force_terminal=True, color_system=None).print(view._drawn())
    return plain(stream.getvalue()).splitlines()


@pytest.mark.parametrize(
    ("width", "kept", "dropped"),
    [
        (100, ["8.00 s left", "48,312 tokens/s"], []),
        (80, ["8.00 s left"], ["tokens/s"]),
        (60, [], ["left", "tokens/s"]),
        (42, [], ["left", "tokens/s"]),
    ],
)
@pytest.mark.parametrize(
    ("metric", "told"),
    [("mse", "mse 0.376"), ("bits_per_character", "bits/char 0.376"), ("accuracy", "accuracy 0.376")],
)
def test_a_narrow_terminal_shows_fewer_figures_and_cuts_none(
    width: int, kept: list[str], dropped: list[str], metric: str, told: str
) -> None:
    lines = drawn(width, metric=metric, validation=0.376, seconds=6.035)
    row = " ".join(" ".join(lines[1:]).split())
    assert max(map(len, lines)) <= width
    for figure in ("43%", "step 18,400", "loss 0.500", told, *kept):
        assert figure in row
    assert not [figure for figure in dropped if figure in row]
    assert "…" not in "".join(lines)


def test_the_heading_breaks_where_it_does_not_fit() -> None:
    lines = drawn(30)
    assert " ".join(" ".join(lines).split()).startswith("forecasting/etth1 · lstm · seed 1")


def test_a_chinese_row_fits_by_its_columns() -> None:
    row = drawn(60, "zh", metric="accuracy")[1]
    assert "准确率 0.750" in row
    assert "…" not in row
