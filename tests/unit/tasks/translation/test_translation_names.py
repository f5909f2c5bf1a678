from __future__ import annotations

import re

from crossover.tasks.translation.names import embedded_names, name_pairs

HAN = re.compile("[一-鿿]")


def names() -> dict[str, tuple[str, ...]]:
    return {
        s: r for part in embedded_names().splits.values() for s, r in zip(part.sources, part.references, strict=True)
    }


def test_names_of_every_kind_stand_beside_their_chinese_ones():
    found = names()
    assert found["France"] == ("法国",)
    assert found["German"] == ("德语",)
    assert found["Japanese Yen"] == ("日元",)
    assert found["kilometers"] == ("公里",)
    assert found["hertz"] == ("赫兹",)


def test_a_name_of_two_things_has_a_reference_for_each():
    assert set(names()["Arabic"]) == {"阿拉伯语", "阿拉伯文"}


def test_nothing_is_the_same_in_both_languages_and_nearly_all_chinese_names_are_in_chinese():
    found = names()
    assert all(source not in references for source, references in found.items())
    written = sum(bool(HAN.search(reference)) for references in found.values() for reference in references)
    assert written > 0.95 * sum(map(len, found.values()))
    assert not any(HAN.search(source) for source in found)


def test_names_are_split_80_10_10_by_english_name():
    data = embedded_names()
    sizes = {split: len(part) for split, part in data.splits.items()}
    total = sum(sizes.values())
    assert total > 1300
    assert abs(sizes["valid"] - total / 10) <= 2
    assert abs(sizes["test"] - total / 10) <= 2
    assert len({source for part in data.splits.values() for source in part.sources}) == total
    assert data.languages == ("en", "zh")


def test_the_seed_decides_the_split():
    assert embedded_names(0) == embedded_names(0)
    assert embedded_names(1).splits["test"] != embedded_names(0).splits["test"]


def test_the_kinds_are_counted_in_a_note():
    counts = {kind: len(found) for kind, found in name_pairs().items()}
    assert min(counts.values()) > 100
    assert all(f"{count} {kind}" in embedded_names().notes[0] for kind, count in counts.items())
