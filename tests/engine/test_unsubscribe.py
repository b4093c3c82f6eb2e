"""Links that unsubscribe: of one message each, and nobody makes one."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from engine.unsubscribe import UNSUBSCRIBE_PATH, Unsubscribes
from tests.engine.test_signature import flipped

SECRET = bytes(range(16))
MESSAGE = "m-0123456789abcdef"
KNOWN_TAG = "FuWojIo1u3VgmwOm6VfxsA"


def token_of(unsubscribes: Unsubscribes, message_id: str) -> str:
    url = unsubscribes.url_of(message_id, "email")
    assert url is not None
    return unquote(url.removeprefix("https://out.example" + UNSUBSCRIBE_PATH))


@pytest.mark.parametrize("public_url", ["https://out.example", "https://out.example/"])
@pytest.mark.parametrize("message_id", [MESSAGE, "a.b", "ä/ö?&#", "m"])
def test_a_link_leads_back_to_its_message(public_url: str, message_id: str) -> None:
    unsubscribes = Unsubscribes(SECRET, public_url)
    token = token_of(unsubscribes, message_id)
    assert unsubscribes.message_of(token) == (message_id, "email")
    assert Unsubscribes(SECRET, "").message_of(token) == (message_id, "email")


def test_a_link_has_no_character_that_urls_have_a_use_for() -> None:
    url = Unsubscribes(SECRET, "https://out.example").url_of("a/b?c#d e", "sms")
    assert url is not None
    assert url.startswith("https://out.example/api/v1/outreach/unsubscribe/a%2Fb%3Fc%23d%20e.sms.")


def test_without_a_public_url_there_is_no_link() -> None:
    assert Unsubscribes(SECRET, "").url_of(MESSAGE, "email") is None


def test_a_token_is_the_same_for_ever() -> None:
    """Links in messages that were sent must hold under every later version."""
    assert token_of(Unsubscribes(SECRET, "https://out.example"), MESSAGE) == f"{MESSAGE}.email.{KNOWN_TAG}"


def test_no_other_token_is_taken() -> None:
    unsubscribes = Unsubscribes(SECRET, "https://out.example")
    token = token_of(unsubscribes, MESSAGE)
    wrong = [other.decode("latin-1") for other in flipped(token.encode())]
    wrong += [
        token + "=",
        token + "A",
        token[:-1],
        MESSAGE,
        MESSAGE + ".",
        token.replace(".email.", ".sms."),
        token.replace(".email.", "."),
        "." + token,
        "",
        ".",
        token.upper(),
        "\ud800.",
    ]
    wrong.append(MESSAGE + ".email." + token_of(unsubscribes, "m-other").rpartition(".")[2])
    assert [other for other in wrong if unsubscribes.message_of(other) is not None] == []


def test_another_cluster_takes_no_token_of_this_one() -> None:
    token = token_of(Unsubscribes(SECRET, "https://out.example"), MESSAGE)
    assert Unsubscribes(SECRET[::-1], "https://out.example").message_of(token) is None
