"""SMTP: what is told of an attempt is what became of it, wherever the server refuses, hangs up or falls silent."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actors.adapters.smtp
from actors.adapters.adapter import Accepted, Content, Later, Rejected, Unknown
from actors.adapters.mail import Composer, Mail
from actors.adapters.smtp import Smtp
from engine.errors import ConfigurationError
from tests.delivery.smtp_sink import (
    ADDRESS,
    DROP,
    PATIENCE_S,
    SENDER,
    STALL,
    TAKEN,
    Sink,
    Starts,
    delivery,
    served,
    settings_of,
    told,
)

SOON_S = 0.1
"""A time limit that a test waits for."""

MANY = 10_000


async def test_what_is_sent_arrives() -> None:
    async with served() as (sink, smtp):
        start = Starts()
        assert await smtp.send(delivery(), start) == TAKEN
        assert await smtp.send(delivery("m-2"), start) == TAKEN
        assert start.calls == 2
        mail = Composer(SENDER).compose(delivery(), 1_772_442_000)
        assert isinstance(mail, Mail)
        first, second = sink.messages
        assert (first.sender, first.recipient) == ("news@example.com", ADDRESS)
        assert first.message["Message-ID"] == "<m-1.0@example.com>"
        assert second.message["Message-ID"] == "<m-2.0@example.com>"
        assert first.message["Date"] == "Mon, 02 Mar 2026 09:00:00 +0000"
        assert f"MAIL FROM:<news@example.com> SIZE={len(mail.content)}" in sink.commands
        assert sink.connections_made == 1
    assert [command.split()[0] for command in sink.commands] == ["EHLO", *(["MAIL", "RCPT", "DATA"] * 2), "QUIT"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            Content,
            st.just("Hi"),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
            st.none() | st.text("\r\n. a=é", max_size=40),
        )
    )
)
async def test_content_arrives_as_it_was_composed(contents: list[Content]) -> None:
    contents.append(Content("Hi", ".\n..\n.\r\n." + "x" * 2000, ".\n" + "." * 998 + "\n.."))
    async with served(max_concurrent=3) as (sink, smtp):
        sent = [delivery(f"m-{number}", content=content) for number, content in enumerate(contents)]
        assert await asyncio.gather(*(smtp.send(each, Starts()) for each in sent)) == [TAKEN] * len(sent)
        arrived = {message.message["Message-ID"]: message.message for message in sink.messages}
        assert len(arrived) == len(sent)
        for each in sent:
            message = arrived[f"<{each.key}@example.com>"]
            for part in ("plain", "html"):
                said = each.content.text if part == "plain" else each.content.html
                body = message.get_body((part,))
                assert (lines(body.get_content()) if body else None) == (lines(said) if said else None)


def lines(text: str) -> list[str]:
    found = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return found[:-1] if found[-1] == "" else found


async def test_ten_thousand_messages_arrive_once_each() -> None:
    async with served(max_concurrent=32) as (sink, smtp):
        start = Starts()
        waiting = iter([delivery(f"m-{n}", f"{n}@example.org", Content("Hello", "Hello Ana")) for n in range(MANY)])

        async def work() -> None:
            for each in waiting:
                assert await smtp.send(each, start) == TAKEN

        await asyncio.gather(*(work() for _ in range(40)))
        assert Counter(message.recipient for message in sink.messages) == {f"{n}@example.org": 1 for n in range(MANY)}
        assert start.calls == MANY
        assert sink.connections_made == sink.connections_most == 32


REFUSALS = [
    ("connect", "421 4.7.0 too many connections from you", Later, "lower delivery.email.max_concurrent", 0),
    ("connect", "554 5.7.1 go away", Later, "the server answered 554", 0),
    ("MAIL", f"451 4.3.0 {ADDRESS} later", Later, "451 4.3.0 to MAIL", 0),
    ("MAIL", "421 4.3.2 closing", Later, "421 4.3.2 to MAIL", 0),
    ("MAIL", "553 5.7.1 not your sender", Later, "553 5.7.1 to MAIL: the server takes no mail from smtp.sender", 0),
    ("MAIL", "552 5.3.4 too big", Rejected, "552 5.3.4 to MAIL", 0),
    ("MAIL", "530 5.7.0 Authentication required", Later, "look at smtp.username", 0),
    ("RCPT", f"450 4.2.1 <{ADDRESS}>: greylisted", Later, "450 4.2.1 to RCPT", 0),
    ("RCPT", "421 closing", Later, "421 to RCPT", 0),
    ("RCPT", f"550-5.1.1 <{ADDRESS}>\r\n550 5.1.1 nobody here", Rejected, "550 5.1.1 to RCPT", 0),
    ("RCPT", f"553 {ADDRESS} is no address", Rejected, "553 to RCPT: the server takes no mail for the address", 0),
    ("RCPT", "530 5.7.0 Must issue STARTTLS", Later, "smtp.security", 0),
    ("RCPT", "nonsense", Later, "RCPT", 0),
    ("DATA", "451 4.3.0 later", Later, "451 4.3.0 to DATA", 1),
    ("DATA", "421 4.3.2 closing", Later, "421 4.3.2 to DATA", 1),
    ("DATA", "554 5.5.1 no valid recipients", Rejected, "554 5.5.1 to DATA", 1),
    ("DATA", "250 what?", Later, "250 to DATA", 1),
    ("reply", f"452 4.2.2 {ADDRESS} is full", Later, "452 4.2.2 to DATA", 1),
    ("reply", "421 4.3.2 closing", Later, "421 4.3.2 to DATA", 1),
    ("reply", f"554 5.7.1 {ADDRESS} takes no spam", Rejected, "554 5.7.1 to DATA: the server does not take", 1),
    ("reply", "354 what?", Unknown, "the server may have taken it", 1),
    ("reply", "nonsense", Unknown, "the server may have taken it", 1),
]


@pytest.mark.parametrize(("step", "reply", "outcome", "detail", "starts"), REFUSALS)
@pytest.mark.parametrize("connection", ["new", "used"])
async def test_refusals(step: str, reply: str, outcome: type, detail: str, starts: int, connection: str) -> None:
    async with served() as (sink, smtp):
        if connection == "used" and step != "connect":
            assert await smtp.send(delivery("m-0"), Starts()) == TAKEN
        sink.act(step, reply)
        start = Starts()
        result = await smtp.send(delivery(), start)
        assert type(result) is outcome
        assert detail in told(result)
        assert start.calls == starts
        sink.relent()
        assert await smtp.send(delivery("m-2"), Starts()) == TAKEN
        assert "<m-1.0@example.com>" not in {message.message["Message-ID"] for message in sink.messages}


async def test_refused_messages_leave_the_connection_in_use() -> None:
    async with served() as (sink, smtp):
        for step, reply in [("MAIL", "451 no"), ("RCPT", "550 no"), ("DATA", "451 no"), ("reply", "554 no")]:
            sink.act(step, reply, times=1)
            assert isinstance(await smtp.send(delivery(), Starts()), Later | Rejected)
            assert await smtp.send(delivery(), Starts()) == TAKEN
        assert sink.connections_made == 1
        assert len(sink.messages) == 4


@pytest.mark.parametrize(
    ("step", "outcome", "detail", "starts"),
    [
        ("connect", Later, "the server ended it", 0),
        ("MAIL", Later, "lost at MAIL", 0),
        ("RCPT", Later, "lost at RCPT", 0),
        ("DATA", Later, "lost at DATA", 1),
        ("content", Unknown, "lost, after the message was sent: the server may have taken it", 1),
        ("reply", Unknown, "lost, after the message was sent: the server may have taken it", 1),
    ],
)
async def test_lost_connections(step: str, outcome: type, detail: str, starts: int) -> None:
    async with served() as (sink, smtp):
        sink.act(step, DROP)
        start = Starts()
        result = await smtp.send(delivery(), start)
        assert type(result) is outcome
        assert detail in told(result)
        assert start.calls == starts
        sink.relent()
        assert await smtp.send(delivery("m-2"), Starts()) == TAKEN


@pytest.mark.parametrize(
    ("step", "outcome", "starts"),
    [
        ("connect", Later, 0),
        ("MAIL", Later, 0),
        ("RCPT", Later, 0),
        ("DATA", Later, 1),
        ("content", Unknown, 1),
        ("reply", Unknown, 1),
    ],
)
async def test_silent_servers(step: str, outcome: type, starts: int) -> None:
    async with served(timeout_s=SOON_S) as (sink, smtp):
        sink.act(step, STALL)
        start = Starts()
        result = await smtp.send(delivery(), start)
        assert type(result) is outcome
        assert "not done within 0.1 s" in told(result)
        assert start.calls == starts
        await sink.all_gone()


@pytest.mark.parametrize("step", ["connect", "MAIL", "RCPT", "DATA", "content", "reply"])
async def test_a_cancelled_attempt_leaves_no_connection_behind(step: str) -> None:
    async with served() as (sink, smtp):
        assert await smtp.send(delivery("m-0"), Starts()) == TAKEN
        if step == "connect":
            await sink.hang_up()
        sink.act(step, STALL)
        task = asyncio.create_task(smtp.send(delivery("m-1"), Starts()))
        await sink.stalled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sink.all_gone()
        sink.relent()
        assert await smtp.send(delivery("m-2"), Starts()) == TAKEN
        assert sink.messages[-1].message["Message-ID"] == "<m-2.0@example.com>"


async def test_waiting_for_a_connection_counts_and_is_later() -> None:
    async with served(timeout_s=SOON_S) as (sink, smtp):
        sink.act("MAIL", STALL)
        outcomes = await asyncio.gather(*(smtp.send(delivery(), Starts()) for _ in range(3)))
        assert [type(outcome) for outcome in outcomes] == [Later] * 3
        assert sink.connections_most == 1


async def test_start_that_says_no_sends_nothing() -> None:
    async with served() as (sink, smtp):
        start = Starts(answer=False)
        assert await smtp.send(delivery("m-1"), start) is None
        assert start.calls == 1
        assert await smtp.send(delivery("m-2"), Starts()) == TAKEN
        assert [message.message["Message-ID"] for message in sink.messages] == ["<m-2.0@example.com>"]
        assert [command.split()[0] for command in sink.commands] == [
            *("EHLO", "MAIL", "RCPT"),
            *("RSET", "MAIL", "RCPT", "DATA"),
        ]
        assert sink.connections_made == 1


@pytest.mark.parametrize("error", [TimeoutError, ValueError])
async def test_what_start_raises_goes_on(error: type[Exception]) -> None:
    async def start() -> bool:
        raise error("the shard is away")

    async with served() as (sink, smtp):
        with pytest.raises(error, match="the shard is away"):
            await smtp.send(delivery("m-1"), start)
        assert await smtp.send(delivery("m-2"), Starts()) == TAKEN
        assert len(sink.messages) == 1


@pytest.mark.parametrize(
    ("step", "act"),
    [("MAIL", DROP), ("MAIL", "421 4.4.2 timeout"), ("RCPT", DROP), ("RSET", DROP), ("RSET", "502 5.5.1 what?")],
)
async def test_a_stale_connection_is_replaced_at_once(step: str, act: str) -> None:
    async with served() as (sink, smtp):
        if step == "RSET":
            assert await smtp.send(delivery("m-0"), Starts(answer=False)) is None
        else:
            assert await smtp.send(delivery("m-0"), Starts()) == TAKEN
        sink.act(step, act, times=1)
        start = Starts()
        assert await smtp.send(delivery("m-1"), start) == TAKEN
        assert (start.calls, sink.connections_made) == (1, 2)


@pytest.mark.parametrize("farewell", [None, "421 4.4.2 idle for too long"])
async def test_idle_connections_that_the_server_ended_are_replaced(farewell: str | None) -> None:
    async with served(max_concurrent=4) as (sink, smtp):
        for made in (4, 8):
            outcomes = await asyncio.gather(*(smtp.send(delivery(), Starts()) for _ in range(4)))
            assert outcomes == [TAKEN] * 4
            assert sink.connections_made == made
            await sink.hang_up(farewell)


async def test_what_was_idle_for_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as (sink, smtp):
        assert await smtp.send(delivery(), Starts()) == TAKEN
        monkeypatch.setattr(actors.adapters.smtp, "IDLE_S", -1.0)
        assert await smtp.send(delivery(), Starts()) == TAKEN
        assert sink.connections_made == 2
        await sink.all_gone(left=1)


async def test_what_was_idle_for_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(max_concurrent=2) as (sink, smtp):

        async def start() -> bool:
            assert await smtp.send(delivery(), Starts()) == TAKEN
            monkeypatch.setattr(actors.adapters.smtp, "IDLE_S", -1.0)
            return True

        assert await smtp.send(delivery(), start) == TAKEN
        assert sink.connections_made == 2
        await sink.all_gone(left=1)


async def test_without_a_server_it_is_later() -> None:
    async with served() as (sink, smtp):
        pass
    start = Starts()
    outcome = await smtp.send(delivery(), start)
    assert isinstance(outcome, Later)
    assert f"no connection to 127.0.0.1:{sink.port}" in told(outcome)
    assert "look at smtp.host and smtp.port" in told(outcome)
    assert start.calls == 0


async def test_what_cannot_be_written_is_rejected_before_anything_else() -> None:
    async with served() as (sink, smtp):
        for content in (Content("Hello"), Content("Hi\r\nBcc: eve@example.com", "x")):
            start = Starts()
            assert isinstance(await smtp.send(delivery(content=content), start), Rejected)
            assert start.calls == 0
        assert sink.connections_made == 0


async def test_a_sender_that_is_none_stops_the_start() -> None:
    async with Sink() as sink:
        with pytest.raises(ConfigurationError):
            Smtp(settings_of(sink, sender="Ana's shop"), 1, PATIENCE_S)


@pytest.mark.parametrize(
    ("reply", "provider_id"),
    [
        ("250 2.0.0 Ok: queued as 4XyZ", "Ok: queued as 4XyZ"),
        ("250 OK id=1abcde-000001-AB", "OK id=1abcde-000001-AB"),
        ("251 2.1.5 forwarded as 7", "forwarded as 7"),
        ("250 OK", None),
        ("250 2.0.0", None),
        ("250 " + "x" * 201, None),
        ("250 caf\u00e9 7", None),
        (f"250 2.1.5 {ADDRESS.upper()} ok", None),
        ("250-2.0.0 one\r\n250 2.0.0 two", None),
    ],
)
async def test_provider_ids(reply: str, provider_id: str | None) -> None:
    async with served({"smtputf8": True}) as (sink, smtp):
        sink.act("reply", reply)
        assert await smtp.send(delivery(), Starts()) == Accepted(provider_id)


async def test_addresses_that_are_not_ascii() -> None:
    async with served({"smtputf8": True}) as (sink, smtp):
        for address in ("é@exämple.com", "ana@exämple.com"):
            assert await smtp.send(delivery(address=address), Starts()) == TAKEN
        first, second = sink.messages
        assert (first.recipient, second.recipient) == ("é@exämple.com", "ana@xn--exmple-cua.com")
        assert [" SMTPUTF8" in command for command in sink.commands if command.startswith("MAIL")] == [True, False]
        assert "To: é@exämple.com\r\n".encode() in first.content
    async with served() as (sink, smtp):
        start = Starts()
        outcome = await smtp.send(delivery(address="é@exämple.com"), start)
        assert isinstance(outcome, Rejected)
        assert "SMTPUTF8" in told(outcome)
        assert start.calls == 0
        assert await smtp.send(delivery(address="ana@exämple.com"), Starts()) == TAKEN


async def test_servers_that_take_no_size() -> None:
    async with served({"size_max": None}) as (sink, smtp):
        assert await smtp.send(delivery(), Starts()) == TAKEN
        assert "MAIL FROM:<news@example.com>" in sink.commands


async def test_after_close_nothing_stays_open() -> None:
    async with served(max_concurrent=2) as (sink, smtp):
        starts: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        may_go: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def start() -> bool:
            starts.set_result(None)
            return await may_go

        assert await smtp.send(delivery(), Starts()) == TAKEN
        task = asyncio.create_task(smtp.send(delivery(), start))
        await starts
        await smtp.close()
        may_go.set_result(True)
        assert await task == TAKEN
        await sink.all_gone()
