//! Erasure: all that is known of a person is forgotten, but nobody writes to them again where that was stopped.

use crate::shard::Shard;
use crate::words::ALL_CHANNELS;

impl Shard {
    /// Forgets a person; false if nobody is known by this id.
    ///
    /// What waits for them is cancelled. Their messages are no longer found, and stay in the campaign's counts and
    /// money alone. Answers kept for repeated requests that hold them are forgotten. What remains of them is a trace (see [`crate::roster::Roster::erase`]).
    pub fn erase(&mut self, id: &str, now: i64) -> bool {
        let Some(index) = self.roster.find_id(id) else {
            return false;
        };
        let now = self.advance(now);
        self.cancel_waiting(index, ALL_CHANNELS);
        let theirs: Vec<u32> = self.messages.from_latest(self.roster.get(index).latest_message).collect();
        for message in theirs {
            self.deliveries.forget(message);
            let message = self.messages.get_mut(message);
            message.content = None;
            self.keys.release(message.key);
        }
        self.kept_answers.forget_person(index);
        self.roster.erase(index, now);
        true
    }
}
