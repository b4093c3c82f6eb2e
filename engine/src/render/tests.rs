use super::*;
use crate::answer::{Answer, pack_channels};
use crate::parser::Parser;
use crate::words::Reason;

const BODY: &str = r#"{"campaign_id":"a","recipients":[{"id":"q\"\\\u00e9","contacts":{"email":"x"}},{"id":"c-2"},{"id":"c-3","a/b":0}]}"#;

fn request() -> Request {
    Parser::new([], 1).batch(BODY.as_bytes()).expect("the body is right")
}

fn scheduled() -> Decision {
    Decision {
        message_id: 0xabc,
        reason: u8::MAX,
        channel: Channel::Sms as u8,
        chain: pack_channels([Channel::Email, Channel::Twitter]),
        scheduled_at: 1_772_374_440,
        offset_minutes: -300,
        cost: 7_500,
        confidence: 7_321,
        next_eligible_at: i64::MIN,
        ..Decision::default()
    }
}

fn answer(decisions: &[Decision]) -> Vec<u8> {
    let mut answer = Answer::default();
    decisions.iter().for_each(|decision| answer.push(*decision));
    answer.encode(&[])
}

fn rendered(answer: Option<&[u8]>) -> String {
    let request = request();
    let replies = Replies::read(&request, |_| answer);
    String::from_utf8(batch(&request, &replies, Some("b-\"1\""))).expect("UTF-8")
}

#[test]
fn every_kind_of_decision() {
    let without_email = Decision { left_out: Channel::Email.bit(), ..scheduled() };
    let answer = answer(&[without_email, Decision::blocked(Reason::DailyCap, Some(0))]);
    let expected = concat!(
        r#"{"batch_id":"b-\"1\"","counts":{"scheduled":1,"blocked":1,"invalid":1},"reasons":{"daily_cap":1},"results":["#,
        r#"{"message_id":"m-0000000000000abc","recipient_id":"q\"\\é","status":"scheduled","reason":null,"detail":null,"#,
        r#""channel":"sms","scheduled_at":"2026-03-01T14:14:00Z","scheduled_local":"2026-03-01T09:14:00-05:00","#,
        r#""fallback_chain":["email","twitter"],"cost":"0.0075","confidence":0.7321,"next_eligible_at":null,"#,
        r#""warnings":["contacts.email: not an address that e-mail can use; the channel is left out"]},"#,
        r#"{"message_id":null,"recipient_id":"c-2","status":"blocked","reason":"daily_cap","#,
        r#""detail":"Another message would break the daily frequency cap.","channel":null,"scheduled_at":null,"#,
        r#""scheduled_local":null,"fallback_chain":null,"cost":null,"confidence":null,"#,
        r#""next_eligible_at":"1970-01-01T00:00:00Z","warnings":[]},"#,
        r#"{"message_id":null,"recipient_id":"c-3","status":"invalid","reason":null,"#,
        r#""detail":"The recipient is not valid: errors names each fault.","channel":null,"scheduled_at":null,"#,
        r#""scheduled_local":null,"fallback_chain":null,"cost":null,"confidence":null,"next_eligible_at":null,"#,
        r#""warnings":[],"errors":[{"path":"/recipients/2/a~1b","message":"is not a field here"}]}]}"#,
    );
    assert_eq!(rendered(Some(&answer)), expected);
    assert_eq!(crate::json::check(expected.as_bytes()), Ok(()));
}

#[test]
fn an_answer_that_does_not_fit_is_none() {
    let good = [scheduled(), Decision::blocked(Reason::Duplicate, None)];
    let whole = answer(&good);
    let wrong = [
        Decision { status: 9, ..scheduled() },
        Decision { status: 2, ..scheduled() },
        Decision { channel: 7, ..scheduled() },
        Decision { cost: -1, ..scheduled() },
        Decision { confidence: 10_001, ..scheduled() },
        Decision { scheduled_at: i64::MIN, ..scheduled() },
        Decision { offset_minutes: i16::MIN, ..scheduled() },
        Decision { status: 1, reason: 10, ..scheduled() },
        Decision { next_eligible_at: i64::MAX, ..good[1] },
    ];
    let mut answers: Vec<Vec<u8>> = wrong.iter().map(|decision| answer(&[good[1], *decision])).collect();
    answers.extend((0..whole.len()).map(|length| whole[..length].to_vec()));
    answers.push(answer(&good[..1]));
    answers.push(answer(&[good[0], good[1], good[1]]));
    let unavailable = rendered(None);
    assert!(unavailable.contains(r#""counts":{"scheduled":0,"blocked":0,"invalid":1,"unavailable":2}"#));
    assert!(unavailable.contains(r#""status":"unavailable","reason":null,"detail":"The shard"#));
    assert!(unavailable.contains("contacts.email: not an address"), "though no shard says so");
    assert_ne!(rendered(Some(&whole)), unavailable);
    for answer in answers {
        assert_eq!(rendered(Some(&answer)), unavailable);
    }
}

#[test]
fn a_send_is_the_decision_alone() {
    let body = br#"{"campaign_id":"a","recipient":{"id":"c-2"}}"#;
    let request = Parser::new([], 4).send(body).expect("the body is right");
    let answer = answer(&[scheduled()]);
    let rendered = |answer: Option<&[u8]>| {
        let mut all = sends(&request, &Replies::read(&request, |_| answer));
        let (decision, tally) = all.remove(0);
        assert!(all.is_empty());
        (String::from_utf8(decision).expect("UTF-8"), tally)
    };
    let (decision, tally) = rendered(Some(&answer));
    assert!(decision.starts_with(r#"{"message_id":"m-0000000000000abc","recipient_id":"c-2","#));
    assert_eq!(tally, [("scheduled", "sms", 1)]);
    let (decision, tally) = rendered(None);
    assert!(decision.contains(r#""status":"unavailable""#));
    assert_eq!(tally, [("unavailable", "", 1)]);
}

#[test]
fn the_tally() {
    let request = request();
    let answer = answer(&[scheduled(), Decision::blocked(Reason::DailyCap, None)]);
    let tally_of = |answer: Option<&[u8]>| tally(Replies::read(&request, |_| answer).counts());
    assert_eq!(tally_of(Some(&answer)), [("scheduled", "sms", 1), ("blocked", "daily_cap", 1), ("invalid", "", 1)]);
    assert_eq!(tally_of(None), [("invalid", "", 1), ("unavailable", "", 2)]);
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn numbers() {
    for (micro, text) in [
        (0, "0.00"),
        (12_500_000, "12.50"),
        (7_500, "0.0075"),
        (1, "0.000001"),
        (10, "0.00001"),
        (1_000_000_000_000_000_000, "1000000000000.00"),
    ] {
        assert_eq!(written(|out| write_money(micro, out)), text);
    }
    for (confidence, text) in [(0, "0.0"), (10_000, "1.0"), (5_000, "0.5"), (7_321, "0.7321"), (1, "0.0001")] {
        assert_eq!(written(|out| write_confidence(confidence, out)), text);
    }
}

#[test]
fn texts_are_escaped() {
    assert_eq!(written(|out| write_text("a\"b\\c\n\u{1f}é/", out)), "\"a\\\"b\\\\c\\u000a\\u001fé/\"");
    let words = Reason::ALL.iter().map(|reason| reason.detail()).chain(Channel::ALL.iter().map(|one| warning(*one)));
    for word in words.chain([UNAVAILABLE_DETAIL, INVALID_DETAIL]) {
        assert_eq!(written(|out| write_word(word, out)), written(|out| write_text(word, out)));
    }
}
