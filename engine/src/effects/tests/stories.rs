//! Whatever happens to a shard comes back from the disk, and what is dirty is so still.

use super::*;
use crate::campaign::Rules;
use crate::kept_answers::{Claim, KeptAnswers};
use crate::roster::Suppression;
use crate::slot::hash_of;
use crate::words::Channel;

const STORIES: u64 = 20;
const STEPS: u64 = 120;
const CAMPAIGNS: usize = 20;

/// What is drawn for one step of a story.
struct Draw {
    seed: u64,
    step: u64,
}

impl Draw {
    fn below(&self, name: &str, end: u64) -> usize {
        (hash_of(&format!("{} {} {name}", self.seed, self.step)) % end) as usize
    }

    fn campaign(&self) -> String {
        format!("c-{}", self.below("campaign", CAMPAIGNS as u64))
    }
}

fn keeping(shard: Shard) -> Shard {
    Shard { kept_answers: KeptAnswers::new(Default::default(), 1 << 28), ..shard }
}

fn send(shard: &mut Shard, draw: &Draw, ids: &[String], dedup_key: &str, is_kept: bool) {
    let mut part = part(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    part.header.campaign_id = draw.campaign();
    part.header.content = format!("content {}", draw.below("content", 3)).into_bytes();
    part.header.dedup_key = Some(dedup_key.to_owned());
    let mut admission = shard.admit(&part, 1, (0, 0)).unwrap();
    assert_eq!(shard.commit(&mut admission, &Columns::of(ids.len()).plan()), None);
    if is_kept {
        let key = draw.below("kept", 200) as u8;
        let claim = Claim { key: [key; 16], request: [key; 16] };
        _ = shard.keep_part(&part, &claim, NOW, &admission.answer.encode(&[]));
    }
}

fn keep_or_leave(shard: &mut Shard, draw: &Draw) {
    let claim = Claim { key: [draw.below("claim", 200) as u8; 16], request: [9; 16] };
    let now = NOW + draw.step as i64 * 2000;
    let Ok(begun) = shard.kept_answers.begin(&claim, false, 10, u128::from(draw.step), now) else { return };
    if draw.below("leaves", 2) == 0 {
        shard.kept_answers.leave(&claim, begun.name, false);
    } else {
        shard.kept_answers.finish(&claim, begun.name, b"answer");
    }
}

fn happen(shard: &mut Shard, draw: &Draw) {
    let first = draw.below("first", 2600);
    let ids = people(first..first + [1, 2, 9, 60, 520, 900][draw.below("size", 6)]);
    let last = (first + ids.len()).min(shard.messages.len());
    let mut messages = first.min(last) as u32..last as u32;
    match draw.below("what", 16) {
        0 => ids.iter().for_each(|id| _ = shard.erase(id, NOW)),
        1 => messages.for_each(|index| shard.messages.get_mut(index).marks ^= 1),
        2 => messages.for_each(|index| shard.deliveries.change(index, |delivery| delivery.claims += 1)),
        3 => messages.for_each(|index| _ = shard.cancel(index)),
        4 => {
            let stop = || Suppression { channel: Some(Channel::Sms), until: None, reason: Some("x".into()) };
            ids.iter().for_each(|id| shard.suppress(id, stop(), NOW));
        }
        5 => ids.iter().for_each(|id| _ = shard.roster.lift(id, Some(Channel::Sms))),
        6 => ids.iter().for_each(|id| {
            _ = shard.event_ids.bind(id, Some(7));
            shard.event_ids.note_applied(id);
        }),
        7 => ids.iter().for_each(|id| shard.event_ids.unbind(id, 7)),
        8 => {
            for (number, id) in ids.iter().enumerate() {
                let key = format!("k-{}-{number}", draw.below("key", 4));
                send(shard, draw, std::slice::from_ref(id), &key, false);
            }
        }
        9 => (0..CAMPAIGNS).for_each(|index| shard.campaigns[index].tally.blocked[0] += 1),
        10 => {
            let mut rules = shard.campaigns[0].rules.clone();
            rules.id = draw.campaign();
            rules.daily_cap = draw.below("cap", 9) as u32;
            shard.put_campaign(rules);
        }
        11 => {
            shard.begin_rehearsal();
            send(shard, draw, &ids, "rehearsed", false);
            shard.end_rehearsal();
        }
        12 => keep_or_leave(shard, draw),
        13 => _ = messages.next().map(|index| shard.messages.get_mut(index).marks ^= 2),
        _ => send(shard, draw, &ids, &format!("key-{}", draw.below("key", 3)), true),
    }
}

#[test]
fn what_was_written_comes_back_whatever_happened_and_however_much_at_once() {
    for seed in 0..STORIES {
        let (mut shard, mut disk) = (keeping(watched()), Disk::default());
        shard.watch(Effects::default());
        for number in 0..CAMPAIGNS {
            let rules = Rules { id: format!("c-{number}"), ..shard.campaigns[0].rules.clone() };
            shard.put_campaign(rules);
        }
        (0..=CAMPAIGNS).for_each(|index| shard.campaigns.touch(index));
        for step in 0..STEPS {
            let draw = Draw { seed, step };
            happen(&mut shard, &draw);
            if draw.below("writes", 3) > 0 {
                disk.write(&mut shard);
                if draw.below("dies", 5) == 0 {
                    let read = disk.read_into(keeping(Shard::new(1, Default::default()))).unwrap();
                    assert_eq!(read.state_hash(), shard.state_hash(), "seed {seed}, step {step}");
                    let (before, after) = (shard.effects.as_ref().unwrap(), read.effects.as_ref().unwrap());
                    assert_eq!(
                        (&after.dirty, &after.queue),
                        (&before.dirty, &before.queue),
                        "seed {seed}, step {step}"
                    );
                    shard = read;
                }
            }
        }
    }
}
