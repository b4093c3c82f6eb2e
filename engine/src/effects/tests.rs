use std::collections::BTreeMap;

use super::*;
use crate::campaign::Limited;
use crate::commitment::tests::{Columns, NOW, part, shard};
use crate::deliveries::Note;
use crate::restoring::Restoring;

/// A disk: what groups left on it.
#[derive(Default)]
struct Disk {
    sequence: u64,
    pages: BTreeMap<i64, (u64, Vec<u8>)>,
    groups: BTreeMap<u64, Vec<u8>>,
    /// Bytes of all pages and groups, those that are replaced or cut included.
    written: usize,
}

impl Disk {
    fn write(&mut self, shard: &mut Shard) -> bool {
        let Some(group) = shard.take_group(self.sequence + 1).unwrap() else { return false };
        self.sequence += 1;
        self.written += group.effects.len() + group.pages.iter().map(|(_, page)| page.len()).sum::<usize>();
        self.groups.insert(self.sequence, group.effects);
        self.pages.extend(group.pages.into_iter().map(|(number, page)| (number, (self.sequence, page))));
        self.groups = self.groups.split_off(&group.keep_from);
        true
    }

    fn read(&self) -> Result<Shard, Corrupt> {
        self.read_into(Shard::new(1, Default::default()))
    }

    fn read_into(&self, empty: Shard) -> Result<Shard, Corrupt> {
        let mut restoring = Restoring::default();
        for (number, (sequence, page)) in &self.pages {
            restoring.page(*number, *sequence, page)?;
        }
        for (sequence, effects) in &self.groups {
            restoring.group(*sequence, effects)?;
        }
        restoring.into_shard(empty)
    }
}

fn watched() -> Shard {
    let mut shard = shard(Limited::default());
    shard.watch(Effects::default());
    shard.campaigns.touch(0);
    shard
}

fn decide(shard: &mut Shard, ids: &[&str], content: &[u8]) {
    decide_once(shard, ids, content, None);
}

fn decide_once(shard: &mut Shard, ids: &[&str], content: &[u8], dedup_key: Option<String>) {
    let mut part = part(ids);
    part.header.content = content.to_vec();
    part.header.dedup_key = dedup_key;
    let mut admission = shard.admit(&part, 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &Columns::of(ids.len()).plan()), None);
}

#[test]
fn nothing_is_written_of_what_is_known_already() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    decide(&mut shard, &["ana", "bo"], b"{}");
    assert!(disk.write(&mut shard));
    let first = disk.groups.values().last().unwrap().len();
    assert!(!disk.write(&mut shard));
    decide(&mut shard, &["ana", "bo"], b"{}"); // duplicates: only their number changed
    assert!(disk.write(&mut shard));
    assert!(disk.groups.values().last().unwrap().len() * 2 < first);
    assert_eq!(disk.read().unwrap().state_hash(), shard.state_hash());
}

#[test]
fn a_content_is_written_once_a_request_and_shared_again() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    let content = [b'x'; 1000];
    decide(&mut shard, &["ana", "bo", "eve"], &content);
    disk.write(&mut shard);
    assert!(disk.groups.values().all(|effects| effects.len() < 2 * content.len()));
    let read = disk.read().unwrap();
    let contents: Vec<_> = (0..3).map(|index| read.messages.get(index).content.clone().unwrap()).collect();
    assert_eq!(&*contents[0], content);
    assert!(contents.iter().all(|other| std::sync::Arc::ptr_eq(other, &contents[0])));
}

#[test]
fn the_journal_is_cut_behind_the_pages() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    for round in 0..200 {
        let ids: Vec<String> = (0..20).map(|number| format!("p-{}", round * 20 + number)).collect();
        decide(&mut shard, &ids.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        disk.write(&mut shard);
    }
    assert!(disk.groups.len() < 100, "{} groups", disk.groups.len());
    assert!(disk.pages.len() > 3);
    let mut read = disk.read().unwrap();
    assert_eq!(read.state_hash(), shard.state_hash());
    // What was dirty is so still: the one that was read goes on where the other was.
    decide(&mut read, &["p-0"], b"");
    decide(&mut shard, &["p-0"], b"");
    assert!(disk.write(&mut read));
    assert_eq!(disk.read().unwrap().state_hash(), shard.state_hash());
}

fn people(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("p-{number}")).collect()
}

fn decide_all(shard: &mut Shard, ids: &[String], dedup_key: usize) {
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    decide_once(shard, &ids, b"", Some(format!("key-{dedup_key}")));
}

/// Commits that change nothing but the time, until every page has been written.
fn settled(shard: &mut Shard, disk: &mut Disk) {
    loop {
        shard.latest += 1;
        assert!(disk.write(shard));
        if shard.effects.as_ref().is_some_and(|effects| effects.dirty.is_empty()) {
            return;
        }
    }
}

