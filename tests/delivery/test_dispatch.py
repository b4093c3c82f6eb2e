"""The dispatcher's rules, with shards in process and a provider whose every answer is decided here."""

from __future__ import annotations

import asyncio

import pytest

from actors.adapters.adapter import Accepted, Later, Rejected, Unknown
from actors.dispatch import TRIES_MAX
from tests.delivery.providers import InProcess, Provider, dispatching, kill, settings_of, until

NOW_GOES = {"urgency": "high"}


@pytest.mark.parametrize("shards", [1, 3])
async def test_what_is_due_leaves_once_by_its_channel(shards: int) -> None:
    system, email, sms = InProcess(shards), Provider(), Provider()
    system.put_campaign("c", channels={"allowed": ["email"]}, **NOW_GOES)
    system.put_campaign("d", channels={"allowed": ["sms"]}, **NOW_GOES)
    mails = system.send(700, "c", content={"subject": "Hello", "text": "Ana"})
    texts = system.send(90, "d", content={"text": "Ana"})
    later = system.send(10, "c", dedup_key="later", send_at="2026-03-02T19:00:00Z", channels=["email"])
    async with dispatching(system, email=email, sms=sms):
        await until(lambda: system.states([*mails, *texts])["sent"] == 790)
    assert email.counts == dict.fromkeys(mails, 1)
    assert sms.counts == dict.fromkeys(texts, 1)
    assert system.states(later) == {"scheduled": 10}
    assert system.engine.message(mails[0])["attempts"][0]["provider_id"] == f"p-{mails[0]}.0"  # type: ignore[index]
    (first,) = [delivery for delivery in email.taken if delivery.message_id == mails[0]]
    assert (first.content.subject, first.content.text, first.address) == ("Hello", "Ana", "p0@example.com")
    assert email.closed


async def test_no_more_at_once_than_allowed() -> None:
    system, provider = InProcess(2, settings_of(delivery__email__max_concurrent="5")), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(200, channels=["email"])
    provider.gate.clear()
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: provider.at_once == 5 and dispatch.under_way() == {"email": 20})  # some are claimed ahead
        provider.gate.set()
        await until(lambda: system.states(messages)["sent"] == 200)
    assert provider.most_at_once == 5


async def test_no_more_a_second_than_allowed() -> None:
    system, provider = InProcess(1, settings_of(delivery__email__per_second="100")), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(40, channels=["email"])
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with dispatching(system, email=provider):
        await until(lambda: system.states(messages)["sent"] == 40)
    assert loop.time() - began >= 0.38


@pytest.mark.parametrize("method", ["abandon_claims", "start", "report"])
async def test_what_a_shard_does_not_answer_is_asked_again(method: str) -> None:
    """Whether the call had worked or not."""
    system, provider = InProcess(2), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(60, channels=["email"])
    for shard in range(2):
        system.silent[shard, method] = 4
    async with dispatching(system, email=provider):
        await until(lambda: system.states(messages)["sent"] == 60)
    assert provider.counts == dict.fromkeys(messages, 1)


