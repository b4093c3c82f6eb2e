use super::*;
use crate::address;
use crate::answer::unpack_channels;
use crate::part::{NO_QUIET_HOURS, RecipientRow};
use crate::recipient::ERRORS_MAX;
use crate::words::{CustomerType, Device, OPT_OUT_ALL};

fn zones() -> Zones {
    ["Africa/Abidjan", "America/Port-au-Prince"].map(str::to_owned).into_iter().zip(0..).collect()
}

fn read_all<T>(body: &str, take: impl FnOnce(Recipient<'_>) -> T) -> Result<T, Broken> {
    let zones = zones();
    let mut cursor = Cursor::new(body);
    let peek = cursor.peek()?;
    let recipient = read(&mut cursor, peek, &zones, true)?;
    cursor.finish()?;
    Ok(take(recipient))
}

/// Paths of the faults, in order.
fn faults(body: &str) -> Vec<String> {
    let taken = read_all(body, |recipient| recipient.errors.into_list());
    taken.expect("it is JSON").into_iter().map(|error| error.path.into_owned()).collect()
}

/// The faults of a recipient whose field has this value.
fn faults_with(field: &str) -> Vec<String> {
    faults(&format!("{{\"id\":\"c-1\",{field}}}"))
}

#[test]
fn the_contracts_example() {
    let body = r#"{"id": "c-1", "customer_type": "existing", "timezone": "America/Port-au-Prince", "device": "mobile",
        "contacts": {"email": "ana@example.com", "whatsapp": "+50937001234"},
        "preferences": {"channels": ["whatsapp"], "opt_out": ["sms"], "quiet_hours": {"start": "21:00", "end": "08:00"}}}"#;
    let checked = read_all(body, |recipient| {
        assert!(recipient.errors.is_empty());
        assert_eq!(recipient.id.as_deref(), Some("c-1"));
        assert_eq!(recipient.contacts[0].as_deref(), Some("ana@example.com"));
        assert_eq!(recipient.contacts[2].as_deref(), Some("+50937001234"));
        let expected = RecipientRow {
            hash: 0,
            given: 0b11111,
            customer_type: CustomerType::Existing as u8,
            device: Device::Mobile as u8,
            zone: 1,
            contacts: 0b101,
            opt_out: 0b10,
            preferred: 3,
            quiet_start: 21 * 60,
            quiet_end: 8 * 60,
        };
        assert_eq!(recipient.row, expected);
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn an_id_is_enough() {
    let checked = read_all(r#"{"id": "é"}"#, |recipient| {
        assert!(recipient.errors.is_empty());
        assert_eq!(recipient.row.given, 0);
        assert_eq!(recipient.row.device, Device::Unknown as u8);
        assert_eq!((recipient.row.quiet_start, recipient.row.quiet_end), (NO_QUIET_HOURS, NO_QUIET_HOURS));
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn wrong_ids() {
    let long = format!("{{\"id\":\"{}\"}}", "é".repeat(64) + "a");
    for body in [
        "{}",
        r#"{"id":""}"#,
        r#"{"id":null}"#,
        r#"{"id":7}"#,
        r#"{"id":"a\u0000"}"#,
        r#"{"id":"a\n"}"#,
        r#"{"id":"\u007f"}"#,
        r#"{"id":"\u0085"}"#,
        long.as_str(),
    ] {
        assert_eq!(faults(body), ["/id"], "{body}");
    }
    assert!(faults(&format!("{{\"id\":\"{}\"}}", "é".repeat(64))).is_empty());
    for body in ["7", "[]", "null", "\"c-1\""] {
        assert_eq!(faults(body), [""], "{body}");
    }
}

#[test]
fn wrong_fields() {
    for (field, path) in [
        (r#""customer_type":"old""#, "/customer_type"),
        (r#""customer_type":null"#, "/customer_type"),
        (r#""device":"Mobile""#, "/device"),
        (r#""device":1e5"#, "/device"),
        (r#""timezone":"Mars/Olympus""#, "/timezone"),
        (r#""timezone":["Africa/Abidjan"]"#, "/timezone"),
        (r#""contacts":null"#, "/contacts"),
        (r#""contacts":["ana@example.com"]"#, "/contacts"),
        (r#""contacts":{"email":null}"#, "/contacts/email"),
        (r#""contacts":{"sms":50937001234}"#, "/contacts/sms"),
        (r#""contacts":{"fax":"+50937001234"}"#, "/contacts/fax"),
        (r#""contacts":{"email":"a@b.co","email":"a@b.co"}"#, "/contacts/email"),
        (r#""preferences":null"#, "/preferences"),
        (r#""preferences":{"chanels":[]}"#, "/preferences/chanels"),
        (r#""preferences":{"channels":"email"}"#, "/preferences/channels"),
        (r#""preferences":{"channels":["email","all"]}"#, "/preferences/channels/1"),
        (r#""preferences":{"channels":[null]}"#, "/preferences/channels/0"),
        (r#""preferences":{"channels":[],"channels":[]}"#, "/preferences/channels"),
        (r#""preferences":{"opt_out":["email","fax"]}"#, "/preferences/opt_out/1"),
        (r#""preferences":{"quiet_hours":"21:00"}"#, "/preferences/quiet_hours"),
        (r#""preferences":{"quiet_hours":{"start":"21:00"}}"#, "/preferences/quiet_hours/end"),
        (r#""preferences":{"quiet_hours":{"start":"24:00","end":"08:00"}}"#, "/preferences/quiet_hours/start"),
        (r#""preferences":{"quiet_hours":{"start":"21:00","end":"8:00"}}"#, "/preferences/quiet_hours/end"),
        (r#""preferences":{"quiet_hours":{"start":"21:00","end":"08:00","zone":""}}"#, "/preferences/quiet_hours/zone"),
        (r#""id":"c-2""#, "/id"),
        (r#""name":{"deep":[{"er":[1,2,"x"]}]}"#, "/name"),
        (r#""a/b":1"#, "/a~1b"),
    ] {
        assert_eq!(faults_with(field), [path], "{field}");
    }
}

#[test]
fn all_faults_are_named_up_to_a_bound() {
    assert_eq!(faults(r#"{"device":1,"timezone":"x","who":1}"#), ["/device", "/timezone", "/who", "/id"]);
    let many = format!("\"preferences\":{{\"channels\":[{}]}}", ["7"; 100].join(","));
    assert_eq!(faults_with(&many).len(), ERRORS_MAX);
}

#[test]
fn an_address_that_is_too_long_for_any_channel_goes_on_as_an_empty_one() {
    for (length, kept) in [(address::BYTES_MAX, address::BYTES_MAX), (address::BYTES_MAX + 1, 0), (1_000_000, 0)] {
        let body = format!(r#"{{"id":"c-1","contacts":{{"twitter":"{}"}}}}"#, "a".repeat(length));
        let checked = read_all(&body, |recipient| {
            assert!(recipient.errors.is_empty());
            assert_eq!(recipient.row.contacts, Channel::Twitter.bit());
            assert_eq!(recipient.contacts[6].as_deref().map(str::len), Some(kept));
        });
        assert_eq!(checked, Ok(()));
    }
}

#[test]
fn one_that_was_cleared_says_nothing() {
    let body = r#"{"id": "c-1", "customer_type": "old", "timezone": "x", "device": "mobile", "who": 1, "contacts":
        {"email": "ana", "twitter": "@ana"}, "preferences": {"channels": ["sms"], "opt_out": ["all"], "quiet_hours":
        {"start": "21:00", "end": "8"}}}"#;
    let checked = read_all(body, |mut recipient| {
        assert_eq!(recipient.errors.list().len(), 4);
        recipient.clear();
        let unsaid = Recipient::default();
        assert_eq!((recipient.id, recipient.row, recipient.contacts), (unsaid.id, unsaid.row, unsaid.contacts));
        assert_eq!(recipient.errors, unsaid.errors);
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn addresses_are_taken_usable_or_not() {
    let body = r#"{"id":"c-1","contacts":{"email":"ana","sms":"0937","twitter":"@ana","facebook":"a\nb"}}"#;
    let checked = read_all(body, |recipient| {
        assert!(recipient.errors.is_empty());
        assert_eq!(recipient.row.contacts, 0b101_0011);
        assert_eq!(recipient.row.given, given::CONTACTS);
        assert_eq!(recipient.contacts[0].as_deref(), Some("ana"));
        assert_eq!(recipient.contacts[4].as_deref(), Some("a\nb"));
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn preferences_keep_their_order_and_the_first_of_equals() {
    let body = r#"{"id":"c-1","preferences":{"channels":["sms","email","sms","twitter"],"opt_out":["all","email"]}}"#;
    let checked = read_all(body, |recipient| {
        assert!(recipient.errors.is_empty());
        let preferred: Vec<_> = unpack_channels(recipient.row.preferred).collect();
        assert_eq!(preferred, [Channel::Sms, Channel::Email, Channel::Twitter]);
        assert_eq!(recipient.row.opt_out, OPT_OUT_ALL | Channel::Email.bit());
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn broken_json_breaks_the_body() {
    for body in [
        r#"{"id":"c-1""#,
        r#"{"id":"c-1",}"#,
        r#"{"id":"\ud800"}"#,
        r#"{"id":"c-1","device":]}"#,
        r#"{"id":"c-1","contacts":{"email":tru}}"#,
        r#"{"id":"c-1","x":01}"#,
        "{\"id\":\"a\tb\"}",
    ] {
        assert!(read_all(body, |_| ()).is_err(), "{body}");
    }
}
