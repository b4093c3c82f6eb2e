//! Answers as JSON: decisions in the order of the input, fields in the order of the contract.

use crate::address::warning;
use crate::answer::{Decision, unpack_channels};
use crate::instant::{write_local, write_utc};
use crate::replies::{Counts, Outcome, Replies, Verdict};
use crate::request::{Invalid, Request};
use crate::words::{CHANNELS, Channel, ChannelMask, REASONS, Reason, channels_of};

pub const UNAVAILABLE_DETAIL: &str =
    "The shard that keeps this recipient is recovering; repeat the request to have it decided.";
pub const INVALID_DETAIL: &str = "The recipient is not valid: errors names each fault.";

/// About how long a decision is in JSON.
const DECISION_BYTES: usize = 400;

const MICRO: u64 = 1_000_000;

/// The answer to a batch; a dry run has no id.
pub fn batch(request: &Request, replies: &Replies, batch_id: Option<&str>) -> Vec<u8> {
    let counts = replies.counts();
    let mut out = Vec::with_capacity(256 + request.size() * DECISION_BYTES);
    out.extend_from_slice(b"{\"batch_id\":");
    match batch_id {
        Some(batch_id) => write_text(batch_id, &mut out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"counts\":");
    out.extend_from_slice(&self::counts(counts));
    out.extend_from_slice(b",\"reasons\":");
    out.extend_from_slice(&reasons(counts));
    out.extend_from_slice(b",\"results\":[");
    let explain = request.header.explain;
    write_list(replies.verdicts(request), &mut out, |verdict, out| write_verdict(&verdict, explain, out));
    out.extend_from_slice(b"]}");
    out
}

/// How many decisions have each status; `unavailable` only where there are any.
pub fn counts(counts: &Counts) -> Vec<u8> {
    let mut out = b"{\"scheduled\":".to_vec();
    write_integer(counts.scheduled.iter().sum::<u32>(), &mut out);
    out.extend_from_slice(b",\"blocked\":");
    write_integer(counts.blocked.iter().sum::<u32>(), &mut out);
    out.extend_from_slice(b",\"invalid\":");
    write_integer(counts.invalid, &mut out);
    if counts.unavailable > 0 {
        out.extend_from_slice(b",\"unavailable\":");
        write_integer(counts.unavailable, &mut out);
    }
    out.push(b'}');
    out
}

/// How many are blocked for each reason that occurs.
pub fn reasons(counts: &Counts) -> Vec<u8> {
    let mut out = vec![b'{'];
    let given = REASONS.iter().zip(counts.blocked).filter(|(_, count)| *count > 0);
    write_list(given, &mut out, |(reason, count), out| {
        write_word(reason, out);
        out.push(b':');
        write_integer(count, out);
    });
    out.push(b'}');
    out
}

/// The answers to single sends, each the decision alone and what it comes to.
pub fn sends(request: &Request, replies: &Replies) -> Vec<(Vec<u8>, Tally)> {
    let rendered = replies.verdicts(request).map(|verdict| {
        let mut out = Vec::with_capacity(DECISION_BYTES);
        write_verdict(&verdict, request.header.explain, &mut out);
        (out, tally(&Counts::of(&verdict)))
    });
    rendered.collect()
}

/// Status, channel where scheduled or reason where blocked, and how many recipients fared so.
pub type Tally = Vec<(&'static str, &'static str, u32)>;

/// All outcomes that occur.
pub fn tally(counts: &Counts) -> Tally {
    let scheduled = CHANNELS.iter().zip(counts.scheduled).map(|(channel, count)| ("scheduled", *channel, count));
    let blocked = REASONS.iter().zip(counts.blocked).map(|(reason, count)| ("blocked", *reason, count));
    let rest = [("invalid", "", counts.invalid), ("unavailable", "", counts.unavailable)];
    scheduled.chain(blocked).chain(rest).filter(|(_, _, count)| *count > 0).collect()
}

fn write_verdict(verdict: &Verdict<'_>, explain: bool, out: &mut Vec<u8>) {
    let explanation = match verdict {
        Verdict::Invalid { index, invalid } => {
            write_invalid(*index, invalid, out);
            None
        }
        Verdict::Valid { id, left_out, outcome, explanation } => {
            match outcome {
                Outcome::Scheduled { channel, decision } => write_scheduled(id, *channel, decision, out),
                Outcome::Blocked { reason, next_eligible_at } => {
                    write_head(Some(id), "blocked", out);
                    write_word(reason.text(), out);
                    out.extend_from_slice(b",\"detail\":");
                    write_word(reason.detail(), out);
                    write_nothing_sent(*next_eligible_at, out);
                }
                Outcome::Unavailable => {
                    write_head(Some(id), "unavailable", out);
                    out.extend_from_slice(b"null,\"detail\":");
                    write_word(UNAVAILABLE_DETAIL, out);
                    write_nothing_sent(None, out);
                }
            }
            write_warnings(*left_out, out);
            *explanation
        }
    };
    if explain {
        out.extend_from_slice(b",\"explanation\":");
        out.extend_from_slice(explanation.unwrap_or("null").as_bytes());
    }
    out.push(b'}');
}

fn write_scheduled(id: &str, channel: Channel, decision: &Decision, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"message_id\":");
    match decision.message_id {
        0 => out.extend_from_slice(b"null"),
        number => {
            out.push(b'"');
            write_message_id(number, out);
            out.push(b'"');
        }
    }
    out.extend_from_slice(b",\"recipient_id\":");
    write_text(id, out);
    out.extend_from_slice(b",\"status\":\"scheduled\",\"reason\":null,\"detail\":");
    match Reason::from_code(decision.reason).and_then(Reason::deferral) {
        Some(detail) => write_word(detail, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"channel\":");
    write_word(channel.text(), out);
    // The replies were checked to hold only instants that can be written.
    out.extend_from_slice(b",\"scheduled_at\":\"");
    write_utc(decision.scheduled_at, out);
    out.extend_from_slice(b"\",\"scheduled_local\":\"");
    write_local(decision.scheduled_at, decision.offset_minutes, out);
    out.extend_from_slice(b"\",\"fallback_chain\":[");
    write_list(unpack_channels(decision.chain), out, |channel, out| write_word(channel.text(), out));
    out.extend_from_slice(b"],\"cost\":\"");
    write_money(decision.cost.unsigned_abs(), out);
    out.extend_from_slice(b"\",\"confidence\":");
    write_confidence(decision.confidence, out);
    out.extend_from_slice(b",\"next_eligible_at\":null");
}

/// Everything up to the reason of a decision that made no message.
fn write_head(id: Option<&str>, status: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"message_id\":null,\"recipient_id\":");
    match id {
        Some(id) => write_text(id, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"status\":");
    write_word(status, out);
    out.extend_from_slice(b",\"reason\":");
}

/// What comes between the detail and the warnings of a decision that made no message.
fn write_nothing_sent(next_eligible_at: Option<i64>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b",\"channel\":null,\"scheduled_at\":null,\"scheduled_local\":null,\"fallback_chain\":null,\"cost\":null,\
          \"confidence\":null,\"next_eligible_at\":",
    );
    match next_eligible_at {
        None => out.extend_from_slice(b"null"),
        Some(at) => {
            out.push(b'"');
            write_utc(at, out);
            out.push(b'"');
        }
    }
}

