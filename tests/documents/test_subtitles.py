"""SubRip and WebVTT: timings stay, lines are wrapped anew. Checked against another reader of SubRip."""

from __future__ import annotations

import pytest
import srt
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import DocumentError
from tests.documents.samples import loud, read, rewritten, same, units

FILM = """1
00:00:01,000 --> 00:00:02,500
Where is the station?

2
00:00:03,000 --> 00:00:05,000 X1:40 X2:600
<i>It is a long way from here,
and you'll need a <b>map</b>.</i>

3
00:00:06,000 --> 00:00:07,000
{\\an8}- Do you know Tom & Mary?
- I do, but they
don't know me.

4
00:00:08,000 --> 00:00:09,000
♪ ♪

5
00:00:09,000 --> 00:00:10,000
1984
was a good year.
"""
WEB = """WEBVTT - A film

STYLE
::cue { color: red }

NOTE
Not to be translated.

intro
00:01.000 --> 00:02.500 align:start
<v Ada>Where is the station?</v>

00:00:03.000 --> 00:00:05.000
It is a long way from here,
and you will need a map.
"""


def test_a_unit_is_what_one_speaker_says_in_a_cue() -> None:
    assert units("srt", FILM) == [
        "Where is the station?",
        'It is a long way from here, and you\'ll need a <g id="1">map</g>.',
        "Do you know Tom & Mary?",
        "I do, but they don't know me.",
        "1984 was a good year.",
    ]


def test_cues_and_timings_stay_and_lines_are_as_many() -> None:
    for newline in ("\n", "\r\n"):
        before = FILM.replace("\n", newline)
        after = rewritten("srt", before, lambda unit: loud(unit).replace("STATION", "RAILWAY STATION")).decode()
        assert after.count(newline) == after.count("\n") == before.count("\n")
        old, new = list(srt.parse(before)), list(srt.parse(after))
        assert [(c.index, c.start, c.end, c.proprietary) for c in new] == [
            (c.index, c.start, c.end, c.proprietary) for c in old
        ]
        assert [c.content.count("\n") for c in new] == [c.content.count("\n") for c in old]
        assert new[2].content.replace("\r", "") == "{\\an8}- DO YOU KNOW TOM & MARY?\n- I DO, BUT THEY\nDON'T KNOW ME."


def test_lines_are_wrapped_as_evenly_as_can_be() -> None:
    cue = "1\n00:00:01,000 --> 00:00:02,000\none two\nthree\n"
    written = rewritten("srt", cue, lambda _: "a bb ccc dddd eeeee ffffff").decode()
    assert written.endswith("00:02,000\na bb ccc dddd\neeeee ffffff\n")
    assert rewritten("srt", cue, lambda _: "alone").decode().endswith("00:02,000\nalone\n")


def test_web_subtitles_keep_header_notes_settings_and_voices() -> None:
    assert units("vtt", WEB) == ["Where is the station?", "It is a long way from here, and you will need a map."]
    written = rewritten("vtt", WEB, loud).decode()
    assert written == WEB.replace("Where is the station?", "WHERE IS THE STATION?").replace(
        "It is a long way from here,\nand you will need a map.", "IT IS A LONG WAY FROM HERE,\nAND YOU WILL NEED A MAP."
    )


@pytest.mark.parametrize("form", ["srt", "vtt"])
@given(text=st.text("ab 1-:,>\n\r<i/{\\", max_size=60))
def test_the_same_texts_give_the_same_bytes(form: str, text: str) -> None:
    whole = f"{'WEBVTT' if form == 'vtt' else ''}\n1\n00:00:01,000 --> 00:00:02,000\n{text}"
    assert rewritten(form, whole, same) == whole.encode()


def test_another_file_is_refused() -> None:
    with pytest.raises(DocumentError, match="not SubRip"):
        read("srt", "A letter, not a film.\n")
    with pytest.raises(DocumentError, match="line 1: not WebVTT"):
        read("vtt", FILM)


def test_a_cue_without_end_takes_no_great_time() -> None:
    whole = "1\n00:00:01,000 --> 00:00:02,000\n" + "word\n" * 5_000
    assert rewritten("srt", whole, loud).count(b"WORD") == 5_000


@pytest.mark.parametrize("timing", ["00:00:01 --> 00:00:02", "-00:00:01,000 --> 00:00:02,000", "00: 00: 01,5-->0:2"])
def test_a_timing_that_players_take_is_no_text(timing: str) -> None:
    film = f"1\n{timing}\nHello there\n\n2\n00:00:03,000 --> 00:00:04,000\n5 --> 6 is so\n"
    assert units("srt", film) == ["Hello there", "5 --> 6 is so"]


def test_timings_within_a_cue_and_classes_are_marks() -> None:
    cue = "WEBVTT\n\n00:01.000 --> 00:04.000\n<c> Hello</c><00:00:03.500><c.loud> world</c> of <00:03.900>mine\n"
    assert units("vtt", cue) == ['<g id="1"> Hello</g><m id="2"/><g id="3"> world</g> of <m id="4"/>mine']
    assert rewritten("vtt", cue, loud).decode() == cue.replace("Hello", "HELLO").replace("world", "WORLD").replace(
        "of", "OF"
    ).replace("mine", "MINE")