@pytest.mark.parametrize("method", ["abandon_claims", "claim", "report"])
async def test_a_fault_of_a_shard_ends_nothing(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where it is none that it should have, and without an address in the log."""
    system, provider = InProcess(2), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(60, channels=["email"])
    system.faults[0, method] = 1
    provider.gate.clear()
    async with dispatching(system, email=provider):
        await until(lambda: provider.started == 60)
        provider.gate.set()
        await until(lambda: system.states(messages)["sent"] >= 59)
    assert provider.counts == dict.fromkeys(messages, 1)
    assert "ValueError" in caplog.text
    assert "@example.com" not in caplog.text


async def test_what_may_have_been_taken_is_made_again_where_the_provider_takes_it_once() -> None:
    system, provider = InProcess(1), Provider(deduplicates=True)
    system.put_campaign("c", **NOW_GOES)
    (message,) = system.send(1, channels=["email"])
    provider.answers = lambda delivery: Unknown("lost") if len(provider.taken) == 1 else Accepted("p")
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: dispatch.outcomes["email", "unknown"] == 1 and not dispatch.under_way()["email"])
        assert system.state(message) == "claimed"
        system.time += system.settings.delivery.claim_timeout_ms // 1000
        await until(lambda: system.state(message) == "sent")
    assert [delivery.key for delivery in provider.taken] == [f"{message}.0"] * 2


async def test_a_shard_that_hangs_keeps_no_other_waiting() -> None:
    system, provider = InProcess(2), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(600, channels=["email"])
    theirs = [message for message in messages if system.engine.router.shard_of_message(message) == 1]
    system.hangs.add(0)
    async with dispatching(system, email=provider):
        await until(lambda: system.states(theirs)["sent"] == len(theirs))
        assert set(provider.counts) == set(theirs)
        system.hangs.clear()
        await until(lambda: system.states(messages)["sent"] == 600)


@pytest.mark.parametrize(
    ("started", "state"),
    [(False, "scheduled"), (True, "unknown")],
)
async def test_what_an_adapter_raises_is_later_before_the_start_and_unknown_after(started: bool, state: str) -> None:
    system, provider = InProcess(1), Provider()
    system.put_campaign("c", **NOW_GOES)
    (message,) = system.send(1, channels=["email"])
    fault = OSError("ana@example.com is not to be told")
    if started:
        provider.answers = lambda delivery: fault
    else:
        provider.before_start = lambda delivery: fault
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: sum(dispatch.outcomes.values()) == 1 and system.state(message) == state)
    attempts = system.engine.message(message)["attempts"]  # type: ignore[index]
    assert [attempt["detail"] for attempt in attempts] == (["a fault: OSError"] if started else [])


async def test_an_attempt_that_takes_too_long_is_unknown_and_a_late_word_counts() -> None:
    settings = settings_of(delivery__attempt_timeout_ms="100", delivery__claim_timeout_ms="200")
    system, provider = InProcess(1, settings), Provider()
    system.put_campaign("c", **NOW_GOES)
    (message,) = system.send(1, channels=["email"])
    provider.gate.clear()
    async with dispatching(system, email=provider):
        await until(lambda: system.state(message) == "unknown")
    system.engine.events({"events": [{"id": "e", "type": "delivered", "message_id": message}]}, system.time)
    assert system.state(message) == "delivered"


async def test_later_is_tried_again_when_its_time_comes_and_given_up_in_the_end() -> None:
    system, provider = InProcess(1), Provider()
    system.put_campaign("c", **NOW_GOES)
    (message,) = system.send(1, channels=["email"])
    provider.answers = lambda delivery: Later("busy", after_s=90)
    async with dispatching(system, email=provider) as dispatch:
        for tries in range(1, TRIES_MAX):
            await until(
                lambda tries=tries: dispatch.outcomes["email", "later"] == tries and not dispatch.under_way()["email"]
            )
            system.time += 89
            await until(lambda: min(dispatch.looked_at) == system.time)
            assert len(provider.taken) == tries
            system.time += 1
        await until(lambda: system.state(message) == "failed")
    detail = system.engine.message(message)["attempts"][-1]["detail"]  # type: ignore[index]
    assert detail == f"busy; given up after {TRIES_MAX} tries"


async def test_what_may_have_been_taken_is_unknown_where_it_is_put_off_for_good() -> None:
    """It is not called rejected: the next channel would go, too."""
    system, provider = InProcess(1), Provider(deduplicates=True)
    system.put_campaign("c", **NOW_GOES)
    (message,) = system.send(1, channels=["email", "sms"])
    provider.answers = lambda delivery: Unknown("lost") if len(provider.taken) == 1 else Later("busy", after_s=1)
    async with dispatching(system, email=provider) as dispatch:
        for tries in range(1, TRIES_MAX + 1):
            await until(lambda tries=tries: len(provider.taken) == tries and not dispatch.under_way()["email"])
            system.time += system.settings.delivery.claim_timeout_ms // 1000
        await until(lambda: system.state(message) == "unknown")
    assert dispatch.outcomes == {("email", "unknown"): 2, ("email", "later"): TRIES_MAX - 2}


async def test_a_definite_no_takes_the_next_channel() -> None:
    system, email, sms = InProcess(2), Provider(), Provider()
    system.put_campaign("c", channels={"allowed": ["email", "sms"], "priority": {"email": 1}}, **NOW_GOES)
    messages = system.send(50)
    email.answers = lambda delivery: Rejected("no such mailbox") if int(delivery.recipient_id[2:]) % 2 else Accepted()
    async with dispatching(system, email=email, sms=sms):
        await until(lambda: system.states(messages)["sent"] == 50)
    assert len(email.taken) == 50
    assert {delivery.recipient_id for delivery in sms.taken} == {f"c-{number}" for number in range(1, 50, 2)}
    assert {delivery.attempt for delivery in sms.taken} == {1}


async def test_a_pause_holds_what_was_claimed_and_not_started() -> None:
    system, provider = InProcess(1, settings_of(delivery__email__max_concurrent="1")), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(4, channels=["email"])
    provider.gate.clear()
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: system.states(messages)["claimed"] == 4 and provider.started == 1)
        system.engine.pause("c")
        provider.gate.set()
        await until(lambda: system.states(messages) == {"sent": 1, "scheduled": 3})
        assert not dispatch.under_way()["email"]
        system.engine.resume("c")
        await until(lambda: system.states(messages) == {"sent": 4})
    assert provider.counts == dict.fromkeys(messages, 1)


@pytest.mark.parametrize("deduplicates", [False, True])
async def test_a_dispatcher_that_dies_leaves_what_it_had_started_unknown_and_nothing_else(deduplicates: bool) -> None:
    system, provider = InProcess(2, settings_of(delivery__email__max_concurrent="3")), Provider(deduplicates)
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(30, channels=["email"])
    provider.gate.clear()
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: provider.started == 3 and system.states(messages)["claimed"] >= 3)
        await kill(dispatch)
    after = Provider(deduplicates)
    async with dispatching(system, email=after):
        sent = 30 if deduplicates else 27
        await until(lambda: system.states(messages)["sent"] == sent)
    assert system.states(messages)["unknown"] == 30 - sent
    assert len(after.taken) == sent
    assert not provider.taken


async def test_erasure_waits_for_what_is_under_way() -> None:
    system, provider = InProcess(1), Provider()
    system.put_campaign("c", **NOW_GOES)
    system.send(1, channels=["email"])
    provider.gate.clear()
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: provider.started == 1)
        system.engine.erase("c-0", system.time)
        settled = asyncio.create_task(dispatch.settled("c-0", {"email"}))
        await dispatch.settled("somebody else", {"email"})
        await dispatch.settled("c-0", {"sms"})
        assert not settled.done()
        provider.gate.set()
        await settled
        assert len(provider.taken) == 1


async def test_queue_age_is_that_of_the_oldest_that_waits() -> None:
    system, provider = InProcess(2, settings_of(delivery__email__max_concurrent="1")), Provider()
    system.put_campaign("c", **NOW_GOES)
    messages = system.send(40, channels=["email"])
    provider.gate.clear()
    async with dispatching(system, email=provider) as dispatch:
        await until(lambda: provider.at_once == 1)
        system.time += 120
        await until(lambda: min(dispatch.looked_at) == system.time)
        assert (await dispatch.queue_age_s())["email"] == 120
        provider.gate.set()
        await until(lambda: system.states(messages)["sent"] == 40)
        await until(lambda: dispatch.settled_until() == system.time)
        assert (await dispatch.queue_age_s())["email"] == 0