fn write_warnings(left_out: ChannelMask, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"warnings\":[");
    write_list(channels_of(left_out), out, |channel, out| write_word(warning(channel), out));
    out.push(b']');
}

fn write_invalid(index: usize, invalid: &Invalid, out: &mut Vec<u8>) {
    write_head(invalid.id.as_deref(), "invalid", out);
    out.extend_from_slice(b"null,\"detail\":");
    write_word(INVALID_DETAIL, out);
    write_nothing_sent(None, out);
    write_warnings(0, out);
    out.extend_from_slice(b",\"errors\":[");
    write_list(&invalid.errors, out, |error, out| {
        out.extend_from_slice(b"{\"path\":\"/recipients/");
        write_integer(index as u32, out);
        write_escaped(&error.path, out);
        out.extend_from_slice(b"\",\"message\":");
        write_text(&error.message, out);
        out.push(b'}');
    });
    out.push(b']');
}

fn write_list<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}

/// A text of ours, in which nothing needs escaping.
fn write_word(word: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

/// A text of a user.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex_digit(byte >> 4), hex_digit(byte)]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn hex_digit(number: u8) -> u8 {
    b"0123456789abcdef"[usize::from(number & 0xf)]
}

/// `m-` and 16 hexadecimal digits.
pub fn write_message_id(number: u64, out: &mut Vec<u8>) {
    let digit = |place: usize| hex_digit((number >> (60 - 4 * place)) as u8);
    out.extend_from_slice(b"m-");
    out.extend_from_slice(&std::array::from_fn::<u8, 16, _>(digit));
}

fn write_integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Micro-units as a decimal with at least two fraction digits and no surplus zeros.
fn write_money(micro: u64, out: &mut Vec<u8>) {
    write_integer(micro / MICRO, out);
    out.push(b'.');
    write_fraction(micro % MICRO, 6, 2, out);
}

/// Ten-thousandths as a number of up to four decimals.
fn write_confidence(ten_thousandths: u16, out: &mut Vec<u8>) {
    write_integer(ten_thousandths / 10_000, out);
    out.push(b'.');
    write_fraction(u64::from(ten_thousandths % 10_000), 4, 1, out);
}

/// The digits behind the point: `digits` of them at most, `least` at least, without surplus zeros.
fn write_fraction(mut fraction: u64, mut digits: usize, least: usize, out: &mut Vec<u8>) {
    while digits > least && fraction.is_multiple_of(10) {
        fraction /= 10;
        digits -= 1;
    }
    let end = out.len() + digits;
    out.resize(end, b'0');
    for place in out[end - digits..].iter_mut().rev() {
        *place = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
}

#[cfg(test)]
mod tests;
