//! Effects: what a shard's requests changed, for the journal; and pages, which let the journal be cut.
//!
//! A group of effects holds a record of everything that changed since the last, whole, as it is now; so it does not
//! matter how it came to be. Pages hold the records of a fixed share of the state each. Where half of a page changed at
//! once, as after a batch, the page itself goes with the group, in the place of records, which would be written again
//! with it later. All other pages ride on a group when they may, the one that is dirty longest first, and take no more
//! bytes than the groups themselves: so nothing pauses, at any size. What a page holds needs no group up to its own;
//! groups below the oldest dirty page's are needless.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Range, RangeInclusive};

use crate::columns::Corrupt;
use crate::record::{Kind, Writer, append};
use crate::shard::Shard;

/// How many pages may ride on one group: a large one carries more, so that the journal stays short.
const PAGES_MAX: usize = 32;

/// What pages may take of each group beside what the group itself takes, so that a quiet shard gets through, too.
const PAGE_ALLOWANCE_BYTES: i64 = 4096;

/// What is not used of it is not kept beyond this, or quiet times after a busy one would see a page with each group.
const ALLOWANCE_BYTES_MAX: i64 = 1 << 20;

/// So many changes of one page at least make it worth while to look whether it should be written in their place.
const CHANGES_OF_A_PAGE_MIN: usize = 8;

/// A longer page is never written in the place of records: what it takes to find out would be lost.
const PAGE_FOR_RECORDS_BYTES_MAX: usize = 256 * 1024;

/// How many pages the things of a kind without an index are shared among, by the first byte of their digests.
const DIGEST_PAGES: u32 = 256;

/// A page: a kind, and which share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    kind: Kind,
    share: u32,
}

impl PageKey {
    /// The page that a thing with an index is on.
    pub fn of_index(kind: Kind, index: u32) -> Self {
        PageKey { kind, share: index / indices_of_page(kind) }
    }

    /// The page that a thing with a digest is on.
    pub fn of_digest(kind: Kind, digest: u128) -> Self {
        PageKey { kind, share: (digest >> 120) as u32 }
    }

    /// As files number pages.
    pub fn number(self) -> i64 {
        i64::from(self.kind as u8) << 32 | i64::from(self.share)
    }

    pub fn from_number(number: i64) -> Result<Self, Corrupt> {
        let kind = u8::try_from(number >> 32).ok().and_then(Kind::from_code);
        let kind = kind.ok_or(Corrupt("there is no such kind of page"))?;
        Ok(PageKey { kind, share: (number & i64::from(u32::MAX)) as u32 })
    }

    fn digests(self) -> RangeInclusive<u128> {
        let first = u128::from(self.share % DIGEST_PAGES) << 120;
        first..=first | (u128::MAX >> 8)
    }
}

/// How many indices a page of a kind holds: some hundred kilobytes at most.
fn indices_of_page(kind: Kind) -> u32 {
    match kind {
        Kind::Campaign => 16,
        _ => 1024,
    }
}

/// What is to be made durable in one go.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    pub effects: Vec<u8>,
    /// Pages by number, as they are after these effects.
    pub pages: Vec<(i64, Vec<u8>)>,
    /// Older groups are not needed any more.
    pub keep_from: u64,
}

/// What is known of what was written down.
#[derive(Debug, Default)]
pub struct Effects {
    /// The time that was written last.
    latest: Option<i64>,
    /// The first group that each dirty page needs.
    dirty: HashMap<PageKey, u64>,
    /// The dirty pages, in the order of those groups.
    queue: BTreeSet<(u64, PageKey)>,
    /// How many bytes pages may take now.
    allowance: i64,
}

impl Effects {
    /// A page needs the group `sequence`, and all after it.
    pub fn note(&mut self, page: PageKey, sequence: u64) {
        self.dirty.entry(page).or_insert_with(|| {
            self.queue.insert((sequence, page));
            sequence
        });
    }

    /// The page is written, and needs no group up to this one.
    fn settle(&mut self, page: PageKey) {
        if let Some(sequence) = self.dirty.remove(&page) {
            self.queue.remove(&(sequence, page));
        }
    }

