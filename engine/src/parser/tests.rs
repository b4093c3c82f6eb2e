use super::*;
use crate::part::{Part, given};
use crate::request::Entry;
use crate::words::Urgency;

fn parser() -> Parser {
    Parser::new(["Africa/Abidjan", "America/Port-au-Prince"].map(str::to_owned), 4)
}

fn batch(body: &str) -> Result<Request, Fault> {
    parser().batch(body.as_bytes())
}

/// A batch of one recipient with these fields before it.
fn batch_with(fields: &str) -> Result<Request, Fault> {
    batch(&format!("{{\"campaign_id\":\"spring\",{fields}\"recipients\":[{{\"id\":\"c-1\"}}]}}"))
}

fn paths(fault: &Fault) -> Vec<&str> {
    fault.errors.iter().map(|error| error.path.as_ref()).collect()
}

#[test]
fn recipients_go_to_their_shards_in_order() {
    let ids: Vec<String> = (0..100).map(|number| format!("c-{number}")).collect();
    let recipients: Vec<String> =
        ids.iter().map(|id| format!("{{\"id\":\"{id}\",\"contacts\":{{\"email\":\"{id}@example.com\"}}}}")).collect();
    let body = format!("{{\"recipients\":[{}],\"campaign_id\":\"spring\"}}", recipients.join(","));
    let request = batch(&body).expect("the body is right");
    assert_eq!(request.size(), 100);
    assert_eq!(request.shards().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(request.part(4, 0), None);
    let parts: Vec<Part> =
        (0..4).map(|shard| Part::decode(&request.part(shard, 77).expect("a shard")).expect("a part")).collect();
    for (entry, id) in request.entries().zip(&ids) {
        let Entry::Valid { id: entry_id, shard, row } = entry else { unreachable!("{id} is valid") };
        let recipients = &parts[shard as usize].recipients;
        assert_eq!((entry_id, recipients.id(row), request.left_out(shard, row)), (id.as_str(), id.as_str(), 0));
        assert_eq!(recipients.columns.hash[row], hash_of(id));
        assert_eq!(u64::from(shard), slot_of(hash_of(id)) % 4);
        assert_eq!(recipients.columns.given[row], given::CONTACTS);
        assert_eq!(recipients.contacts(row).collect::<Vec<_>>(), [format!("{id}@example.com")]);
    }
    assert!(parts.iter().all(|part| part.header.now == 77 && part.header.campaign_id == "spring"));
}

#[test]
fn options_are_read() {
    let request = batch_with(
        r#""dedup_key":"k","urgency":"high","channels":["sms","email"],"send_at":"2026-03-01T00:00:00.9-05:00",
           "content":{"a" : [1, {}]},"dry_run":true,"explain":true,"#,
    );
    let header = request.expect("the body is right").header;
    assert_eq!(header.dedup_key.as_deref(), Some("k"));
    assert_eq!((header.urgency, header.channels), (Some(Urgency::High), 0b11));
    assert_eq!(header.send_at, Some(1_772_341_200));
    assert!(header.explain && header.dry_run);
    assert_eq!(header.content, br#"{"a" : [1, {}]}"#);
}

#[test]
fn wrong_options_refuse_the_whole() {
    let long_key = format!("\"dedup_key\":\"{}\",", "k".repeat(129));
    let long_content = format!("\"content\":{{\"a\":\"{}\"}},", "a".repeat(64 * 1024));
    for (fields, path) in [
        (r#""dedup_key":"","#, "/dedup_key"),
        (r#""dedup_key":"\u0000","#, "/dedup_key"),
        (r#""dedup_key":null,"#, "/dedup_key"),
        (long_key.as_str(), "/dedup_key"),
        (r#""urgency":"soon","#, "/urgency"),
        (r#""urgency":2,"#, "/urgency"),
        (r#""channels":[],"#, "/channels"),
        (r#""channels":["fax"],"#, "/channels"),
        (r#""channels":["email",null],"#, "/channels"),
        (r#""channels":null,"#, "/channels"),
        (r#""send_at":"tomorrow","#, "/send_at"),
        (r#""send_at":1772341200,"#, "/send_at"),
        (r#""content":[],"#, "/content"),
        (r#""content":"x","#, "/content"),
        (long_content.as_str(), "/content"),
        (r#""content":{"a":{"b":1,"b":2}},"#, "/content/a/b"),
        (r#""dry_run":1,"#, "/dry_run"),
        (r#""explain":1,"#, "/explain"),
        (r#""campaign_id":"again","#, "/campaign_id"),
        (r#""recipients":[],"#, "/recipients"),
        (r#""recipient":{},"#, "/recipient"),
        (r#""x":[[[]]],"#, "/x"),
    ] {
        let fault = batch_with(fields).expect_err(fields);
        assert_eq!((fault.status, paths(&fault).as_slice()), (400, [path].as_slice()), "{fields}");
    }
}

#[test]
fn explanations_are_bounded() {
    let body = |count: usize| {
        let recipients = vec![r#"{"id":"c-1"}"#; count].join(",");
        format!(r#"{{"campaign_id":"a","recipients":[{recipients}],"explain":true}}"#)
    };
    assert_eq!(batch(&body(1_000)).map(|request| request.size()), Ok(1_000));
    let fault = batch(&body(1_001)).expect_err("too many to explain");
    assert_eq!((fault.status, paths(&fault).as_slice()), (400, ["/explain"].as_slice()));
}

#[test]
fn what_a_body_must_have() {
    for (body, expected) in [
        ("{}", ["/campaign_id", "/recipients"].as_slice()),
        ("[]", &[""]),
        (r#"{"campaign_id":null,"recipients":{}}"#, &["/campaign_id", "/recipients"]),
        (r#"{"campaign_id":"a","recipients":[],"recipients":[]}"#, &["/recipients"]),
        (r#"{"campaign_id":"a","recipients":[{"id":"c-1"}"#, &[""]),
        (r#"{"campaign_id":"a","recipients":[]}}"#, &[""]),
        ("", &[""]),
    ] {
        let fault = batch(body).expect_err(body);
        assert_eq!((fault.status, paths(&fault).as_slice()), (400, expected), "{body}");
    }
    let fault = parser().batch(b"{\"campaign_id\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!((fault.status, fault.detail.contains("UTF-8 at byte 16")), (400, true));
    assert_eq!(batch(r#"{"campaign_id":"a","recipients":[]}"#).map(|request| request.size()), Ok(0));
    let many: Vec<String> = (0..1000).map(|number| format!("\"x{number}\":0")).collect();
    assert_eq!(batch(&format!("{{{}}}", many.join(","))).expect_err("unknown fields").errors.len(), ERRORS_MAX);
}

#[test]
fn a_wrong_recipient_is_the_only_one_refused() {
    let body = r#"{"campaign_id":"a","recipients":[{"id":"c-1"},{"id":"c-2","device":7},7,{"id":"c-1"}]}"#;
    let request = batch(body).expect("the body is right");
    let seen: Vec<(Option<&str>, usize)> = request
        .entries()
        .map(|entry| match entry {
            Entry::Valid { id, .. } => (Some(id), 0),
            Entry::Invalid(invalid) => (invalid.id.as_deref(), invalid.errors.len()),
        })
        .collect();
    assert_eq!(seen, [(Some("c-1"), 0), (Some("c-2"), 1), (None, 1), (Some("c-1"), 0)]);
    assert_eq!(request.shards().count(), 1);
}

#[test]
fn too_many_recipients() {
    let body = |count: usize| {
        format!("{{\"campaign_id\":\"a\",\"recipients\":[{}]}}", vec!["{\"id\":\"c\"}"; count].join(","))
    };
    assert_eq!(batch(&body(RECIPIENTS_MAX)).map(|request| request.size()), Ok(RECIPIENTS_MAX));
    let fault = batch(&body(RECIPIENTS_MAX + 1)).expect_err("one too many");
    assert_eq!((fault.status, paths(&fault).as_slice()), (413, ["/recipients"].as_slice()));
}

#[test]
fn a_single_send() {
    let send = |body: &str| parser().send(body.as_bytes());
    let request = send(r#"{"campaign_id":"a","recipient":{"id":"c-1"},"urgency":"low"}"#).expect("the body is right");
    assert_eq!((request.size(), request.shards().count()), (1, 1));
    let fault = send(r#"{"campaign_id":"a","recipient":{"id":"","timezone":1}}"#).expect_err("a wrong recipient");
    assert_eq!((fault.status, paths(&fault).as_slice()), (422, ["/recipient/id", "/recipient/timezone"].as_slice()));
    let fault = send(r#"{"campaign_id":7,"recipient":[]}"#).expect_err("wrong in both");
    assert_eq!((fault.status, paths(&fault).as_slice()), (400, ["/campaign_id"].as_slice()));
    let fault = send(r#"{"campaign_id":"a","recipients":[]}"#).expect_err("a batch");
    assert_eq!((fault.status, paths(&fault).as_slice()), (400, ["/recipients", "/recipient"].as_slice()));
}

#[test]
fn a_profile() {
    let profile = |id: &str, body: &str| parser().profile(id, body.as_bytes());
    for body in [r#"{"device":"mobile"}"#, r#"{"id":"c-1","device":"mobile"}"#] {
        let request = profile("c-1", body).expect(body);
        let shard = request.shards().next().expect("one shard") as usize;
        let part = Part::decode(&request.part(shard, 5).expect("a shard")).expect("a part");
        assert_eq!((part.recipients.id(0), part.recipients.columns.given[0]), ("c-1", given::DEVICE));
    }
    for (id, body, status, path) in [
        ("c-1", r#"{"id":"c-2"}"#, 422, "/id"),
        ("c-1", r#"{"timezone":null}"#, 422, "/timezone"),
        ("c-1", "[]", 422, ""),
        ("c-1", "{", 400, ""),
        ("", "{}", 422, "/id"),
        ("a\n", "{}", 422, "/id"),
    ] {
        let fault = profile(id, body).expect_err(body);
        assert_eq!((fault.status, paths(&fault).as_slice()), (status, [path].as_slice()), "{body}");
    }
}

#[test]
fn deep_bodies_are_refused() {
    for field in ["\"x\":", "\"content\":", "\"recipients\":[{\"id\":\"a\",\"x\":", "\"urgency\":"] {
        for open in ["[", "{\"a\":"] {
            let fault = batch(&format!("{{{field}{}", open.repeat(100_000))).expect_err("too deep");
            assert!(fault.detail.contains("deeper than 64"), "{}", fault.detail);
        }
    }
}

#[test]
fn sends_that_differ_in_their_recipient_only_become_one() {
    let send = |id: &str, fields: &str| {
        let body = format!(
            "{{\"campaign_id\":\"a\",{fields}\"recipient\":{{\"id\":\"{id}\",\"contacts\":{{\"sms\":\"x\"}}}}}}"
        );
        parser().send(body.as_bytes()).expect("the body is right")
    };
    let sends = [send("c-1", ""), send("c-2", "\"dedup_key\":\"k\","), send("c-3", ""), send("c-1", "")];
    let gathered = Request::together(&sends.iter().collect::<Vec<_>>());
    let places: Vec<_> = gathered.iter().map(|(_, places)| places.clone()).collect();
    assert_eq!(places, [vec![0, 2, 3], vec![1]]);
    assert_eq!(gathered[1].0.header.dedup_key.as_deref(), Some("k"));
    for (request, places) in &gathered {
        assert_eq!(request.size(), places.len());
        for (entry, place) in request.entries().zip(places) {
            let Entry::Valid { id, shard, row } = entry else { unreachable!("all are valid") };
            let Some(Entry::Valid { id: sent, shard: home, .. }) = sends[*place].entries().next() else {
                unreachable!("all are valid")
            };
            assert_eq!((id, shard, request.left_out(shard, row)), (sent, home, 0b10));
        }
    }
    assert!(Request::together(&[]).is_empty());
}
