"""Terms of a glossary: the longest, at the borders of words, with the capitals of the text."""

from __future__ import annotations

from nmt.text.terms import Glossary
from tests.effort import effort_s

TERMS = (
    ("neural network", "neuronales Netz"),
    ("network", "Netzwerk"),
    ("API", "Schnittstelle"),
    ("Apple", "Apple"),
    ("apple", "Apfel"),
    ("C++", "C++"),
    ("  ", "nothing"),
)


def found(text: str) -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.out) for span in Glossary(TERMS).find(text)]


def test_the_longest_term_wins() -> None:
    assert found("A neural network is a network.") == [("neural network", "neuronales Netz"), ("network", "Netzwerk")]


def test_terms_end_where_words_do() -> None:
    assert found("networks, subnetwork, network_1, an API-key") == [("API", "Schnittstelle")]
    assert found("C++ and C++.") == [("C++", "C++"), ("C++", "C++")]


def test_capitals_as_written_come_first_and_are_carried_over() -> None:
    assert found("Apple, apple") == [("Apple", "Apple"), ("apple", "Apfel")]
    assert found("NETWORK Network") == [("NETWORK", "NETZWERK"), ("Network", "Netzwerk")]


def test_ten_thousand_terms_cost_what_is_found() -> None:
    many = Glossary(tuple((f"term{i} of art", f"Begriff{i}") for i in range(10_000)))
    text = "a term7 of art and other words " * 100
    assert len(many.find(text)) == 100
    assert effort_s(lambda: many.find(text), 0.5) < 0.5
