"""The boundary's book: what the Rust core gives Python.

Instants are whole seconds since the epoch, money is micro-units, both `int`. Channels, states and the like are
codes: places in the tuples of words below. A bucket is a pair (kind, key): (0, 0) the total budget, (1, channel),
(2, day) the money of a local day of the campaign's, (3, day) the messages of that day, (4, minute) the messages in a
UTC minute, counted from the epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from engine.claim import Begun, Claim
from engine.explanation import Trace
from engine.rules import Rules
from engine.status import Tally

__all__ = [
    "ANSWER_LAYOUT",
    "BUILD_PROFILE",
    "CHANNELS",
    "CUSTOMER_TYPES",
    "DELIVERY_OUTCOMES",
    "DEVICES",
    "EVENT_STATUSES",
    "EVENT_TYPES",
    "FEATURE_LAYOUT",
    "MESSAGE_STATES",
    "PROFILE_GUIDED",
    "REASONS",
    "STATUSES",
    "URGENCIES",
    "Admission",
    "Replies",
    "Request",
    "RequestParser",
    "Shard",
    "Zones",
    "check_json",
    "message_shard",
    "part_content",
    "slot_of",
]

_Claimed: TypeAlias = tuple[str, int, int, bool, int, int, str, str, str, bytes | None, int]

BUILD_PROFILE: Literal["debug", "release"]
"""How this binary was compiled; only release builds are measured."""
PROFILE_GUIDED: bool
"""Whether it was compiled for what an earlier build of it took often; see bench/training.py and the Makefile."""

CHANNELS: tuple[str, ...]
CUSTOMER_TYPES: tuple[str, ...]
DEVICES: tuple[str, ...]
URGENCIES: tuple[str, ...]
STATUSES: tuple[str, ...]
REASONS: tuple[str, ...]
MESSAGE_STATES: tuple[str, ...]
EVENT_TYPES: tuple[str, ...]
EVENT_STATUSES: tuple[str, ...]
DELIVERY_OUTCOMES: tuple[str, ...]

FEATURE_LAYOUT: list[tuple[str, str]]
"""Name and numpy type of each column of `Admission.features`, in order."""

ANSWER_LAYOUT: list[tuple[str, str]]
"""Name and numpy type of each column of an answer (`Admission.answer`), in order.