    /// With the time that was written last.
    pub fn as_of(self, latest: i64) -> Self {
        Effects { latest: Some(latest), ..self }
    }

    /// The last group is always kept: the time is in it.
    fn keep_from(&self, last: u64) -> u64 {
        self.queue.first().map_or(last, |(sequence, _)| *sequence)
    }
}

impl Shard {
    /// From now on every change is kept for [`Shard::take_group`].
    pub fn watch(&mut self, effects: Effects) {
        self.roster.watch();
        self.messages.touched().watch();
        self.deliveries.touched.watch();
        self.campaigns.touched.watch();
        self.keys.touched.watch();
        self.event_ids.touched_applied.watch();
        self.event_ids.touched_bound.watch();
        self.kept_answers.bindings.touched.watch();
        self.kept_answers.parts.touched.watch();
        self.effects = Some(effects);
    }

    /// Whether anything changed since the last group.
    pub fn has_effects(&self) -> bool {
        self.effects.as_ref().is_some_and(|effects| effects.latest.unwrap_or(i64::MIN) != self.latest)
            || self.roster.is_touched()
            || self.messages.is_touched()
            || !self.deliveries.touched.is_empty()
            || !self.campaigns.touched.is_empty()
            || !self.keys.touched.is_empty()
            || !self.event_ids.touched_applied.is_empty()
            || !self.event_ids.touched_bound.is_empty()
            || !self.kept_answers.bindings.touched.is_empty()
            || !self.kept_answers.parts.touched.is_empty()
    }

    /// What changed since the last call, as the group `sequence`; None if nothing did. Not while rehearsing.
    pub fn take_group(&mut self, sequence: u64) -> Result<Option<Group>, Corrupt> {
        if self.rehearses() {
            return Err(Corrupt("a rehearsal changes nothing that could be written down"));
        }
        if !self.has_effects() {
            return Ok(None);
        }
        let Some(mut effects) = self.effects.take() else { return Ok(None) };
        let group = self.group(&mut effects, sequence);
        self.effects = Some(effects);
        group.map(Some)
    }

    fn group(&mut self, effects: &mut Effects, sequence: u64) -> Result<Group, Corrupt> {
        let (recipients, traces) = self.roster.take_touched();
        let indexed = [
            (Kind::Recipient, recipients),
            (Kind::Message, self.messages.touched().take()),
            (Kind::Delivery, self.deliveries.touched.take()),
            (Kind::Campaign, self.campaigns.touched.take()),
            (Kind::Key, self.keys.touched.take()),
        ];
        let digested = [
            (Kind::Trace, traces),
            (Kind::AppliedEvent, self.event_ids.touched_applied.take()),
            (Kind::BoundEvent, self.event_ids.touched_bound.take()),
            (Kind::Binding, self.kept_answers.bindings.touched.take()),
            (Kind::KeptPart, self.kept_answers.parts.touched.take()),
        ];
        effects.latest = Some(self.latest);
        let mut bytes = Vec::new();
        append(&(self.messages.incarnation(), self.latest), &mut bytes)?;
        let mut writer = Writer::after(bytes, self);
        let mut pages = Vec::new();
        for (kind, indices) in &indexed {
            let page_of = |index: &u32| PageKey::of_index(*kind, *index);
            for changed in indices.chunk_by(|one, other| page_of(one) == page_of(other)) {
                let page = page_of(&changed[0]);
                if let Some((image, bytes_of_changed)) = self.page_for_records(page, changed)? {
                    effects.allowance += bytes_of_changed as i64; // as the records would have
                    effects.settle(page);
                    pages.push((page.number(), image));
                    continue;
                }
                for index in changed {
                    writer.write_indexed(*kind, *index)?;
                }
                effects.note(page, sequence);
            }
        }
        for (kind, digests) in digested {
            for digest in digests {
                writer.write_digested(kind, digest)?;
                effects.note(PageKey::of_digest(kind, digest), sequence);
            }
        }
        let bytes = writer.into_bytes();
        effects.allowance += bytes.len() as i64 + PAGE_ALLOWANCE_BYTES;
        effects.allowance = effects.allowance.min(ALLOWANCE_BYTES_MAX);
        let pages_max = pages.len() + PAGES_MAX;
        while effects.allowance > 0
            && pages.len() < pages_max
            && let Some((_, page)) = effects.queue.first().copied()
        {
            effects.settle(page);
            let image = self.page(page)?;
            effects.allowance -= image.len() as i64;
            pages.push((page.number(), image));
        }
        Ok(Group { effects: bytes, pages, keep_from: effects.keep_from(sequence) })
    }

