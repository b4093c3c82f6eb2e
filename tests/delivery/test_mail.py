"""Mail: what a reader of mail gets is what was to be said, and no content makes it more or less than one message."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from actors.adapters.adapter import Content, Delivery, Later, Rejected
from actors.adapters.mail import Composer, Mail
from engine.errors import ConfigurationError

COMPOSER = Composer("Ana's shop <news@example.com>")
DATE = 1_772_442_000
ONE = Delivery(
    message_id="m-6280010000000001",
    attempt=2,
    channel="email",
    recipient_id="c-1",
    campaign_id="spring",
    address="ana@example.org",
    content=Content("Hello", "Hello Ana", "<p>Hello Ana</p>"),
    data=None,
    scheduled_at=0,
    unsubscribe_url="https://shop.example.com/u/abc-_~%20",
)
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
]

WORDS = st.text(st.sampled_from("a .=?-_\t\n\r~é好😀\u2028\x0b\x00"), max_size=60)
BODIES = st.one_of(
    st.text(),
    WORDS,
    st.lists(
        st.sampled_from(["." * 3, "a " * 600, "é" * 1100, "x" * 998, "y" * 999, "From ", "--", "=3D", " ", ""])
    ).map("\n".join),
)
SUBJECTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300) | st.text(
    "a =?é", max_size=90
)


def compose(content: Content = ONE.content, **changes: Any) -> Mail:
    mail = COMPOSER.compose(ONE._replace(content=content, **changes), DATE)
    assert isinstance(mail, Mail)
    return mail


def read(mail: Mail) -> EmailMessage:
    return email.message_from_bytes(mail.content, EmailMessage, policy=email.policy.default)


def as_lines(text: str) -> str:
    """As mail carries a text: every line ends, and all end alike."""
    text = re.sub("\r\n|\r", "\n", text)
    return text if text.endswith("\n") else text + "\n"


def bodies(message: EmailMessage) -> dict[str, str]:
    """By content type, of all parts."""
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert not any(b"\n" in part.get_payload(decode=True).replace(b"\r\n", b"") for part in parts)
    return {part.get_content_type(): as_lines(part.get_content()) for part in parts}


@settings(deadline=None)
@given(SUBJECTS, BODIES, BODIES)
@example("a" * 80, "x" * 998, "y" * 999)
@example("word " * 40 + "end", "." * 998, "\n.\n..\n")
@example("é日本語の件名" * 20, "日本語" * 500, "a\r\n\r\nb\r")
def test_a_reader_gets_what_was_to_be_said(subject: str, text: str, html: str) -> None:
    assume("=?" not in subject)
    text, html = text.replace("\0", ""), html.replace("\0", "")
    if not text and not html:
        text = "x"
    mail = compose(Content(subject, text, html))
    message = read(mail)
    assert (message["Subject"] or "").split() == subject.split()  # it is folded at spaces
    said = {"text/plain": text, "text/html": html}
    assert bodies(message) == {kind: as_lines(body) for kind, body in said.items() if body}
    is_both = bool(text and html)
    assert message.get_content_type() == ("multipart/alternative" if is_both else next(iter(bodies(message))))
    expected = [name for name in HEADERS if subject or name != "Subject"]
    assert sorted(message.keys()) == sorted(expected + ([] if is_both else ["Content-Transfer-Encoding"]))
    assert sum(1 for _ in message.walk()) == (3 if is_both else 1)
    assert not message.defects
    lines = mail.content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert mail.content.isascii()
    assert mail.content.endswith(b"\r\n")
    assert not {b"\r", b"\n", b"\0"} & {bytes([byte]) for line in lines for byte in line}


def test_headers() -> None:
    mail = compose()
    message = read(mail)
    assert sorted(message.keys()) == sorted(HEADERS)
    assert message["From"] == "Ana's shop <news@example.com>"
    assert message["To"] == "ana@example.org"
    assert message["Date"] == "Mon, 02 Mar 2026 09:00:00 +0000"
    assert message["Message-ID"] == "<m-6280010000000001.2@example.com>"
    assert message["List-Unsubscribe"] == "<https://shop.example.com/u/abc-_~%20>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail[:3] == (b"news@example.com", b"ana@example.org", False)
    without = read(compose(Content(None, "x"), unsubscribe_url=None))
    assert sorted(without.keys()) == sorted(
        name for name in [*HEADERS, "Content-Transfer-Encoding"] if name != "Subject" and not name.startswith("List-")
    )


def test_subjects_are_folded() -> None:
    for subject in ("a word or two, " * 30 + "end", "é" * 300, "x" * 300, "日本語の件名 é" * 20):
        head = compose(Content(subject, "x")).content.partition(b"\r\nDate:")[0].partition(b"Subject:")[2]
        lines = head.split(b"\r\n")
        assert len(lines) > 3
        assert max(map(len, lines)) <= 78
        for word in re.findall(rb"=\?utf-8\?b\?(.*?)\?=", head):
            assert base64.b64decode(word).decode()  # no character is split between words
    assert (
        b"\r\nSubject: Plain words stay as they are\r\n"
        in compose(Content("Plain words stay as they are", "x")).content
    )


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Plain, with a\ttab.\n", "7bit"),
        ("x" * 999, "quoted-printable"),
        ("Mostly ASCII, with an é or two, and so readable as it stands", "quoted-printable"),
        ("Ελληνικά", "base64"),
    ],
)
def test_bodies_go_in_the_encoding_that_fits(text: str, encoding: str) -> None:
    assert read(compose(Content(None, text)))["Content-Transfer-Encoding"] == encoding


@pytest.mark.parametrize("content", [Content("Hello"), Content("Hello", "", "")])
def test_no_text_at_all_is_rejected(content: Content) -> None:
    assert COMPOSER.compose(ONE._replace(content=content), DATE) == Rejected("the content has neither text nor html")


@pytest.mark.parametrize("content", [Content(None, "a\0b"), Content("Hello", "x", "\0")])
def test_nul_is_rejected(content: Content) -> None:
    outcome = COMPOSER.compose(ONE._replace(content=content), DATE)
    assert outcome == Rejected("the content has a NUL, which mail cannot carry")


def test_a_subject_that_would_be_decoded_is_rejected() -> None:
    outcome = COMPOSER.compose(ONE._replace(content=Content("=?utf-8?q?a=0AB?=", "x")), DATE)
    assert outcome == Rejected("the subject has =?, which mail takes for the beginning of an encoded word")


def test_control_characters_are_rejected_and_not_repeated() -> None:
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029):
        in_subject = ONE._replace(content=Content(f"Hi{chr(code)}Bcc: eve@example.com", "x"))
        fault = "the subject has a line break or another control character"
        assert COMPOSER.compose(in_subject, DATE) == Rejected(fault)
        in_address = ONE._replace(address=f"ana@example.org{chr(code)}Bcc: eve@example.com")
        assert COMPOSER.compose(in_address, DATE) == Rejected("the address has a character that mail cannot carry")
    for address in ("ana@example.org> NOTIFY=NEVER", "<ana@example.org", "an a@example.org", "a\ud800@example.org"):
        outcome = COMPOSER.compose(ONE._replace(address=address), DATE)
        assert outcome == Rejected("the address has a character that mail cannot carry")


@pytest.mark.parametrize("content", [Content("\ud83d", "x"), Content(None, "\ud83d"), Content(None, "x", "\ude00")])
def test_half_characters_are_rejected(content: Content) -> None:
    fault = "the content has half of a surrogate pair, which is no character"
    assert COMPOSER.compose(ONE._replace(content=content), DATE) == Rejected(fault)


def test_a_url_that_is_none_is_our_fault() -> None:
    for url in ("https://exämple.com/u", "https://example.com/u>\r\nBcc: eve@example.com", "https://example.com/a b"):
        outcome = COMPOSER.compose(ONE._replace(unsubscribe_url=url), DATE)
        assert outcome == Later("delivery.public_url has a character that no URL has: write it percent-encoded")


@pytest.mark.parametrize(
    ("address", "recipient", "needs_smtputf8"),
    [
        ("o'hara+x@Mail.Example.co", "o'hara+x@Mail.Example.co", False),
        ('"a,b"@example.com', '"a,b"@example.com', False),
        ("ana@exämple.com", "ana@xn--exmple-cua.com", False),
        ("ana@EXÄMPLE.com", "ana@xn--exmple-cua.com", False),
        ("é@exämple.com", "é@exämple.com", True),
        ("ana@faß.de", "ana@faß.de", True),  # fass.de in the older IDNA, and another's
    ],
)
def test_addresses(address: str, recipient: str, needs_smtputf8: bool) -> None:
    mail = compose(address=address)
    assert mail.recipient == recipient.encode()
    assert mail.needs_smtputf8 == needs_smtputf8
    assert f"\r\nTo: {recipient}\r\n".encode() in mail.content
    as_text = email.message_from_string(mail.content.decode(), EmailMessage, policy=email.policy.default)
    assert [to.addr_spec for to in as_text["To"].addresses] == [recipient]


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("news@example.com", "", "news@example.com"),
        ("Ana's shop <news@example.com>", "Ana's shop", "news@example.com"),
        ("Dr. Ana St. Clair <news@example.com>", "Dr. Ana St. Clair", "news@example.com"),
        ('"Shop, Inc" <news@example.com>', "Shop, Inc", "news@example.com"),
        ("Café Ayiti 😀 <news@exämple.com>", "Café Ayiti 😀", "news@xn--exmple-cua.com"),
    ],
)
def test_senders(sender: str, name: str, address: str) -> None:
    mail = Composer(sender).compose(ONE, DATE)
    assert isinstance(mail, Mail)
    (parsed,) = read(mail)["From"].addresses
    assert (parsed.display_name, parsed.addr_spec, mail.sender) == (name, address, address.encode())
    assert read(mail)["Message-ID"] == f"<m-6280010000000001.2@{address.partition('@')[2]}>"


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "Ana's shop",
        "news@",
        "@example.com",
        "a@example.com, b@example.com",
        "Shop, Inc <news@example.com>",
        "naïve@example.com",
        "news@example.com\r\nBcc: eve@example.com",
        "news@example.com garbage",
        "a b@example.com",
        '"a b"@example.com',
        "team: a@example.com, b@example.com;",
    ],
)
def test_what_is_no_sender_stops_the_start(sender: str) -> None:
    with pytest.raises(ConfigurationError, match=r"smtp\.sender"):
        Composer(sender)
