//! Stops, and what an erasure leaves.

use super::*;

#[test]
fn a_suppression_holds_until_its_end_and_can_be_lifted() {
    let mut roster = Roster::default();
    let index = roster.find_or_add("c-1", hash_of("c-1"));
    assert_eq!(roster.find_or_add("c-1", hash_of("c-1")), index);
    assert_eq!(roster.find_id("c-2"), None);
    let recipient = roster.get_mut(index);
    recipient.profile.contacts = 0b11;
    recipient.suppress(Suppression { channel: Some(Channel::Email), until: Some(10), reason: None });
    assert_eq!((recipient.reachable(9), recipient.reachable(10)), (0b10, 0b11));
    recipient.suppress(Suppression { channel: None, until: None, reason: None });
    assert!(recipient.stopped(9));
    assert!(recipient.lift(None));
    assert!(!recipient.lift(None));
    assert!(!recipient.stopped(9));
}

#[test]
fn an_erased_person_is_a_stranger_whose_stops_hold() {
    let mut roster = Roster::default();
    let index = roster.find_or_add("c-1", hash_of("c-1"));
    let person = roster.get_mut(index);
    person.profile = Profile { contacts: 0b1111, opt_out: 0b0010, ..Profile::default() };
    let reason: Option<Box<str>> = Some("Ana asked".into());
    person.suppress(Suppression { channel: Some(Channel::Email), until: Some(10), reason: reason.clone() });
    person.suppress(Suppression { channel: Some(Channel::Whatsapp), until: Some(5), reason });
    roster.erase(index, 5);
    assert_eq!((roster.find_id("c-1"), roster.get(index).is_erased()), (None, true));
    assert!(!format!("{roster:?}").contains("c-1"));
    assert!(!roster.lift("c-2", None));
    assert!(!roster.lift("c-1", None));
    let again = roster.find_id("c-1").expect("lifting named the person");
    assert_ne!(again, index);
    let person = roster.get(again);
    assert_eq!(person.profile.contacts, 0);
    assert_eq!(
        person.suppressions(),
        [
            Suppression { channel: Some(Channel::Email), until: Some(10), reason: None },
            Suppression { channel: Some(Channel::Sms), until: None, reason: Some("opted out".into()) },
        ]
    );
    assert!(!format!("{roster:?}").contains("Ana"));
}
