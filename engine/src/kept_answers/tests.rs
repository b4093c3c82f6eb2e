use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::answer::Decision;
use crate::campaign::Rules;
use crate::part::{Header, RecipientRow, Recipients, given};
use crate::roster::Suppression;
use crate::slot::hash_of;
use crate::words::{CHANNEL_COUNT, Channel, Reason};

const NOW: i64 = 1_000_000;
const ROOM: usize = 1 << 20;

fn claim(key: u8, request: u8) -> Claim {
    Claim { key: [key; 16], request: [request; 16] }
}

fn kept_answers(bytes_max: usize) -> KeptAnswers {
    KeptAnswers::new(Secret::new([9; 16]), bytes_max)
}

fn shard() -> Shard {
    let mut shard = Shard::new(1, Arc::default()).keeping(Secret::new([9; 16]), ROOM);
    shard.put_campaign(Rules { id: "spring".into(), ..Rules::default() });
    shard
}

fn part(ids: &[&str]) -> Part {
    let mut recipients = Recipients::default();
    for id in ids {
        let row = RecipientRow { hash: hash_of(id), given: given::CONTACTS, contacts: 1, ..RecipientRow::default() };
        let mut contacts = [None; CHANNEL_COUNT];
        contacts[0] = Some("speaking@example.com");
        recipients.push(row, id, &contacts);
    }
    Part { header: Header { now: NOW, ..Header::new("spring") }, recipients }
}

fn unavailable() -> Decision {
    Decision { status: Status::Unavailable as u8, ..Decision::default() }
}