#[test]
fn what_changes_in_bulk_is_written_once_as_pages() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    decide_all(&mut shard, &people(0..3000), 0);
    disk.write(&mut shard);
    let (in_journal, in_pages) =
        (disk.groups[&1].len(), disk.pages.values().map(|(_, page)| page.len()).sum::<usize>());
    assert!(in_journal < 200, "{in_journal} bytes");
    // 2 × 3,000 things: an id and a profile of about 50 bytes, a message of about 20.
    assert!((180_000..240_000).contains(&in_pages), "{in_pages} bytes");
    assert_eq!(disk.read().unwrap().state_hash(), shard.state_hash());
}

#[test]
fn an_older_record_does_not_undo_what_a_page_has() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    decide_all(&mut shard, &people(0..1500), 0);
    disk.write(&mut shard);
    for index in [0, 1024] {
        shard.messages.get_mut(index).marks = 1; // a record of each page
    }
    disk.write(&mut shard);
    let journal = disk.groups.clone();
    (0..1024).for_each(|index| shard.messages.get_mut(index).marks = 2);
    disk.write(&mut shard);
    disk.groups.extend(journal); // as if another page, dirty for longer, needed them
    assert!(disk.groups.contains_key(&2));
    let read = disk.read().unwrap();
    assert_eq!([0, 1023, 1024].map(|index| read.messages.get(index).marks), [2, 2, 1]);
    assert_eq!(read.state_hash(), shard.state_hash());
}

#[test]
fn a_page_that_is_mostly_of_others_is_not_written_for_a_few_of_its_bytes() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    for number in 0..512_u32 {
        let content = [number.to_le_bytes(); 64].concat();
        decide(&mut shard, &[&format!("a-{number}")], &content);
    }
    decide_all(&mut shard, &people(0..512), 0);
    settled(&mut shard, &mut disk);
    for _ in 0..100 {
        (512..1024).for_each(|index| shard.messages.get_mut(index).marks ^= 1);
        disk.write(&mut shard);
    }
    // 512 records of about 20 bytes each time, and the page of 150,000 in one group of ten.
    assert!(disk.written < 100 * 3 * 15_000, "{} bytes", disk.written);
}

#[test]
fn the_journal_stays_short_however_much_changes_at_once() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    decide_all(&mut shard, &people(0..50_000), 0);
    settled(&mut shard, &mut disk);
    let state: usize = disk.pages.values().map(|(_, page)| page.len()).sum();
    for round in 0..100 {
        (round % 3..50_000).step_by(3).for_each(|index| shard.messages.get_mut(index).marks ^= 1);
        disk.write(&mut shard);
    }
    let journal: usize = disk.groups.values().map(Vec::len).sum();
    assert!(journal * 2 < state, "{journal} bytes of journal, {state} of pages");
    settled(&mut shard, &mut disk);
    assert_eq!(disk.groups.len(), 1, "nothing is dirty any more");
    disk.written = 0;
    decide(&mut shard, &["somebody"], b"");
    disk.write(&mut shard);
    assert!(disk.written < 100_000, "{} bytes for one send", disk.written);
}

#[test]
fn a_rehearsal_is_not_written() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    decide(&mut shard, &["ana"], b"");
    disk.write(&mut shard);
    shard.begin_rehearsal();
    decide(&mut shard, &["bo"], b"");
    assert!(shard.take_group(9).is_err());
    shard.end_rehearsal();
    assert!(!shard.has_effects());
}

#[test]
fn an_erased_person_is_in_no_record_of_their_own_any_more() {
    let (mut shard, mut disk) = (watched(), Disk::default());
    decide(&mut shard, &["ana", "bo"], b"{\"dear\": \"ana\"}");
    let note = Note { provider_id: Some("\"ana\"".into()), detail: Some("\"ana\" is away".into()) };
    shard.deliveries.change(0, |delivery| delivery.notes.push(note));
    disk.write(&mut shard);
    assert_eq!(disk.read().unwrap().deliveries.entries(), shard.deliveries.entries());
    assert!(shard.erase("ana", NOW));
    disk.write(&mut shard);
    let read = disk.read().unwrap();
    assert_eq!(read.state_hash(), shard.state_hash());
    assert!(read.roster.find_id("ana").is_none());
    assert!(!format!("{:?} {:?}", read.roster, read.messages).contains("\"ana\""));
    assert!(!format!("{:?}", read.deliveries).contains("ana"));
}

#[test]
fn what_is_missing_or_not_ours_is_refused() {
    for (number, bytes) in
        [((Kind::ALL.len() as i64) << 32, vec![]), (0, vec![200]), (1 << 32, vec![0, 0]), (-1, vec![])]
    {
        assert!(Restoring::default().page(number, 1, &bytes).is_err(), "{number}");
    }
    let mut restoring = Restoring::default();
    let mut bytes = Vec::new();
    append(&(1_u64, NOW), &mut bytes).unwrap();
    bytes.push(Kind::Key as u8);
    append(&(u32::MAX, "far away"), &mut bytes).unwrap();
    assert!(restoring.group(1, &bytes).is_err());
}

mod stories;
