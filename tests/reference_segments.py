"""How many short messages a text is, in the reference model: by the bytes that go over the air.

3GPP TS 23.038 and 23.040: 140 bytes a message, 134 beside the header that says which belong together.
"""

from __future__ import annotations

ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {"\f": 10, "^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101}
ESCAPE = ALPHABET.index("\x1b")


def segments_of(text: str) -> int:
    try:
        codes, alone, each = [septets(character) for character in text], 140 * 8 // 7, 134 * 8 // 7
    except ValueError:
        codes, alone, each = [list(character.encode("utf-16-be")) for character in text], 140, 134
    if sum(map(len, codes)) <= alone:
        return 1
    messages: list[list[int]] = [[]]
    for code in codes:
        if len(messages[-1]) + len(code) > each:
            messages.append([])
        messages[-1] += code
    return len(messages)


def septets(character: str) -> list[int]:
    if character in EXTENSION:
        return [ESCAPE, EXTENSION[character]]
    if character == ALPHABET[ESCAPE]:
        raise ValueError(character)
    return [ALPHABET.index(character)]
