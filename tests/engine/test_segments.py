"""Segments against a second definition: the bytes that go over the air, packed message by message."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.segments import GSM, GSM_EXTENSION, segments
from tests.reference_segments import ALPHABET, EXTENSION, segments_of

PLAIN = st.sampled_from(sorted(GSM))
EXTENDED = st.sampled_from(sorted(GSM_EXTENSION))
WIDE = st.sampled_from("çłú–’あ漢😀🇭🇹")


def long(characters: st.SearchStrategy[str], longest: int = 700) -> st.SearchStrategy[str]:
    """Texts around several messages long, which lists of characters hardly ever are."""
    piece = st.builds(str.__mul__, characters, st.integers(1, 160))
    return st.lists(st.one_of(characters, piece), max_size=12).map(lambda pieces: "".join(pieces)[:longest])


@settings(deadline=None)
@given(st.one_of(long(PLAIN), long(st.one_of(PLAIN, EXTENDED)), long(st.one_of(PLAIN, WIDE)), st.text(max_size=300)))
def test_a_text_is_as_many_messages_as_its_bytes_fill(text: str) -> None:
    assert segments(text) == segments_of(text)


@settings(deadline=None)
@given(long(st.one_of(PLAIN, EXTENDED)), WIDE)
def test_one_wide_character_makes_the_whole_text_wide(text: str, character: str) -> None:
    assert segments(text + character) >= segments(text)
    assert segments("a" * 71) == 1
    assert segments("a" * 70 + character) > 1


def test_the_alphabet_has_its_127_characters_and_the_extension_its_ten() -> None:
    assert (len(GSM), len(GSM_EXTENSION), len(ALPHABET)) == (127, 10, 128)
    assert {*ALPHABET} - GSM == {"\x1b"}
    assert {*EXTENSION} == GSM_EXTENSION
    assert "ç" not in GSM, "the small one is not in the alphabet, the capital is"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape and what it escapes stay together
        ("Ñandú", 1),
        ("ú" * 70, 1),
        ("ú" * 71, 2),
        ("ú" * 134, 2),
        ("ú" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),  # 33 whole ones in 67 units
    ],
)
def test_bounds(text: str, count: int) -> None:
    assert segments(text) == count