fn encoded(rows: &[Decision], texts: &[&str]) -> Vec<u8> {
    let mut answer = Answer::default();
    rows.iter().for_each(|row| answer.push(*row));
    answer.encode(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_key_belongs_to_one_request_for_a_day() {
    let mut kept = kept_answers(ROOM);
    let first = kept.begin(&claim(1, 1), false, 0, 7, NOW).expect("there is room");
    assert_eq!((first.first, first.name, first.began_at), (true, 7, NOW));
    let again = kept.begin(&claim(1, 1), false, 0, 8, NOW + KEPT_S - 1).expect("it is the same request");
    assert_eq!((again.first, again.name, again.began_at), (false, 7, NOW));
    assert_eq!(kept.begin(&claim(1, 2), false, 0, 8, NOW + KEPT_S - 1), Err(Refused::OtherRequest));
    let after = kept.begin(&claim(1, 2), false, 0, 8, NOW + KEPT_S).expect("the key is free again");
    assert_eq!((after.first, after.name), (true, 8));
    assert_eq!(kept.bytes(), ENTRY_BYTES);
}

#[test]
fn whoever_wants_to_be_alone_waits_for_the_first_and_gets_its_answer() {
    let mut kept = kept_answers(ROOM);
    let one = claim(1, 1);
    assert!(kept.begin(&one, true, 100, 7, NOW).is_ok_and(|begun| begun.first && !begun.running));
    assert!(kept.begin(&one, true, 100, 8, NOW).is_ok_and(|begun| begun.running && begun.answer.is_none()));
    assert_eq!(kept.bytes(), ENTRY_BYTES + 100);
    assert_eq!(*kept.finish(&one, 7, b"first"), *b"first");
    assert_eq!(kept.bytes(), ENTRY_BYTES + 5);
    assert_eq!(*kept.finish(&one, 7, b"second"), *b"first");
    assert_eq!(*kept.finish(&one, 6, b"of another time"), *b"of another time");
    let answer = kept.begin(&one, true, 100, 8, NOW).map(|begun| begun.answer);
    assert_eq!(answer, Ok(Some(b"first".as_slice().into())));
    kept.leave(&one, 7, false);
    assert!(kept.begin(&one, true, 0, 8, NOW).is_ok_and(|begun| begun.answer.is_some()));
}

#[test]
fn a_key_is_free_again_once_all_have_failed_for_sure() {
    let mut kept = kept_answers(ROOM);
    let one = claim(1, 1);
    let begun = |kept: &mut KeptAnswers, request| kept.begin(&claim(1, request), false, 0, 7, NOW);
    assert!(begun(&mut kept, 1).is_ok() && begun(&mut kept, 1).is_ok());
    kept.leave(&one, 7, false);
    assert_eq!(begun(&mut kept, 2), Err(Refused::OtherRequest));
    kept.leave(&one, 6, false);
    assert_eq!(begun(&mut kept, 2), Err(Refused::OtherRequest));
    kept.leave(&one, 7, false);
    assert_eq!(kept.bytes(), 0);
    assert!(begun(&mut kept, 2).is_ok_and(|begun| begun.first));
    kept.leave(&claim(1, 2), 7, true);
    assert_eq!(begun(&mut kept, 1), Err(Refused::OtherRequest));
    assert!(kept.begin(&claim(1, 2), true, 0, 8, NOW).is_ok_and(|begun| !begun.first && !begun.running));
}

#[test]
fn without_room_a_request_is_refused_and_nothing_is_given_up() {
    let mut kept = kept_answers(3 * ENTRY_BYTES);
    assert!(kept.begin(&claim(1, 1), false, ENTRY_BYTES, 7, NOW).is_ok());
    assert_eq!(kept.begin(&claim(2, 1), false, ENTRY_BYTES, 8, NOW), Err(Refused::Full));
    assert_eq!(kept.left(&claim(1, 1), NOW, ENTRY_BYTES, false, NOW), Err(Refused::Full));
    assert_eq!(kept.left(&claim(1, 1), NOW, 1, true, NOW), Err(Refused::Full));
    assert!(kept.begin(&claim(1, 1), false, 0, 7, NOW).is_ok());
    assert!(kept.begin(&claim(2, 1), false, ENTRY_BYTES, 8, NOW + KEPT_S).is_ok_and(|begun| begun.first));
}

#[test]
fn only_what_was_unavailable_is_decided_again() {
    let mut shard = shard();
    let (one, whole) = (claim(1, 1), part(&["ana", "bo", "cy"]));
    assert_eq!(shard.left_of_part(&whole, &one, NOW), Ok(Left::All));
    let sent = |number| Decision { message_id: number, ..Decision::default() };
    shard.merge_profiles(&whole);
    let first = encoded(&[sent(1), unavailable(), unavailable()], &["\"a\"", "null", "null"]);
    assert_eq!(shard.keep_part(&whole, &one, NOW, &first), Ok(&*first));
    assert_eq!(shard.kept_answers.part(&one, NOW, NOW), Ok(Some((&*first, false))));
    assert_eq!(shard.left_of_part(&whole, &one, NOW), Ok(Left::Rows(vec![1, 2])));
    let left = Part { recipients: whole.recipients.pick(&[1, 2]), header: whole.header.clone() };
    let second = encoded(&[sent(2), unavailable()], &["\"b\"", "null"]);
    let both = encoded(&[sent(1), sent(2), unavailable()], &["\"a\"", "\"b\"", "null"]);
    assert!(shard.keep_part(&left, &one, NOW, &first).is_err());
    assert_eq!(shard.keep_part(&left, &one, NOW, &second), Ok(&*both));
    assert_eq!(shard.left_of_part(&whole, &one, NOW), Ok(Left::Rows(vec![2])));
    let left = Part { recipients: whole.recipients.pick(&[2]), header: whole.header.clone() };
    let all = encoded(&[sent(1), sent(2), sent(3)], &["\"a\"", "\"b\"", "\"c\""]);
    assert_eq!(shard.keep_part(&left, &one, NOW, &encoded(&[sent(3)], &["\"c\""])), Ok(&*all));
    assert_eq!(shard.left_of_part(&whole, &one, NOW), Ok(Left::Nothing));
    assert_eq!(shard.kept_answers.part(&one, NOW, NOW), Ok(Some((&*all, true))));
    assert_eq!(shard.left_of_part(&whole, &claim(1, 2), NOW), Err(Refused::OtherRequest));
}

#[test]
fn an_answer_without_explanations_can_be_completed_by_one_with() {
    let mut shard = shard();
    let (one, whole) = (claim(1, 1), part(&["ana", "bo"]));
    assert!(shard.keep_part(&whole, &one, NOW, &encoded(&[unavailable(), unavailable()], &[])).is_ok());
    let added = [Decision::default(), unavailable()];
    let second = encoded(&added, &["\"a\"", "null"]);
    assert_eq!(shard.keep_part(&whole, &one, NOW, &second), Ok(&*second));
}

#[test]
fn a_part_outlives_its_binding_and_counts_for_nothing_once_the_key_is_new() {
    let mut shard = shard();
    let (one, whole) = (claim(1, 1), part(&["ana"]));
    let answer = encoded(&[Decision::default()], &[]);
    assert!(shard.keep_part(&whole, &one, NOW, &answer).is_ok());
    assert_eq!(shard.kept_answers.part(&one, NOW, NOW + KEPT_S).map(|kept| kept.is_some()), Ok(true));
    // Its home died and forgot it: the same request is bound anew, and its decisions are there all the same.
    assert_eq!(shard.kept_answers.part(&one, NOW + 60, NOW + KEPT_S).map(|kept| kept.is_some()), Ok(true));
    assert_eq!(shard.kept_answers.part(&one, NOW + KEPT_S, NOW + KEPT_S), Ok(None));
    assert_eq!(shard.kept_answers.part(&claim(1, 2), NOW + KEPT_S, NOW + KEPT_S), Ok(None));
    assert!(shard.keep_part(&whole, &claim(1, 2), NOW + KEPT_S, &answer).is_ok());
    assert_eq!(shard.kept_answers.part(&one, NOW + KEPT_S, NOW + KEPT_S), Err(Refused::OtherRequest));
    assert_eq!(shard.kept_answers.part(&claim(1, 2), NOW + KEPT_S, NOW + 2 * KEPT_S + MARGIN_S), Ok(None));
    assert_eq!(shard.kept_answers.bytes(), 0);
}

#[test]
fn the_answers_of_an_erased_person_are_forgotten() {
    let mut shard = shard();
    let (hers, others) = (part(&["ana", "bo"]), part(&["bo"]));
    shard.merge_profiles(&hers);
    let answer = encoded(&[unavailable(), Decision::default()], &[]);
    assert!(shard.keep_part(&hers, &claim(1, 1), NOW, &answer).is_ok());
    assert!(shard.keep_part(&others, &claim(2, 2), NOW, &encoded(&[Decision::default()], &[])).is_ok());
    assert!(shard.erase("ana", NOW));
    assert_eq!(shard.left_of_part(&hers, &claim(1, 1), NOW), Err(Refused::Forgotten));
    assert_eq!(shard.kept_answers.part(&claim(1, 1), NOW, NOW), Err(Refused::Forgotten));
    assert_eq!(shard.left_of_part(&others, &claim(2, 2), NOW), Ok(Left::Nothing));
    shard.merge_profiles(&hers);
    assert_eq!(shard.left_of_part(&hers, &claim(1, 1), NOW), Err(Refused::Forgotten));
    assert_eq!(shard.left_of_part(&hers, &claim(1, 1), NOW + KEPT_S), Ok(Left::All));
}

#[test]
fn nothing_of_an_erased_person_can_be_read_in_the_state() {
    let mut shard = shard();
    let id = "Ana Speaking";
    let mut part = part(&[id, "bo"]);
    part.header.dedup_key = Some("offer for Ana Speaking".into());
    part.header.content = br#"{"dear":"Ana Speaking"}"#.to_vec();
    let mut admission = shard.admit(&part, 1, (0, 0)).expect("the campaign is there");
    for recipient in [0, 1] {
        let key = shard.keys.number_again(admission.key, &admission.key_text);
        admission.key = Some(key);
        let message = crate::messages::Message {
            recipient,
            previous: None,
            campaign: 0,
            key,
            state: crate::words::MessageState::Delivered,
            channel: Channel::Email,
            marks: 0,
            chain: 0,
            scheduled_at: NOW,
            offset_minutes: 0,
            day: 0,
            cost: 0,
            segments: 1,
            content: admission.content.clone().filter(|_| recipient == 0),
            attempts: Vec::new(),
        };
        let index = shard.messages.add(message);
        shard.roster.get_mut(recipient).latest_message = crate::messages::link_to(index);
    }
    let reason = Some("Speaking herself called".into());
    shard.suppress(id, Suppression { channel: None, until: None, reason }, NOW);
    shard.event_ids.bind("opened by Ana Speaking", Some(1));
    shard.event_ids.note_applied("opened by Ana Speaking");
    let key = Claim { key: *b"Ana Speaking 123", request: *b"Ana Speaking 456" };
    assert!(shard.kept_answers.begin(&key, false, 0, 7, NOW).is_ok());
    let rows = [Decision::blocked(Reason::Suppressed, None), Decision::default()];
    let texts = ["\"of Ana Speaking\"", "null"];
    assert!(shard.keep_part(&part, &key, NOW, &encoded(&rows, &texts)).is_ok());
    let hers = Part { recipients: part.recipients.pick(&[0]), header: part.header.clone() };
    assert!(shard.keep_part(&hers, &claim(2, 2), NOW, &encoded(&rows[..1], &texts[..1])).is_ok());
    let names = |shard: &Shard| {
        let state = format!("{shard:?}");
        // Bytes are shown as numbers.
        let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
        let hash = hash_of(id).to_string();
        let unkeyed = xxhash_rust::xxh3::xxh3_128(id.as_bytes()).to_string();
        [state.matches("Speaking").count(), state.matches(&bytes("Speaking")).count()]
            .into_iter()
            .chain([state.matches("speaking@").count(), state.matches(&hash).count(), state.matches(&unkeyed).count()])
            .collect::<Vec<_>>()
    };
    assert!(shard.erase("bo", NOW));
    // Id, reason and key (twice); content and explanation; address; hash.
    assert_eq!(names(&shard), [4, 2, 1, 1, 0]);
    assert!(shard.erase(id, NOW));
    assert_eq!(names(&shard), [0; 5]);
}

/// A random walk against the plainest model: a map from keys to first answers.
#[test]
fn a_repeated_request_always_gets_the_first_answer() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut kept = kept_answers(usize::MAX);
    let mut model: HashMap<u8, (u8, i64, u128)> = HashMap::new();
    let mut now = NOW;
    for step in 0..20_000_u128 {
        now += [0, 0, 1, 60, 3600, 9 * 3600][random(6) as usize];
        model.retain(|_, (_, began_at, _)| now < *began_at + KEPT_S);
        let (key, request) = (random(8) as u8, random(2) as u8);
        let begun = kept.begin(&claim(key, request), false, random(50) as usize, step, now);
        match model.get(&key) {
            Some((bound, ..)) if *bound != request => assert_eq!(begun, Err(Refused::OtherRequest)),
            Some((_, began_at, name)) => {
                let begun = begun.expect("it is the same request");
                assert_eq!((begun.first, begun.began_at, begun.name), (false, *began_at, *name));
                assert_eq!(begun.answer.as_deref(), Some(name.to_le_bytes().as_slice()));
            }
            None => {
                let begun = begun.expect("there is room");
                assert_eq!((begun.first, begun.name, &begun.answer), (true, step, &None));
                if random(4) == 0 {
                    kept.leave(&claim(key, request), step, false);
                } else {
                    kept.finish(&claim(key, request), step, &step.to_le_bytes());
                    model.insert(key, (request, now, step));
                }
            }
        }
        assert_eq!(kept.bytes(), model.len() * (ENTRY_BYTES + 16));
    }
}
