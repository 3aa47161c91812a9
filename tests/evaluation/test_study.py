"""A study's figures are those of its parts, in JSON as in the table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nmt.errors import CorpusError
from nmt.evaluation.quality import EvaluationSet, evaluate
from nmt.evaluation.rarity import RAREST_WORD
from nmt.evaluation.scoring import METRICS, count
from nmt.evaluation.significance import compare, confidence
from nmt.evaluation.study import study
from tests.evaluation.systems import sentences, worsened

SOURCES, FIRST = sentences(50)
SECOND = worsened(FIRST, 0.2, seed=9)
AGAINST = EvaluationSet([FIRST, SECOND], SOURCES, [k < 5 for k in range(50)])
OURS, THEIRS = worsened(FIRST, 0.2, seed=1), worsened(FIRST, 0.3, seed=2)
FEW: Any = {"resamples": 40, "trials": 40, "seed": 3}


def test_a_study_is_made_of_the_figures_of_its_parts() -> None:
    rarity = {RAREST_WORD: {"never seen": [0, 1, 2], "1-9 times": list(range(3, 50))}}
    found = study([("ours", OURS), ("theirs", THEIRS)], AGAINST, rarity=rarity, frequencies={"hund": 5}, **FEW)
    expected = evaluate(OURS, AGAINST, metrics=tuple(METRICS), buckets={"rarest word: never seen": [0, 1, 2]})
    assert found.system.report.rows[: len(expected.rows)] == expected.rows
    assert found.system.report.rows[-1].group == "rarest word: 1-9 times"
    ours, theirs = (count("BLEU", some, [FIRST, SECOND]) for some in (OURS, THEIRS))
    assert found.system.scores["BLEU"] == (ours.score(), confidence(ours, resamples=40, seed=3))
    assert found.comparisons[0][0] == compare(ours, theirs, **FEW)
    part = found.others[0].buckets[-2]
    of_part = count("TER", THEIRS, [FIRST])
    assert part.scores["TER"] == (of_part.score([0, 1, 2]), confidence(of_part, [0, 1, 2], resamples=40, seed=3))
    assert [row.occurrences for row in found.system.words] == ["never seen", "1-9 times"]


def test_json_has_everything() -> None:
    found = study([("ours", OURS), ("theirs", THEIRS), ("copy", OURS)], AGAINST, **FEW)
    content = json.loads(json.dumps(found.as_dict()))
    assert (content["resamples"], content["trials"], content["seed"]) == (40, 40, 3)
    assert [system["name"] for system in content["systems"]] == ["ours", "theirs", "copy"]
    assert content["rows"] == content["systems"][0]["rows"]
    row = found.system.report.rows[0]
    assert content["rows"][0]["ter"] == {"score": row.scores["TER"].value, "signature": row.scores["TER"].signature}
    assert [one["other"] for one in content["comparisons"]] == ["theirs", "copy"]
    assert [one["metric"] for one in content["comparisons"][0]["metrics"]] == ["bleu", "chrfpp", "ter"]
    assert content["comparisons"][1]["metrics"][0]["p_approximate_randomisation"] == 1
    ours = content["systems"][0]
    assert set(ours["scores"]["bleu"]["interval"]) == {"low", "high", "mean"}
    assert ours["buckets"][0]["name"] == "11-15"
    assert sum(bucket["sentences"] for bucket in ours["buckets"]) == 50
    assert len(ours["sentence_scores"]["values"]) == 50
    assert set(ours["faults"]) == {"repetition", "copies", "empty", "doubled_words", "length_ratio"}
    assert any(one.startswith("TER|nrefs:2|bs:40|ar:40|seed:3|") for one in found.signatures())


def test_options_of_scoring_reach_every_figure() -> None:
    upper = [text.upper() for text in OURS]
    found = study([("ours", OURS), ("upper", upper)], AGAINST, tokenize="none", lowercase=True, **FEW)
    assert found.comparisons[0][0].difference.high == 0
    assert "case:lc|eff:no|tok:none" in found.comparisons[0][0].signature
    assert "case:lc|eff:no|tok:none" in found.system.buckets[0].scores["BLEU"][0].signature


def test_a_system_of_other_lines_is_named() -> None:
    with pytest.raises(CorpusError, match="theirs: 49 hypotheses, but 50 lines"):
        study([("ours", OURS), ("theirs", THEIRS[:-1])], AGAINST, **FEW)


def test_without_ter_there_is_none_anywhere() -> None:
    found = study([("ours", OURS), ("theirs", THEIRS)], AGAINST, ter=False, **FEW)
    assert '"ter"' not in json.dumps(found.as_dict())
    assert not any("TER" in one for one in found.signatures())
    assert [one.metric for one in found.comparisons[0]] == ["BLEU", "chrF2++"]
