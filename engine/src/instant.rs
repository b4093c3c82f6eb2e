//! Instants as RFC 3339: read to whole seconds since the epoch, written with `Z` or an offset.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// 0001-01-01T00:00:00Z, and three days before the end of 9999: no offset leads out of the years of four digits.
pub const SECONDS_MIN: i64 = -62_135_596_800;
pub const SECONDS_MAX: i64 = 253_402_300_799 - 3 * 86_400;

/// The longest text that is read; fractions beyond a few digits say nothing.
const BYTES_MAX: usize = 64;

/// Whole seconds since the epoch, fractions dropped downwards. None unless the text is RFC 3339 with an
/// offset inside the bounds above.
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() > BYTES_MAX || bytes.iter().any(|byte| !byte.is_ascii()) {
        return None;
    }
    let (civil, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| bytes[*at] != *byte) || !matches!(bytes[10], b'T' | b't') {
        return None;
    }
    let seconds = Offset::UTC.to_timestamp(civil_of(civil)?).ok()?.as_second() - offset_seconds(rest)?;
    (SECONDS_MIN..=SECONDS_MAX).contains(&seconds).then_some(seconds)
}

fn civil_of(text: &str) -> Option<DateTime> {
    let two = |at: usize| digits(text.get(at..at + 2)?).and_then(|number| i8::try_from(number).ok());
    let year = i16::try_from(digits(text.get(..4)?)?).ok()?;
    // A leap second is its minute's last: the clock that everything here runs on has none.
    let second = two(17).map(|second| if second == 60 { 59 } else { second })?;
    DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, second, 0).ok()
}

/// The offset behind an optional fraction. The fraction points forwards, so leaving it out drops it downwards.
fn offset_seconds(rest: &str) -> Option<i64> {
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => match fraction.trim_start_matches(|character: char| character.is_ascii_digit()) {
            offset if offset.len() < fraction.len() => offset,
            _ => return None,
        },
    };
    let sign = match offset.as_bytes() {
        [b'Z' | b'z'] => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(&offset[1..3])?, digits(&offset[4..6])?);
    (hours < 24 && minutes < 60).then_some(sign * i64::from(hours * 3600 + minutes * 60))
}

fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Minutes of the day [0, 1440) of a strict `HH:MM`.
pub fn minute_of_day(text: &str) -> Option<u16> {
    let [h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let (hour, minute) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// Writes an instant within the bounds above as `2026-03-01T14:14:00Z`; false if it is outside them.
pub fn write_utc(seconds: i64, out: &mut Vec<u8>) -> bool {
    let written = write_civil(seconds, 0, out);
    if written {
        out.push(b'Z');
    }
    written
}

/// Writes it as `2026-03-01T09:14:00-05:00`; false if it or the offset (below a day) is outside the bounds.
pub fn write_local(seconds: i64, offset_minutes: i16, out: &mut Vec<u8>) -> bool {
    let written = write_civil(seconds, offset_minutes, out);
    if written {
        let sign = if offset_minutes < 0 { b'-' } else { b'+' };
        let minutes = offset_minutes.unsigned_abs();
        let ([h1, h2], [m1, m2]) = (two_digits(minutes / 60), two_digits(minutes % 60));
        out.extend_from_slice(&[sign, h1, h2, b':', m1, m2]);
    }
    written
}

fn write_civil(seconds: i64, offset_minutes: i16, out: &mut Vec<u8>) -> bool {
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) || offset_minutes.unsigned_abs() >= 1440 {
        return false;
    }
    let Ok(timestamp) = Timestamp::from_second(seconds + i64::from(offset_minutes) * 60) else { return false };
    let civil = Offset::UTC.to_datetime(timestamp);
    let year = civil.year().unsigned_abs();
    let [y1, y2] = two_digits(year / 100);
    let [y3, y4] = two_digits(year % 100);
    let [month, day, hour, minute, second] =
        [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()].map(|part| two_digits(part as u16));
    out.extend_from_slice(&[
        y1, y2, y3, y4, b'-', month[0], month[1], b'-', day[0], day[1], b'T', hour[0], hour[1], b':', minute[0],
        minute[1], b':', second[0], second[1],
    ]);
    true
}

/// The last two digits.
fn two_digits(number: u16) -> [u8; 2] {
    TWO_DIGITS[usize::from(number % 100)]
}

/// `00` to `99`: looked up, since an instant has nine of them and an answer thousands of instants.
const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut texts = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        texts[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    texts
};

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(seconds: i64) -> String {
        let mut out = Vec::new();
        assert!(write_utc(seconds, &mut out));
        String::from_utf8(out).expect("ASCII")
    }

    fn local(seconds: i64, offset_minutes: i16) -> String {
        let mut out = Vec::new();
        assert!(write_local(seconds, offset_minutes, &mut out));
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn instants_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-03-01T00:00:00-05:00", 1_772_341_200),
            ("2026-03-01t05:00:00.999999999999z", 1_772_341_200),
            ("2026-03-01T10:45:00+05:45", 1_772_341_200),
            ("2016-12-31T23:59:60Z", 1_483_228_799),
            ("1969-12-31T23:59:59.5Z", -1),
            ("2024-02-29T00:00:00-00:00", 1_709_164_800),
        ] {
            assert_eq!(from_rfc3339(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-03-01",
            "2026-03-01T05:00:00",
            "2026-03-01T05:00Z",
            "2026-3-01T05:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01 05:00:00Z",
            "2026-03-01T05:00:61Z",
            "2026-03-01T05:00:00+24:00",
            "2026-03-01T05:00:00.Z",
            "2026-03-01T05:00:00+0500",
            "2026-03-01T05:00:00Z ",
            "2026-03-01T05:00:00Z[UTC]",
            "2026-03-01T05:00:0é",
            "+026-03-01T05:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-23:59",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_written() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
        assert_eq!(local(1_772_374_440, -300), "2026-03-01T09:14:00-05:00");
        assert_eq!(local(1_772_374_440, 345), "2026-03-01T19:59:00+05:45");
        assert_eq!(local(0, 0), "1970-01-01T00:00:00+00:00");
        let mut out = Vec::new();
        assert!(!write_utc(i64::MIN, &mut out) && !write_utc(i64::MAX, &mut out) && !write_local(0, 1440, &mut out));
        assert!(out.is_empty());
        for seconds in [SECONDS_MIN, SECONDS_MAX, 951_782_400, 4_107_542_399] {
            assert_eq!(from_rfc3339(&utc(seconds)), Some(seconds));
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(minute_of_day("00:00"), Some(0));
        assert_eq!(minute_of_day("23:59"), Some(1439));
        for text in ["", "24:00", "8:00", "08:60", "08:00:00", "08-00", "+8:00", "0８:0"] {
            assert_eq!(minute_of_day(text), None, "{text}");
        }
    }
}
