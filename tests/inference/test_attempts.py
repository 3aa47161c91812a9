"""What is tried for a sentence, with searches answered by hand: each rung of the ladder, and every flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from nmt.inference.attempts import Output, Query, Reply, Speaker, Spoken
from nmt.inference.runner import Found
from nmt.inference.types import TranslateOptions
from nmt.text.folding import Folding
from nmt.text.planning import Planner, Sentence, Wishes

Model = Callable[[Query], Sequence[str]]
"""The n best translations of a search, best first."""


def ranges(text: str) -> list[tuple[int, int]]:
    """A piece a word."""
    found, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        found.append((position, position + len(word)))
        position += len(word)
    return found


SPEAKER = Speaker(
    ("en", "de"),
    fold=Folding(str.isascii, lambda _: False),
    cost=lambda word: 1 if word.islower() or word == "Tom" else 2,
    target_cost=lambda word: 1 if word.islower() or word == "Tom" else 2,
    source_offsets=lambda reply: ranges(reply.query.text),
    target_offsets=lambda output: ranges(output.text),
    beam_size=5,
)
PLANNER = Planner("en", "en", str.isascii, limit=100, count=lambda text: len(text.split()))


def reply(query: Query, texts: Sequence[str]) -> Reply:
    """Word t of a translation looks at word t of the text."""
    outputs = []
    for rank, text in enumerate(texts):
        T, S = len(text.split()), len(query.text.split())
        attention = np.full((T + 1, S + 1), 0.01, np.float32)
        for t in range(T):
            attention[t, min(t, S - 1)] = 0.9
        tokens = tuple(sum(map(ord, word)) for word in text.split())
        found = Found(tokens, -1.0 - rank, -1.0, attention)
        outputs.append(Output(found, found.tokens, text))
    return Reply(query, list(range(len(query.text.split()))), outputs)


def speak(
    text: str, model: Model, options: TranslateOptions | None = None, **wishes: object
) -> tuple[Spoken, list[str]]:
    """The translation of a text that is one sentence, and all that was searched for it."""
    options = options or TranslateOptions()
    plan = PLANNER.plan(text, Wishes(terms=options.terms, **wishes))  # type: ignore[arg-type]
    (sentence,) = [part for part in plan if isinstance(part, Sentence)]
    attempts = SPEAKER.translate(sentence, options)
    asked: list[str] = []
    queries = next(attempts)
    while True:
        asked += [query.text for query in queries]
        assert len(asked) < 20
        try:
            queries = attempts.send([reply(query, model(query)) for query in queries])
        except StopIteration as end:
            spoken: Spoken = end.value
            assert spoken.said
            return spoken, asked


def by(table: Mapping[str, str | Sequence[str]]) -> Model:
    """What is in the table; anything else is said as it is, in German."""

    def model(query: Query) -> list[str]:
        found = table.get(query.text, f"<{query.text}>".replace("<", "de ").replace(">", ""))
        return [found] if isinstance(found, str) else list(found)

    return model


def test_a_plain_sentence_is_searched_once_and_returned_as_found() -> None:
    spoken, asked = speak("I see the dog.", by({"I see the dog.": "Ich sehe den Hund."}))
    assert asked == ["I see the dog."]
    assert [said.text for said in spoken.said] == ["Ich sehe den Hund."]
    assert spoken.flags == set()


def test_a_sentence_is_read_as_its_vocabulary_can_and_ends_as_it_did() -> None:
    """Translations that differ in their last mark alone are one; a beginning that is asked for is left alone."""
    model = by({"don't see dogs": ["mein alter Hund.", "mein alter Hund!", "mein Hund"]})
    spoken, asked = speak("don’t see dogs", model, TranslateOptions(n_best=3))
    assert asked == ["don't see dogs"]
    assert [said.text for said in spoken.said] == ["mein alter Hund", "mein Hund"]
    spoken, _ = speak("don’t see dogs", model, TranslateOptions(prefix="mein"))
    assert spoken.said[0].text == "mein alter Hund."


@pytest.mark.parametrize(
    ("text", "said", "markup", "written"),
    [
        ("Dogs see me.", "hunde sehen mich.", "", "Hunde sehen mich."),
        ("Dogs see {name}!", "hunde sehen Tom!", "", "Hunde sehen {name}!"),
        ("<b>Dogs</b> see me.", "hunde sehen mich.", "html", "<b>Hunde</b> sehen mich."),
    ],
)
def test_a_sentence_begins_as_it_did(text: str, said: str, markup: str, written: str) -> None:
    spoken, _ = speak(text, lambda _: [said], TranslateOptions(alignments=True), markup=markup)
    assert spoken.said[0].text == written
    (look,) = spoken.said[0].looks
    assert [start for start, _ in look.target] == sorted(start for start, _ in look.target)
    assert look.target[-1][1] == len(written)


@pytest.mark.parametrize(("text", "prefix"), [("dogs see me.", ""), ("Dogs see me.", "hunde")])
def test_a_small_letter_stays_where_the_source_has_one_or_it_was_asked_for(text: str, prefix: str) -> None:
    spoken, _ = speak(text, lambda _: ["hunde sehen mich."], TranslateOptions(prefix=prefix))
    assert spoken.said[0].text == "hunde sehen mich."


@pytest.mark.parametrize("markup", ["", "html"])
def test_the_marks_of_a_quotation_are_a_pair_unless_its_beginning_was_asked_for(markup: str) -> None:
    text, said = '"I do not see the dogs," he said.', '„Ich sehe die Hunde nicht", sagte er.'
    spoken, _ = speak(text, lambda _: [said], markup=markup)
    assert spoken.said[0].text == "„Ich sehe die Hunde nicht“, sagte er."
    spoken, _ = speak(text, lambda _: [said], TranslateOptions(prefix="„Ich"))
    assert spoken.said[0].text == said


@pytest.mark.parametrize(("markup", "written"), [("", "Otto & Ich."), ("html", "Otto &amp; Ich.")])
def test_what_is_said_is_written_as_its_document_is(markup: str, written: str) -> None:
    """Though nothing in the document is written otherwise than it reads."""
    spoken, _ = speak("Otto and I.", by({"Otto and I.": "Otto & Ich."}), markup=markup)
    assert spoken.said[0].text == written


@pytest.mark.parametrize(
    ("text", "said", "written"),
    [
        ("that he sees the dog,", "Er sieht den Hund.", "er sieht den Hund,"),
        ("that he sees {name},", "Er sieht Tom.", "er sieht {name},"),
        ("that he sees 1867 dogs,", "Er sieht 1876 Hunde.", "er sieht 1867 Hunde,"),
    ],
)
def test_parts_of_a_sentence_fit_together(text: str, said: str, written: str) -> None:
    (sentence,) = [part for part in PLANNER.plan(text) if isinstance(part, Sentence)]
    part = replace(sentence, continues=True, is_open=True)
    attempts = SPEAKER.translate(part, TranslateOptions(alignments=True))
    (query,) = next(attempts)
    with pytest.raises(StopIteration) as end:
        attempts.send([reply(query, [said])])
    spoken: Spoken = end.value.value
    assert spoken.said[0].text == written
    (look,) = spoken.said[0].looks
    assert [written[start:stop] for start, stop in look.target] == written.split()


def test_a_common_word_stands_in_for_a_placeholder() -> None:
    spoken, asked = speak("I see {name}.", by({"I see Tom.": "Ich sehe Tom."}))
    assert asked == ["I see Tom."]
    assert spoken.said[0].text == "Ich sehe {name}."
    spoken, asked = speak("I see {count} dogs.", by({"I see 350 dogs.": "Ich sehe 350 Hunde."}))
    assert spoken.said[0].text == "Ich sehe {count} Hunde."
    assert spoken.flags == set()


def test_of_the_n_best_the_first_that_keeps_it_is_taken() -> None:
    spoken, asked = speak("I see {name}.", by({"I see Tom.": ["Ich sehe ihn.", "Tom sieht Tom.", "Toms Hund."]}))
    assert len(asked) == 1
    assert spoken.said[0].text == "{name}s Hund."


def test_other_words_are_tried_and_then_the_pieces() -> None:
    spoken, asked = speak("I see {name}.", by({"I see Tom.": "Nein.", "I see Paris.": "Nein.", "I see 350.": "Nein."}))
    assert asked == ["I see Tom.", "I see Paris.", "I see 350.", "I see"]
    assert spoken.said[0].text == "de I see {name}."
    assert spoken.flags == {"placeholder_fallback"}


def test_a_placeholder_that_the_model_makes_up_is_never_passed_on() -> None:
    spoken, _ = speak("I see the old dog.", by({"I see the old dog.": ["Ich sehe %s.", "Ich {x}."]}))
    assert spoken.said[0].text == "Ich sehe ."
    assert spoken.flags == {"placeholder_fallback"}
    spoken, asked = speak("I see.", by({"I see.": ["Ich %s.", "Ich sehe."]}))
    assert spoken.said[0].text == "Ich sehe."
    assert len(asked) == 1


def test_a_wrong_number_is_put_right_or_searched_again_or_flagged() -> None:
    spoken, asked = speak("In 1867 he came.", by({"In 1867 he came.": "Er kam 1876."}))
    assert (spoken.said[0].text, spoken.flags, len(asked)) == ("Er kam 1867.", set(), 1)
    table = {"We have 17 dogs.": "Wir haben siebzig Hunde.", "We have 350 dogs.": "Wir haben 350 Hunde."}
    spoken, asked = speak("We have 17 dogs.", by(table))
    assert (spoken.said[0].text, spoken.flags) == ("Wir haben 17 Hunde.", set())
    assert asked == list(table)
    spoken, asked = speak("We have 17 dogs.", by(table | {"We have 350 dogs.": "Wir haben Hunde."}))
    assert (spoken.said[0].text, spoken.flags) == ("Wir haben siebzig Hunde.", {"number_mismatch"})


def test_a_loop_is_searched_again_under_a_constraint() -> None:
    def model(query: Query) -> list[str]:
        return ["Ich bin hier."] if query.is_constrained else ["Ich bin bin bin bin bin hier."]

    spoken, asked = speak("I am here.", model)
    assert (spoken.said[0].text, spoken.flags, len(asked)) == ("Ich bin hier.", set(), 2)
    spoken, _ = speak("I am here.", lambda _: ["Ich bin bin bin bin hier."])
    assert (spoken.said[0].text, spoken.flags) == ("Ich bin bin bin bin hier.", {"repetition"})


def test_a_search_again_that_finds_nothing_leaves_what_was_found() -> None:
    spoken, _ = speak("I am here.", lambda query: [] if query.is_constrained else ["Ich bin bin bin hier."])
    assert (spoken.said[0].text, spoken.flags) == ("Ich bin bin bin hier.", {"repetition"})


def test_capitals_are_taken_away_and_given_back() -> None:
    spoken, asked = speak("CALL {name} NOW!", by({"Call Tom now!": "Ruf Tom jetzt an!"}))
    assert asked == ["Call Tom now!"]
    assert spoken.said[0].text == "RUF {name} JETZT AN!"


@pytest.mark.parametrize(
    ("found", "text", "flags", "searches"),
    [
        ({"the neural network": "das neuronale Netz"}, "das neuronale Netz", set(), 1),  # it says so by itself
        ({"the neural network": "das nervige Netzwerk"}, "das neuronale Netz", set(), 1),  # where it looks at the term
    ],
)
def test_terms_are_put_in(found: dict[str, str | list[str]], text: str, flags: set[str], searches: int) -> None:
    options = TranslateOptions(terms=(("neural network", "neuronale Netz"),))
    spoken, asked = speak("the neural network", by(found), options)
    assert (spoken.said[0].text, spoken.flags, len(asked)) == (text, flags, searches)


def test_a_term_that_has_no_place_is_searched_with_a_stand_in_or_flagged() -> None:
    options = TranslateOptions(terms=(("dog", "Rüde"),))
    spoken, asked = speak("my dog", by({"my dog": "mein", "my Tom": "mein Tom"}), options)
    assert (spoken.said[0].text, spoken.flags) == ("mein Rüde", set())
    assert asked == ["my dog", "my Tom"]
    spoken, asked = speak("my dog", by({"my dog": "mein", "my Tom": "mein"}), options)
    assert (spoken.said[0].text, spoken.flags) == ("mein", {"term_missing"})


def test_tags_and_symbols_go_where_attention_says() -> None:
    spoken, asked = speak("I <b>see</b> dogs.", by({"I see dogs.": "Ich sehe Hunde."}), markup="html")
    assert asked == ["I see dogs."]
    assert spoken.said[0].text == "Ich <b>sehe</b> Hunde."
    spoken, _ = speak("I see ★ dogs.", by({"I see  dogs.": "Ich sehe Hunde."}))
    assert spoken.said[0].text == "Ich sehe ★ Hunde."


def test_tags_that_find_no_place_stay_with_the_pieces_between_them() -> None:
    table: dict[str, str | list[str]] = {"I see dogs": "Hunde", "I": "Ich", "see": "sehe", "dogs": "Hunde"}
    spoken, asked = speak("<b>I</b> <i>see</i> dogs", by(table), markup="html")
    assert asked == ["I see dogs", "I", "see", "dogs"]
    assert spoken.said[0].text == "<b>Ich</b> <i>sehe</i> Hunde"
    assert spoken.flags == {"markup_fallback"}


def test_text_is_escaped_and_what_is_copied_is_not() -> None:
    spoken, _ = speak("a &lt; b {x&amp;y} c", by({"a < b Tom c": "A < B Tom & C"}), markup="html")
    assert spoken.said[0].text == "A &lt; B {x&amp;y} &amp; C"


def test_alternatives_keep_what_must_be_kept_too() -> None:
    found = ["Ich sehe Tom.", "Nein.", "Tom sehe ich.", "Ich Tom.", "Tom!"]
    spoken, _ = speak("I see {name}.", by({"I see Tom.": found}), TranslateOptions(n_best=3))
    assert [said.text for said in spoken.said] == ["Ich sehe {name}.", "{name} sehe ich.", "Ich {name}."]


@pytest.mark.parametrize("answer", [[""], ["{a}{b}"], ["%s " * 50], ["x " * 50], ["<b>"], ["\n"], ["Tom Paris 350"]])
@pytest.mark.parametrize(
    "text", ["I {a} see 5 dogs.", "ALL {a} {b} {c} {d} {e} {f} {g} IN", "{a}b<c>d 😀 e", "Go 12.5%"]
)
def test_whatever_is_found_there_is_an_end(text: str, answer: list[str]) -> None:
    """And what must be kept is."""
    options = TranslateOptions(terms=(("see", "sehen"),))
    spoken, _ = speak(text, lambda _: answer, options)
    for kept in ("{a}", "{b}", "<c>", "😀"):
        assert spoken.said[0].text.count(kept) == text.count(kept)


def test_a_tag_in_the_middle_of_a_placeholder_is_copied_with_it() -> None:
    spoken, asked = speak("I see {na<b>me} now</b>", by({}), markup="html")
    assert asked == ["I see", "now"]
    assert spoken.said[0].text == "de I see {na<b>me} de now</b>"


@pytest.mark.parametrize(
    ("text", "asked", "translation"),
    [
        ("I see; {a}, dogs ({b}), he.", ["I see", "dogs", "he."], "Es; {a}, Es ({b}), Es."),
        ("I see {a}: dogs", ["I see", "dogs"], "Es {a}: Es."),
        ('the "dog" {a} runs', ["the", "dog", "runs"], 'Es "Es" {a} Es.'),
        ("{a} (my dog) runs", ["my dog", "runs"], "{a} (Es) Es."),
        ("see {a}'s dogs now", ["see", "dogs now"], "Es {a}'s Es."),
        ("I saw 5 % {a} …", ["I saw 5 %"], "Es {a} …"),
        ("Look (see {a}).", ["Look", "see"], "Es (Es {a})."),
    ],
)
def test_pieces_leave_the_blanks_and_signs_that_touch_what_is_kept(
    text: str, asked: list[str], translation: str
) -> None:
    """Also where the model ends each piece like a sentence."""

    def model(query: Query) -> list[str]:
        return ["Es."]

    spoken, queries = speak(text, model)
    assert queries[-len(asked) :] == asked
    assert spoken.said[0].text == translation
    assert spoken.flags >= {"placeholder_fallback"}
