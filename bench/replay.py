"""Plays the year to the product over HTTP, step by step, and keeps every answer and every message that landed."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import msgspec

from bench.answers import BatchAnswer, Conversion, Decision, EventAnswer, Outcome, WrongAnswer, dollars, micros
from bench.connection import Connection
from bench.contacts import household_name
from bench.deliveries import Deliveries, Take
from bench.journey import Journey, Redemption, as_utc
from bench.plan import RECEIPT, RECEIPTS, Wave, campaign_body, campaign_name, receipts_body, wave_content
from bench.shopper import DEFAULT_QUIET_START, QUIET_HOURS, Shoppers
from bench.timeline import Step, end_of, start_of, timeline

MINUTES = 60
USUAL_QUIET_HOURS = (DEFAULT_QUIET_START * MINUTES, (DEFAULT_QUIET_START + QUIET_HOURS) % 24 * MINUTES)
Told = Callable[[int, int, int], None]


class Replay:
    """One run of the year.

    After `run`: `outcomes` holds a line for every decision, in order, and `deliveries` what became of them;
    `faults` a sentence for every answer that is not what the contract promises; `batch_seconds` and
    `single_seconds` how long each request took; `converted` the events that were taken; `unreached` counts the
    redemptions of households that no message of that campaign had reached before; `statuses` holds the final
    status of every campaign.
    """

    def __init__(self, journey: Journey, connection: Connection, take: Take) -> None:
        self._journey = journey
        self._http = connection
        self._shoppers = Shoppers(journey)
        self._known: set[int] = set()
        self._quiet: dict[int, tuple[int, int]] = {}
        self._redeemed: set[tuple[int, int]] = set()
        self._messages: dict[tuple[int, int], list[str]] = {}
        self._read_batch = msgspec.json.Decoder(BatchAnswer)
        self._read_single = msgspec.json.Decoder(Decision)
        self._read_events = msgspec.json.Decoder(EventAnswer)
        self.steps = timeline(journey)
        self.deliveries = Deliveries(connection, take, self._quiet_hours)
        self.outcomes: list[Outcome] = []
        self.faults: list[str] = []
        self.batch_seconds: list[tuple[int, float]] = []
        self.single_seconds: list[float] = []
        self.converted: list[Conversion] = []
        self.unreached = 0
        self.statuses: dict[str, dict[str, Any]] = {}
        self.seconds = 0.0

    def run(self, told: Told) -> None:
        """From the first campaign to the last purchase, and until nothing waits.

        Calls `told(now, decisions, arrivals)` after each step.
        """
        began = perf_counter()
        deliveries = self.deliveries
        deliveries.move_to(start_of(self._journey))
        for campaign in self._journey.campaigns:
            self._http.put(f"/campaigns/{campaign_name(campaign)}", campaign_body(campaign))
        self._http.put(f"/campaigns/{RECEIPTS}", receipts_body())
        for step in self.steps:
            deliveries.move_to(step.at)
            self._take(step)
            told(deliveries.now, len(self.outcomes), len(deliveries.arrivals))
        deliveries.move_to(end_of(self._journey))
        deliveries.finish()
        names = [campaign_name(campaign) for campaign in self._journey.campaigns]
        self.statuses = {name: self._http.get(f"/campaigns/{name}/status") for name in [*names, RECEIPTS]}
        self.seconds = perf_counter() - began
        told(deliveries.now, len(self.outcomes), len(deliveries.arrivals))

    def _take(self, step: Step) -> None:
        if step.wave is not None:
            self._send_wave(step.wave)
        elif step.redemptions:
            self._report_redemptions(step.redemptions)
        elif step.single:
            self._send_receipt(step.baskets[0])
        else:
            self._send_receipts(*step.baskets)

    def _send_wave(self, wave: Wave) -> None:
        number = wave.campaign.number
        households = [household for household in wave.campaign.households if (number, household) not in self._redeemed]
        request: dict[str, Any] = {
            "campaign_id": campaign_name(wave.campaign),
            "dedup_key": wave.dedup_key,
            "urgency": wave.urgency,
            "content": wave_content(wave),
            "recipients": [self._profile(household) for household in households],
        }
        if wave.channels is not None:
            request["channels"] = wave.channels
        self._known.update(households)
        for household, decision in zip(households, self._batch(request, households), strict=True):
            outcome = self._keep(household, request["campaign_id"], wave.dedup_key, decision)
            if outcome.message_id is not None:
                self._messages.setdefault((number, household), []).append(outcome.message_id)

    def _send_receipts(self, first: int, end: int) -> None:
        baskets = self._journey.baskets
        households = baskets.household[first:end].tolist()
        request = {
            "campaign_id": RECEIPTS,
            "content": RECEIPT,
            "recipients": [self._receipt_recipient(household) for household in households],
        }
        for household, decision in zip(households, self._batch(request, households), strict=True):
            self._keep(household, RECEIPTS, RECEIPTS, decision)
        for household, hour in zip(households, baskets.hour[first:end].tolist(), strict=True):
            self._shoppers.bought(household, hour)

    def _send_receipt(self, row: int) -> None:
        household = int(self._journey.baskets.household[row])
        request = {"campaign_id": RECEIPTS, "content": RECEIPT, "recipient": self._receipt_recipient(household)}
        decision = self._read_single.decode(self._http.post("/send", msgspec.json.encode(request)))
        self.single_seconds.append(self._http.seconds)
        if decision.recipient_id != household_name(household):
            self.faults.append(f"/send for {household_name(household)} answered for {decision.recipient_id}")
        self._keep(household, RECEIPTS, RECEIPTS, decision)
        self._shoppers.bought(household, int(self._journey.baskets.hour[row]))

    def _receipt_recipient(self, household: int) -> dict[str, Any]:
        """The profile on first sight; from then on the id alone, for the product keeps profiles."""
        if household in self._known:
            return {"id": household_name(household)}
        self._known.add(household)
        return self._profile(household)

    def _profile(self, household: int) -> dict[str, Any]:
        """As the product will know it."""
        quiet = self._shoppers.quiet_hours(household)
        if quiet is not None:
            start, end = quiet
            self._quiet[household] = (start * MINUTES, end * MINUTES)
        return self._shoppers.profile(household)

    def _quiet_hours(self, household: int) -> tuple[int, int]:
        """Those that the product was told of: what a request leaves out stays."""
        return self._quiet.get(household, USUAL_QUIET_HOURS)

    def _batch(self, request: dict[str, Any], households: list[int]) -> list[Decision]:
        answer = self._read_batch.decode(self._http.post("/send-batch", msgspec.json.encode(request)))
        self.batch_seconds.append((len(households), self._http.seconds))
        where = f"the batch of {request['campaign_id']} at {as_utc(self.deliveries.now)}"
        if [decision.recipient_id for decision in answer.results] != [household_name(one) for one in households]:
            raise WrongAnswer(f"{where} did not answer each recipient once, in order")
        if answer.counts != _counts(answer.results, answer.counts):
            self.faults.append(f"{where} gives counts that are not those of its results")
        if answer.reasons != _reasons(answer.results):
            self.faults.append(f"{where} gives reasons that are not those of its results")
        return answer.results

    def _keep(self, household: int, campaign: str, dedup_key: str, decision: Decision) -> Outcome:
        at = local_minute = None
        if decision.status == "scheduled":
            if decision.scheduled_at is None or decision.scheduled_local != decision.scheduled_at:
                self.faults.append(f"{decision.message_id} has no instant, or a local time that is another one")
            elif decision.message_id is None or decision.message_id in self.deliveries.standing:
                self.faults.append(f"a message of {campaign} has no id of its own, but {decision.message_id}")
            else:
                at = int(decision.scheduled_at.timestamp())
                local_minute = decision.scheduled_local.hour * MINUTES + decision.scheduled_local.minute
        outcome = Outcome(
            household=household,
            campaign=campaign,
            dedup_key=dedup_key,
            now=self.deliveries.now,
            status=decision.status,
            reason=decision.reason,
            channel=decision.channel,
            at=at,
            local_minute=local_minute,
            cost=micros(decision.cost) if decision.cost is not None and at is not None else 0,
            quiet=self._quiet_hours(household),
            message_id=decision.message_id if at is not None else None,
            chain=tuple(decision.fallback_chain or ()),
        )
        self.outcomes.append(outcome)
        self.deliveries.keep(outcome)
        return outcome

    def _report_redemptions(self, redemptions: tuple[Redemption, ...]) -> None:
        """Each coupon is credited to the last message of its campaign that had gone out when it was used."""
        events, credited = [], []
        for redemption in redemptions:
            key = (redemption.campaign, redemption.household)
            self._redeemed.add(key)
            standing = [(self.deliveries.standing[one].at, one) for one in self._messages.get(key, [])]
            sent = [(at, message_id) for at, message_id in standing if at is not None and at <= redemption.at]
            if not sent:
                self.unreached += 1
                continue
            credited.append(redemption)
            events.append(
                {
                    "id": f"redemption-{redemption.number}",
                    "type": "converted",
                    "message_id": max(sent)[1],
                    "at": as_utc(redemption.at),
                    "value": dollars(redemption.value),
                }
            )
        if not events:
            return
        answer = self._read_events.decode(self._http.post("/events", msgspec.json.encode({"events": events})))
        names = {campaign.number: campaign_name(campaign) for campaign in self._journey.campaigns}
        for redemption, event, result in zip(credited, events, answer.results, strict=True):
            if (result.id, result.status) == (event["id"], "applied"):
                name = names[redemption.campaign]
                self.converted.append(Conversion(name, event["message_id"], redemption.value))
            else:
                self.faults.append(f"event {event['id']} was answered {result.id}: {result.status}")


def _counts(results: list[Decision], names: dict[str, int]) -> dict[str, int]:
    """How often each status occurs, for the statuses named and for any that is not."""
    found = dict.fromkeys(names, 0)
    for decision in results:
        found[decision.status] = found.get(decision.status, 0) + 1
    return found


def _reasons(results: list[Decision]) -> dict[str, int]:
    found: dict[str, int] = {}
    for decision in results:
        if decision.status == "blocked" and decision.reason is not None:
            found[decision.reason] = found.get(decision.reason, 0) + 1
    return found