An answer is the number of rows as u32 and then the columns, little-endian, without padding; then the number of
explanations as u32, and each as its length as u32 and its text."""

@final
class RequestParser:
    """Turns bodies into requests, in one pass and without a Python object per recipient.

    Raises `engine.errors.RequestError`, which names each fault (100 at most) by its path: 400 for what is not JSON
    (UTF-8, up to 64 levels deep, no field twice, nothing after it) and for anything wrong outside a recipient, 413
    for more than 100,000 recipients or 64 MiB, 422 for a wrong recipient where it is the only one."""

    def __new__(cls, zones: Sequence[str], shards: int) -> RequestParser:
        """`zones` by code (`kernels.ZONE_NAMES`), 65,535 at most; 1 to 1,024 shards, else ValueError."""

    def parse_batch(self, body: bytes) -> Request:
        """The body of `POST /send-batch`. Wrong recipients are marked in the request, not refused."""

    def parse_arrow_batch(self, options: bytes, stream: bytes) -> Request:
        """A batch whose recipients are an Arrow IPC stream, a row each; `options` is a JSON object of all other fields.

        Columns are named as a recipient's fields: `id`, `customer_type`, `timezone`, `device` of text (utf8,
        large_utf8, utf8_view, or a dictionary of the first two), `contacts` a struct of text by channel, `preferences`
        a struct of `channels` and `opt_out`, lists of text, and `quiet_hours`, a struct of `start` and `end`. All but
        `id` may be missing; null, and a column of type null, is a field left out. 400 for a column that is none (its
        path begins with /schema), and for a stream that is damaged, cut short or compressed, or has deltas of
        dictionaries, or views of more than 64 MiB of text in all."""

    def parse_send(self, body: bytes) -> Request:
        """The body of `POST /send`: a request of one valid recipient."""

    def parse_profile(self, recipient_id: str, body: bytes) -> Request:
        """The body of `PUT /recipients/{id}`: a request of one valid recipient and no campaign."""

@final
class Request:
    """A body that was read: the recipients by shard, and their order. Made by `RequestParser` alone.

    Answers map a shard to what its `Admission.answer` gave for `part`. One that is None, missing or does not fit
    makes the recipients of its shard `unavailable`."""

    @property
    def campaign_id(self) -> str:
        """Empty in a profile."""

    @property
    def dry_run(self) -> bool:
        """Whether its parts are to be rehearsed."""

    @property
    def size(self) -> int:
        """How many recipients there are, the invalid ones too."""

    @property
    def shards(self) -> list[int]:
        """The shards with at least one valid recipient, ascending."""

    def part(self, shard: int, now: int) -> bytes:
        """The recipients of a shard in the order of the input, as `Shard.admit` takes them.

        Raises IndexError if there is no such shard."""

    @staticmethod
    def together(sends: list[Request]) -> list[tuple[Request, list[int]]]:
        """Single sends as few requests: those that differ in nothing but their recipient become one. With each come
        the places in `sends` of those it is made of, whose recipients it has in that order."""

    def replies(self, answers: Mapping[int, bytes | None]) -> Replies:
        """What became of its recipients, by the answers of its shards."""

@final
class Replies:
    """What became of every recipient of a request. Made by `Request` alone."""

    def render_batch(self, batch_id: str | None) -> bytes:
        """The JSON that `POST /send-batch` answers, results in the order of the input."""

    def render_arrow_batch(self, batch_id: str | None) -> bytes:
        """The same as an Arrow IPC stream of one record batch, a row a decision, in the order of the input.

        Columns: `message_id`, `recipient_id`, `scheduled_local` utf8; `status`, `reason`, `detail`, `channel` utf8 in
        int8 dictionaries; `scheduled_at`, `next_eligible_at` timestamp[s, UTC]; `fallback_chain`, `warnings`
        list<utf8>; `cost` decimal128(18, 6); `confidence` float64; `errors` list<struct<path: utf8, message: utf8>>;
        where explained, `explanation`, JSON as utf8. What does not apply is null. The schema's metadata has `batch_id`
        (unless None), and `counts` and `reasons` as JSON."""

    def render_sends(self) -> list[tuple[bytes, list[tuple[str, str, int]]]]:
        """For each recipient in order the decision alone, as `POST /send` answers it in JSON, and its `tally`."""

    def tally(self) -> list[tuple[str, str, int]]:
        """(status, label, count) of each outcome that occurs: the label is the channel where scheduled, the reason
        where blocked, else empty."""

def check_json(body: bytes) -> None:
    """Checks any body: UTF-8, one JSON value of up to 64 levels, no key twice, nothing after it.

    Raises `RequestError` (400; 413 above 64 MiB)."""

def part_content(part: bytes) -> tuple[str, bytes | None]:
    """The campaign's id, and the request's `content`, a JSON object as it was given, of a part (`Request.part`).

    Raises ValueError if the bytes are no part."""

def slot_of(id: str) -> int:
    """The slot [0, 1024) of a recipient's id; its shard is the slot modulo the number of shards."""

def message_shard(message_id: str, shards: int) -> int | None:
    """The shard of a message by the slot in its id; None if this is no message's id."""

@final
class Zones:
    """Local time by zone code, for what the walk through the rows has to find out itself."""

    def __new__(
        cls, begins: npt.NDArray[np.int64], offsets: npt.NDArray[np.int32], starts: npt.NDArray[np.int32]
    ) -> Zones:
        """Copies `kernels.zone_tables()`. Raises ValueError if they do not fit each other."""

    def first_permitted(
        self, zone: int, instant: int, window: tuple[int, int], quiet: tuple[int, int], ends_at: int | None
    ) -> int | None:
        """The first permitted minute that begins at or after an instant, as the kernels find it.

        Windows are minutes of the local day [start, end); `ends_at` is the first instant too late. Raises IndexError
        if there is no such zone."""

@final
class Admission:
    """A part that is being decided. `len()` is its number of recipients."""

    def __len__(self) -> int: ...
    @property
    def campaign_id(self) -> str: ...
    @property
    def now(self) -> int:
        """The part's `now`, or the latest that this shard has seen: time never goes back."""

    @property
    def dedup_key(self) -> str | None:
        """The key that the request brought."""

    @property
    def urgency(self) -> int | None:
        """Code of the urgency that the request asked for."""

    @property
    def send_at(self) -> int | None: ...
    def features(self) -> tuple[npt.NDArray[Any], ...]:
        """The columns of FEATURE_LAYOUT, each a new C-contiguous array; see `engine.columns.Features`."""

    def traces(self) -> list[Trace] | None:
        """What was read for each decided row; None unless the request asks for explanations."""

    def detach(self) -> None:
        """After a rehearsal: no message has an id any more, and `Shard.abandon` touches no state."""

    def answer(self, explanations: list[str]) -> bytes:
        """The decisions as columns of ANSWER_LAYOUT, and the explanations, JSON, one a row or none at all.

        Raises ValueError while rows are undecided."""

    def answer_so_far(self) -> bytes | None:
        """The same without explanations, undecided rows as `unavailable`; None while no row is decided."""