    /// A page that is to be written in the place of the records of what changed on it, and how many of its bytes they
    /// are: half at least, so that no more than twice as much is written.
    fn page_for_records(&self, page: PageKey, changed: &[u32]) -> Result<Option<(Vec<u8>, usize)>, Corrupt> {
        let indices = self
            .indices_on(page)
            .filter(|indices| changed.len() >= CHANGES_OF_A_PAGE_MIN && changed.len() * 2 >= indices.len());
        let Some(indices) = indices else { return Ok(None) };
        let mut writer = Writer::new(self);
        let mut bytes_of_changed = 0;
        let mut changed = changed.iter().peekable();
        for index in indices {
            let before = writer.bytes_so_far();
            writer.write_indexed(page.kind, index)?;
            if changed.next_if_eq(&&index).is_some() {
                bytes_of_changed += writer.bytes_so_far() - before;
            }
            if writer.bytes_so_far() > PAGE_FOR_RECORDS_BYTES_MAX {
                return Ok(None);
            }
        }
        let is_half = bytes_of_changed * 2 >= writer.bytes_so_far();
        Ok(is_half.then(|| (writer.into_bytes(), bytes_of_changed)))
    }

    /// What is on a page, where every index up to the last has a thing.
    fn indices_on(&self, page: PageKey) -> Option<Range<u32>> {
        let length = match page.kind {
            Kind::Recipient => self.roster.len(),
            Kind::Message => self.messages.len(),
            Kind::Campaign => self.campaigns.len(),
            Kind::Key => self.keys.len(),
            _ => return None,
        };
        let size = indices_of_page(page.kind);
        let first = page.share * size;
        Some(first..first.saturating_add(size).min(length as u32))
    }

    /// The records of all that is on a page.
    fn page(&self, page: PageKey) -> Result<Vec<u8>, Corrupt> {
        let mut writer = Writer::new(self);
        if let Some(indices) = self.indices_on(page) {
            for index in indices {
                writer.write_indexed(page.kind, index)?;
            }
        } else if page.kind == Kind::Delivery {
            return self.deliveries_page(page, writer);
        } else {
            for digest in self.digests(page) {
                writer.write_digested(page.kind, digest)?;
            }
        }
        Ok(writer.into_bytes())
    }

    /// Those that there are: a message has one once it was claimed.
    fn deliveries_page(&self, page: PageKey, mut writer: Writer<'_>) -> Result<Vec<u8>, Corrupt> {
        let first = page.share * indices_of_page(page.kind);
        let theirs = first..first.saturating_add(indices_of_page(page.kind));
        for (index, _) in self.deliveries.entries().range(theirs) {
            writer.write_indexed(page.kind, *index)?;
        }
        Ok(writer.into_bytes())
    }

    fn digests(&self, page: PageKey) -> Vec<u128> {
        fn of<V>(map: &BTreeMap<u128, V>, page: PageKey) -> Vec<u128> {
            map.range(page.digests()).map(|(digest, _)| *digest).collect()
        }
        match page.kind {
            Kind::Trace => of(self.roster.traces(), page),
            Kind::AppliedEvent => self.event_ids.digests().0.range(page.digests()).copied().collect(),
            Kind::BoundEvent => of(self.event_ids.digests().1, page),
            Kind::Binding => of(self.kept_answers.bindings.entries(), page),
            _ => of(self.kept_answers.parts.entries(), page),
        }
    }
}

#[cfg(test)]
mod tests;
