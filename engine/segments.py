"""Segments: how many short messages a text is, as networks count and charge it.

The rule (3GPP TS 23.038 and 23.040): a text whose characters are all in the default alphabet of GSM, or in its
extension, takes 7 bits a character, an extended one twice that; any other text takes UTF-16. 140 bytes are one message:
160 or 70 units. A longer text goes in segments of 153 or 67, as a header of 6 bytes says which belong together; what
takes two units is not cut.

Written here because nothing maintained fits: smsutil has not been released since 2020, and gsm0338 counts no segments.
"""

from __future__ import annotations

__all__ = ["segments"]

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""One unit each; the alphabet's last place is the escape to the extension."""

GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Two units each."""

GSM_UNITS = (160, 153)
"""Of a lone message, and of each of several."""

UTF16_UNITS = (70, 67)


def segments(text: str) -> int:
    """How many messages a text is; at least one."""
    if all(character in GSM or character in GSM_EXTENSION for character in text):
        sizes, (alone, each) = [2 if character in GSM_EXTENSION else 1 for character in text], GSM_UNITS
    else:
        sizes, (alone, each) = [2 if character > "\uffff" else 1 for character in text], UTF16_UNITS
    if sum(sizes) <= alone:
        return 1
    count, room = 1, each
    for size in sizes:
        if size > room:
            count, room = count + 1, each
        room -= size
    return count