@final
class Shard:
    """The state of one shard: recipients, campaigns, messages. Not for two threads at once."""

    def __new__(
        cls,
        incarnation: int,
        quiet_start: int,
        quiet_end: int,
        half_life_s: float,
        zones: Zones,
        secret: bytes,
        kept_answers_bytes_max: int,
        charged: int,
        success_within_s: Sequence[int],
    ) -> Shard:
        """`incarnation`, below 2^14, is part of all message ids; a shard that is read keeps the written one. The quiet
        hours are those of recipients who name none, as minutes of the day. After the half-life, in seconds, a message
        counts half for engagement. `secret`, 16 bytes, hides what is kept of erased people, event ids and idempotency
        keys; answers kept for the latter take up to `kept_answers_bytes_max`. `charged`, a bit a channel: where an
        attempt that was made and failed keeps its cost. `success_within_s`, 7, one a channel: how long what was sent
        has to be delivered, opened or the like until the next channel goes; 0: for ever."""

    def put_campaign(self, rules: Rules) -> None:
        """Creates a campaign or replaces its rules; balances and counts are kept. Reads attributes of `rules`."""

    def admit(self, part: bytes, segments: int) -> Admission:
        """Merges the profiles of a part (`Request.part`) in order and gathers what the kernels read.

        `segments`, up to 255, is how many an SMS to its recipients has: it costs each.

        Raises KeyError(campaign id) if the campaign was not put, ValueError if the bytes are no part, or a dry run's
        outside of a rehearsal, or any other in one."""

    def commit(
        self,
        admission: Admission,
        hour_weights: npt.NDArray[np.float64],
        instants: npt.NDArray[np.int64],
        days: npt.NDArray[np.int32],
        offsets: npt.NDArray[np.int16],
        order: npt.NDArray[np.uint8],
        values: npt.NDArray[np.int64],
    ) -> list[tuple[int, int, int]] | None:
        """Decides rows in order; all arrays are C-contiguous [n, 7], and the weights [7, 2, 24] those that the instants
        were found with.

        None when every row is decided. Otherwise the walk stopped before a row that hangs on money the shard does
        not hold: (kind, key, amount) of what the rest may need. Grant it and call again with the same arrays."""

    def abandon(self, admission: Admission) -> None:
        """Answers `unavailable` for every row that is not decided yet."""

    def begin_rehearsal(self) -> None:
        """From now on all changes are noted. Until its end nobody else may look at the shard."""

    def end_rehearsal(self) -> None:
        """Puts everything back as it was when the rehearsal began. Without one it does nothing."""

    def lay_out(self, admission: Admission, taken: list[tuple[int, int, int]]) -> None:
        """Lays out the money of a rehearsal before its first row: (kind, key, amount) of what the same dry run took
        before on other shards."""

    def rehearsal_needs(self, admission: Admission, rest: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """What the whole walk needs, where it stopped for what the `rest` of the rows needs."""

    def rehearsal_spent(self, admission: Admission) -> list[tuple[int, int, int]]:
        """(kind, key, amount) of what the rehearsal spent so far of buckets with a limit; negative where it freed
        more."""

    def grant(self, campaign_id: str, grants: list[tuple[int, int, int, bool, int]]) -> None:
        """Adds (kind, key, amount, last, excess) to what the shard holds; see `engine.budget_manager.Slice`.

        It answers the last `release(keep_full=True)`: the ledger knows what that said."""

    def release(self, campaign_id: str, keep_full: bool) -> list[tuple[int, int, int]]:
        """Gives back all that is held; (kind, key, spent in all lives) of every bucket ever used, of the
        minutes those that the ledger may not know. With `keep_full` the shard goes on knowing which minutes are
        full."""

    def release_all(self) -> list[tuple[str, list[tuple[int, int, int]]]]:
        """As `release`, of every campaign that it has, by id, without keeping the word about full minutes."""

    def take_freed(self) -> list[str]:
        """Campaigns with a limit to which money came back since the last call."""

    def tally(self, campaign_id: str) -> Tally:
        """What a campaign did here; see `engine.status.build_status`."""

    def learned(self, now: int) -> list[tuple[str, npt.NDArray[np.float64]]]:
        """Of each campaign with events: f64[2, 7, 24], messages delivered and engaged by channel and local hour,
        weighed by their age at `now`."""

    def merge_profiles(self, part: bytes) -> None:
        """Keeps the profiles of a part without deciding; cancels what waits on channels opted out of."""

    def suppress(self, id: str, channel: int | None, until: int | None, reason: str | None, now: int) -> None:
        """Stops a channel (None: all) in [now, until) for a recipient, known or not, and cancels what waits there."""

    def lift(self, id: str, channel: int | None) -> bool:
        """Lifts such a stop; False if there was none."""

    def erase(self, id: str, now: int) -> bool:
        """Forgets a person and cancels what waits for them; False if nobody is known by this id.

        Their messages are no longer found but stay in the campaigns' counts. Under a keyed hash of the id it is kept
        which channels are stopped: whoever comes by this id again meets these stops, opt-outs as suppressions."""

    def apply_events(
        self, events: Sequence[tuple[str, int, str, int | None, int | None, int]], now: int
    ) -> tuple[list[int], tuple[str, list[tuple[int, int, int]]] | None]:
        """Takes (id, type, message id, channel, value, at); the codes of their EVENT_STATUSES.

        Where only the ledger knows what becomes of a failed message it stops before that event: a campaign and the
        (kind, key, amount) to ask for. Grant it and call again with the rest.

        `failed` and `bounced` end the attempt of a message that was not delivered: its place is free again, and so is
        its cost unless it was made on a channel that is `charged`. It goes on to the first channel of its chain that
        passes suppression, caps, gap and budget, or is failed. `bounced`, `complained` and `unsubscribed` stop the
        channel for its recipient for good, with the type as the reason, and cancel what waits there. The first event of
        success counts the message as delivered, the first but `delivered` as engaged, on its channel and at its local
        hour then, with the weight of `at`; what lies ahead happens now.

        `channel` (None: not known) names the attempt that an event is about. Bad news of one before that under way ends
        nothing; of one that was given up it gives back what it held. All but `failed` and `bounced` say that it
        arrived: until the next attempt is made after one that was given up they are of that one, and what waits is
        dropped."""

    def prepare_claims(self, now: int, deduplicates: int, asks: bool) -> tuple[str, list[tuple[int, int, int]]] | None:
        """Ends claims, campaigns and limits of success that are over at `now`, and looks what is due.

        A claim that was not started leaves its message waiting; one that was, `unknown`. Where its channel is in
        `deduplicates`, a bit a channel, the provider takes no attempt twice, and it will be claimed again. What waits
        for a campaign that is over expires. What was sent and not heard of in time is given up where the next channel
        of its chain passes suppression, caps, gap and budget, which goes then; it keeps its cost and its place.

        Where only the ledger knows it stops: grant what it gives and call again. Without `asks` those stay as they
        are."""

    def abandon_claims(self, now: int, deduplicates: int) -> None:
        """Ends every claim at `now`, as `prepare_claims` ends those that are over: who made them lives no more."""

    def oldest_due(self, now: int) -> list[int | None]:
        """Since when the message is due that waits longest at `now` to be claimed, 7, one a channel; None where none
        is. Campaigns that are not active have none. It looks at what is new since the last look, and one a channel."""

    def claim(
        self, room: Sequence[int], now: int, until: int, asks: bool
    ) -> tuple[list[_Claimed], tuple[str, list[tuple[int, int, int]]] | None]:
        """Claims up to `room` messages (7, one a channel) that were due when `prepare_claims` looked, in [now, until).

        Those due first come first, then those made first. Each: message id, number of the claim, how often the attempt
        was put off or made without a word, whether it may have been taken before, its place, channel, recipient id,
        campaign id, address, content as it came, instant. One that is an hour late or more, was put off, or is not
        reachable there any more goes through suppression, caps, quiet hours and budget again instead; where it may go
        now, the next call has it.

        Where only the ledger knows it stops: grant what comes second and call again with the room that is left. Without
        `asks` those go on waiting."""

    def start(self, claims: Sequence[tuple[str, int]], now: int) -> list[bool]:
        """For each (message id, number of the claim), whether its provider may be called now. Once for all: what is
        started and not reported when its claim ends may have been sent."""

    def report(
        self, reports: Sequence[tuple[str, int, int, int, str | None, str | None]], now: int
    ) -> tuple[list[bool], tuple[str, list[tuple[int, int, int]]] | None]:
        """What became of claimed messages: message id, number of the claim, outcome, from when on `later` is, the
        provider's id, a detail. For each whether it counted: only the last claim does, and once. Of who was erased
        meanwhile nothing but the outcome is kept.

        `accepted` is sent now; `rejected` goes on to the next channel of its chain, as after `failed` events; `later`
        waits until then; `unknown` waits for an event. Asks for what the ledger knows as `apply_events` does."""

    def has_messages(self, events: Sequence[tuple[str, str]]) -> list[bool]:
        """For each (event id, message id), whether the message is there or the event was applied to it here."""

    def bind_events(self, events: Sequence[tuple[str, str | None]]) -> list[str | None]:
        """Binds event ids at home here to messages, in order; the first one that an id comes with has it for good.

        Gives the message that each belongs to; None where it belongs to none and came with None."""

    def unbind_events(self, events: Sequence[tuple[str, str]]) -> None:
        """Frees the ids of events that are bound to a message and were not applied, as it is gone."""

    def begin(self, claim: Claim, alone: bool, size: int, name: int) -> Begun:
        """Binds an idempotency key at home here to a request, at the claim's instant, or finds it bound.

        `alone`: only if nobody else is at it. `size`: bytes that its answer may take. `name`, below 2^128, is its name
        if it is new. Raises `RequestError` (422) if it is bound to another request, `Overloaded` without room."""

    def leave(self, claim: Claim, name: int, stays_bound: bool) -> None:
        """One that began has no answer. The key is free again if nobody else is at it, unless it `stays_bound`."""

    def finish(self, claim: Claim, name: int, answer: bytes) -> bytes:
        """Keeps the answer of one that began; the answer that is kept, which is the first."""

    def kept_part(self, claim: Claim) -> tuple[bytes, bool] | None:
        """The answer to a part and whether no row of it is unavailable; None if there is none.

        Raises `Conflict` if it held a person who was erased, `RequestError` (422) if it is another request's."""

    def left_of_part(self, part: bytes, claim: Claim) -> bytes | None:
        """The part of what is to be decided: the whole, the rows that were unavailable, or None.

        Raises as `kept_part`, and `Overloaded` without room for its answer."""

    def keep_part(self, left: bytes, claim: Claim, answer: bytes) -> bytes:
        """Keeps the answer to what was left of a part; the answer to the whole part."""

    def keep_so_far(self, left: bytes, claim: Claim, answer: bytes) -> None:
        """Keeps `Admission.answer_so_far` of what was left of a part, until `keep_part` replaces it."""

    def cancel(self, message_id: str) -> bool | None:
        """Cancels a message: False, and nothing is changed, if it does not wait any more; None if there is none."""

    def message(self, message_id: str) -> dict[str, Any] | None:
        """Plain numbers of a message, for `engine.views.message_view`."""

    def recipient(
        self, id: str, now: int, daily_cap: int, weekly_cap: int, gaps_s: Sequence[int]
    ) -> dict[str, Any] | None:
        """Plain numbers of a recipient, for `engine.views.recipient_view`."""

    def load_page(self, number: int, sequence: int, page: bytes) -> None:
        """Reads a page as it was written with the group `sequence`. Pages come before groups, in any order.

        Raises ValueError with what is wrong, as do the next two; the shard is of no use then."""

    def load_group(self, sequence: int, effects: bytes) -> None:
        """Reads a group of effects; groups come in order."""

    def end_load(self) -> None:
        """The shard is what was read, empty if nothing was, and from now on its changes are kept for `take_group`."""

    def take_group(self, sequence: int) -> tuple[bytes, list[tuple[int, bytes]], int] | None:
        """What changed since the last call, as the group `sequence` (each larger than the last); None if nothing did.

        With it come pages by number, as they are after it, and the first group that is still needed besides them. What
        changed is in the group or in one of the pages: both are needed to read it back. See engine/src/effects.rs.
        Raises ValueError in a rehearsal."""

    def state_hash(self) -> str:
        """XXH3-128 over everything it knows, in 32 hexadecimal digits; see engine/src/state_hash.rs."""

    def sizes(self) -> tuple[int, int]:
        """How many recipients and messages it holds."""
