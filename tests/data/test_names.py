import random
import re
from collections import Counter

import pytest

from nmt.data.names import Names

PAIRS = [
    ("Tom sings.", "Tom singt."),
    ("I know Tom.", "Ich kenne Tom."),
    ("I know Alice.", "Ich kenne Alice."),
    ("Was it Emil?", "War es Emil?"),
    ("We met Mary in Boston.", "Wir trafen Mary in Boston."),
    ("They saw Charles.", "Sie sahen Charles."),
    ("Hand it over, Tom.", "Hand her, Tom."),
    ("My hand hurts, and your hand too.", "Meine Hand schmerzt, und deine Hand auch."),
    ("Hey, stop!", "Hey, halt!"),
    ("She speaks French.", "Sie spricht Französisch."),
    *[("He learnt French.", "Er lernte Französisch.")] * 12,
    ("I saw French Kiss.", "Ich sah French Kiss."),
    ("NASA and Dr Who", "NASA und Dr Who"),
]
NAMES = Names.find(PAIRS)


def replaced(source: str, target: str, seed: int = 0, names: Names = NAMES) -> tuple[str, str]:
    return names.replaced(source, target, random.Random(seed))


def test_names_are_what_both_sides_write_alike_and_with_a_capital() -> None:
    assert NAMES.names >= {"Tom", "Alice", "Emil", "Mary", "Boston", "Charles"}
    assert not NAMES.names & {"Hand", "Hey", "French", "NASA", "Dr", "I", "It"}


@pytest.mark.parametrize("seed", range(30))
def test_a_name_becomes_the_same_other_one_on_both_sides(seed: int) -> None:
    source, target = replaced("Does Tom know Boston?", "Kennt Tom Boston?", seed)
    said = re.fullmatch(r"Does (\w+) know (\w+)\?", source)
    assert said is not None
    assert target == f"Kennt {said[1]} {said[2]}?"
    assert all(name.istitle() and len(name) > 2 for name in said.groups())


def test_some_names_are_known_and_many_are_made_up() -> None:
    found = Counter(replaced("I know Tom.", "Ich kenne Tom.", seed)[0][7:-1] for seed in range(400))
    known = sum(times for name, times in found.items() if name in NAMES.names)
    assert 180 < known < 330  # two halves of few names may make one of them
    assert {"Mary", "Boston"} < set(found)
    assert found["Tom"] < 40
    assert len(found) > 6


@pytest.mark.parametrize("seed", range(20))
def test_every_mention_changes_and_a_genitive_keeps_its_ending(seed: int) -> None:
    source, target = replaced("Tom's dog bit Tom.", "Toms Hund biss Tom.", seed)
    name = source.partition("'")[0]
    assert source == f"{name}'s dog bit {name}."
    assert target == f"{name}s Hund biss {name}."
    assert name[-1] not in "sxzß"


@pytest.mark.parametrize("seed", range(20))
def test_a_first_vowel_stays_one(seed: int) -> None:
    source, target = replaced("I know Alice's dog.", "Je connais le chien d'Alice.", seed)
    name = target.partition("'")[2].rstrip(".")
    assert name[0] in "AE"
    assert source == f"I know {name}'s dog."


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Mary sings.", "Maria singt."),  # another spelling
        ("Tom thinks Tom sings.", "Tom denkt, dass er singt."),  # not as often
        ("Nobody sings.", "Niemand singt."),
        ("Tomorrow", "Tomorrow"),
        ("", ""),
    ],
)
def test_what_has_no_counterpart_stays(source: str, target: str) -> None:
    assert replaced(source, target) == (source, target)


def test_without_names_nothing_changes() -> None:
    assert replaced("I know Tom.", "Ich kenne Tom.", names=Names(())) == ("I know Tom.", "Ich kenne Tom.")
    assert Names.find([]).names == frozenset()
