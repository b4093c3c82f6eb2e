//! The shard as Python sees it.
//!
//! What takes longer than a few microseconds lets other threads of Python run meanwhile: those that write down what was
//! decided before. Whoever owns a shard calls it one at a time, so nothing meets it half changed.

use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::admission::Admission;
use super::amounts::{Amount, Question, amounts, bucket_of, by_bucket};
use super::dispatch::{ClaimedOutput, EventInput, ReportInput, claimed_tuple, note_of, outcome_of, question_of};
use super::kept_answers::{BegunOutput, ClaimInput, begun_tuple, claim_of, raised};
use super::rules::RulesInput;
use super::views::{message_dict, recipient_dict, tally_dict};
use super::zones::Zones;
use crate::budget_manager::Balances;
use crate::columns::Corrupt;
use crate::engagement::{Decay, HOURS};
use crate::events::Event;
use crate::frequency::Caps;
use crate::kept_answers::Left;
use crate::part::Part;
use crate::plan::Plan;
use crate::restoring::Restoring;
use crate::roster::Suppression;
use crate::secret::Secret;
use crate::shard::{self, UnknownCampaign};
use crate::slot::{message_from_text, message_text};
use crate::words::{ALL_CHANNELS, CHANNEL_COUNT, Channel, EventType};

impl From<UnknownCampaign> for PyErr {
    fn from(unknown: UnknownCampaign) -> PyErr {
        PyKeyError::new_err(unknown.0)
    }
}

impl From<Corrupt> for PyErr {
    fn from(corrupt: Corrupt) -> PyErr {
        PyValueError::new_err(corrupt.0)
    }
}

/// A campaign's id and its counts, as `_core.pyi` describes them.
type Learned<'s, 'py> = (&'s str, Bound<'py, PyArray3<f64>>);

/// Effects, pages by number, and the first group that is still needed.
type GroupOutput<'py> = (Bound<'py, PyBytes>, Vec<(i64, Bound<'py, PyBytes>)>, u64);

/// One shard's state.
#[pyclass(module = "engine._core")]
pub struct Shard {
    inner: shard::Shard,
    default_quiet: (u16, u16),
    /// What was read of the shard as it was written down, while it is being read.
    restoring: Restoring,
}

impl Shard {
    fn campaign(&self, id: &str) -> PyResult<&crate::campaign::Campaign> {
        Ok(&self.inner.campaigns[self.inner.find_campaign(id)? as usize])
    }

    /// To change what lies between shard and ledger, which is not written down.
    fn balances_mut(&mut self, id: &str) -> PyResult<&mut Balances> {
        let index = self.inner.find_campaign(id)? as usize;
        Ok(&mut self.inner.campaigns.follow_mut(index).balances)
    }
}

#[pymethods]
impl Shard {
    #[new]
    #[allow(clippy::too_many_arguments)] // one for each setting
    fn new(
        incarnation: u64,
        quiet_start: u16,
        quiet_end: u16,
        half_life_s: f64,
        zones: &Zones,
        secret: [u8; 16],
        kept_answers_bytes_max: usize,
        charged: u8,
        success_within_s: [i64; CHANNEL_COUNT],
    ) -> Self {
        let inner = shard::Shard::new(incarnation, zones.0.clone());
        let mut inner = inner.keeping(Secret::new(secret), kept_answers_bytes_max);
        inner.decay = Decay::of_half_life(half_life_s);
        inner.charged = charged & ALL_CHANNELS;
        inner.success_within_s = success_within_s;
        Shard { inner, default_quiet: (quiet_start, quiet_end), restoring: Restoring::default() }
    }

    fn put_campaign(&mut self, rules: RulesInput) {
        self.inner.put_campaign(rules.into());
    }

    fn admit(&mut self, py: Python<'_>, part: &[u8], segments: u8) -> PyResult<Admission> {
        let part = py.detach(|| Part::decode(part))?;
        if part.header.dry_run != self.inner.rehearses() {
            return Err(PyValueError::new_err("a dry run is rehearsed, and nothing else"));
        }
        let inner = py.detach(|| self.inner.admit(&part, segments, self.default_quiet))?;
        Ok(Admission { inner, campaign_id: part.header.campaign_id, dedup_key: part.header.dedup_key })
    }

    #[allow(clippy::too_many_arguments)] // one array a column of the plan
    fn commit(
        &mut self,
        py: Python<'_>,
        admission: &mut Admission,
        hour_weights: PyReadonlyArray3<'_, f64>,
        instants: PyReadonlyArray2<'_, i64>,
        days: PyReadonlyArray2<'_, i32>,
        offsets: PyReadonlyArray2<'_, i16>,
        order: PyReadonlyArray2<'_, u8>,
        values: PyReadonlyArray2<'_, i64>,
    ) -> PyResult<Option<Vec<Amount>>> {
        let plan = Plan {
            instants: instants.as_slice()?,
            days: days.as_slice()?,
            offsets: offsets.as_slice()?,
            order: order.as_slice()?,
            values: values.as_slice()?,
            hour_weights: hour_weights.as_slice()?,
        };
        if !plan.fits(admission.inner.rows.len()) {
            return Err(PyValueError::new_err(
                "the plan's columns need a row of 7 for each recipient, and the hours weights [7, 2, 24]",
            ));
        }
        let needs = py.detach(|| self.inner.commit(&mut admission.inner, &plan));
        Ok(needs.map(|needs| amounts(needs.0)))
    }

    fn begin_rehearsal(&mut self) {
        self.inner.begin_rehearsal();
    }

    fn end_rehearsal(&mut self) {
        self.inner.end_rehearsal();
    }

    fn lay_out(&mut self, admission: &Admission, taken: Vec<Amount>) -> PyResult<()> {
        self.inner.lay_out(admission.inner.campaign, &by_bucket(taken)?);
        Ok(())
    }

    fn rehearsal_needs(&self, admission: &Admission, rest: Vec<Amount>) -> PyResult<Vec<Amount>> {
        Ok(amounts(self.inner.rehearsal_needs(admission.inner.campaign, by_bucket(rest)?)))
    }

    fn rehearsal_spent(&self, admission: &Admission) -> Vec<Amount> {
        amounts(self.inner.rehearsal_spent(admission.inner.campaign))
    }

    fn abandon(&mut self, admission: &mut Admission) {
        self.inner.abandon(&mut admission.inner);
    }

    fn grant(&mut self, campaign_id: &str, grants: Vec<(u8, i64, i64, bool, i64)>) -> PyResult<()> {
        let balances = self.balances_mut(campaign_id)?;
        let grants: Vec<_> = grants
            .into_iter()
            .map(|(kind, key, amount, last, excess)| Ok((bucket_of(kind, key)?, amount, last, excess)))
            .collect::<PyResult<_>>()?;
        balances.grant(grants.into_iter());
        Ok(())
    }

    fn release(&mut self, campaign_id: &str, keep_full: bool) -> PyResult<Vec<Amount>> {
        Ok(amounts(self.balances_mut(campaign_id)?.release(keep_full)))
    }

    fn release_all(&mut self) -> Vec<(String, Vec<Amount>)> {
        let campaigns = 0..self.inner.campaigns.len();
        let release = |index| {
            let campaign = self.inner.campaigns.follow_mut(index);
            (campaign.rules.id.clone(), amounts(campaign.balances.release(false)))
        };
        campaigns.map(release).collect()
    }

    fn take_freed(&mut self) -> Vec<String> {
        self.inner.take_freed()
    }

    fn tally<'py>(&self, py: Python<'py>, campaign_id: &str) -> PyResult<Bound<'py, PyDict>> {
        let campaign = self.campaign(campaign_id)?;
        tally_dict(py, &campaign.tally, campaign.days())
    }

    fn learned<'py>(&self, py: Python<'py>, now: i64) -> PyResult<Vec<Learned<'_, 'py>>> {
        self.inner
            .learned(now)
            .map(|(id, weights)| Ok((id, PyArray1::from_vec(py, weights).reshape([2, CHANNEL_COUNT, HOURS])?)))
            .collect()
    }

    fn merge_profiles(&mut self, part: &[u8]) -> PyResult<()> {
        self.inner.merge_profiles(&Part::decode(part)?);
        Ok(())
    }

    fn suppress(
        &mut self,
        id: &str,
        channel: Option<u8>,
        until: Option<i64>,
        reason: Option<String>,
        now: i64,
    ) -> PyResult<()> {
        let channel = channel_of(channel)?;
        let suppression = Suppression { channel, until, reason: reason.map(String::into_boxed_str) };
        self.inner.suppress(id, suppression, now);
        Ok(())
    }

    fn lift(&mut self, id: &str, channel: Option<u8>) -> PyResult<bool> {
        let channel = channel_of(channel)?;
        Ok(self.inner.roster.lift(id, channel))
    }

    fn erase(&mut self, id: &str, now: i64) -> bool {
        self.inner.erase(id, now)
    }

    fn apply_events(&mut self, events: Vec<EventInput>, now: i64) -> PyResult<(Vec<u8>, Option<Question>)> {
        let mut statuses = Vec::with_capacity(events.len());
        for (id, kind, message, channel, value, at) in &events {
            let kind = EventType::from_code(*kind).ok_or_else(|| PyValueError::new_err("no such event type"))?;
            // No message has the number 0, so a malformed id is unknown.
            let message = message_from_text(message).unwrap_or_default();
            let event = Event { id, kind, message, channel: channel_of(*channel)?, value: *value, at: *at };
            match self.inner.apply_event(&event, now, self.default_quiet) {
                Ok(status) => statuses.push(status as u8),
                Err(question) => return Ok((statuses, Some(question_of(&self.inner, question)))),
            }
        }
        Ok((statuses, None))
    }

    fn has_messages(&self, events: Vec<(String, String)>) -> Vec<bool> {
        let known =
            |(id, message): &(String, String)| self.inner.event_ids.applied(id) || self.find_message(message).is_some();
        events.iter().map(known).collect()
    }

    fn bind_events(&mut self, events: Vec<(String, Option<String>)>) -> Vec<Option<String>> {
        let ids = &mut self.inner.event_ids;
        let bind = |(id, message): &(String, Option<String>)| {
            ids.bind(id, message.as_deref().and_then(message_from_text)).map(message_text)
        };
        events.iter().map(bind).collect()
    }

    fn unbind_events(&mut self, events: Vec<(String, String)>) {
        for (id, message) in events {
            self.inner.event_ids.unbind(&id, message_from_text(&message).unwrap_or_default());
        }
    }

    fn prepare_claims(&mut self, py: Python<'_>, now: i64, deduplicates: u8, asks: bool) -> Option<Question> {
        let question = py.detach(|| self.inner.prepare_claims(now, deduplicates, asks, self.default_quiet));
        question.map(|question| question_of(&self.inner, question))
    }

    fn abandon_claims(&mut self, py: Python<'_>, now: i64, deduplicates: u8) {
        py.detach(|| self.inner.abandon_claims(now, deduplicates));
    }

    fn oldest_due(&mut self, py: Python<'_>, now: i64) -> [Option<i64>; CHANNEL_COUNT] {
        py.detach(|| self.inner.oldest_due(now))
    }

    fn claim<'py>(
        &mut self,
        py: Python<'py>,
        room: [usize; CHANNEL_COUNT],
        now: i64,
        until: i64,
        asks: bool,
    ) -> (Vec<ClaimedOutput<'py>>, Option<Question>) {
        let (claimed, question) = py.detach(|| self.inner.claim(room, now, until, asks, self.default_quiet));
        let claimed = claimed.into_iter().map(|index| claimed_tuple(py, &self.inner, index)).collect();
        (claimed, question.map(|question| question_of(&self.inner, question)))
    }

    fn start(&mut self, claims: Vec<(String, u32)>, now: i64) -> Vec<bool> {
        let start = |(message, claim): &(String, u32)| {
            self.find_message(message).is_some_and(|index| self.inner.start(index, *claim, now))
        };
        claims.iter().map(start).collect()
    }

    fn report(&mut self, reports: Vec<ReportInput>, now: i64) -> PyResult<(Vec<bool>, Option<Question>)> {
        let mut counted = Vec::with_capacity(reports.len());
        for (message, claim, outcome, later, provider_id, detail) in &reports {
            let outcome = outcome_of(*outcome, *later)?;
            let Some(index) = message_from_text(message).and_then(|number| self.inner.find_claimed(number)) else {
                counted.push(false);
                continue;
            };
            let note = note_of(provider_id, detail);
            match self.inner.report(index, *claim, &outcome, note, now, self.default_quiet) {
                Ok(counts) => counted.push(counts),
                Err(question) => return Ok((counted, Some(question_of(&self.inner, question)))),
            }
        }
        Ok((counted, None))
    }

    fn begin<'py>(
        &mut self,
        py: Python<'py>,
        claim: ClaimInput,
        alone: bool,
        size: usize,
        name: u128,
    ) -> PyResult<BegunOutput<'py>> {
        let (claim, now) = claim_of(claim);
        let now = self.inner.advance(now);
        let begun = self.inner.kept_answers.begin(&claim, alone, size, name, now);
        begun.map(|begun| begun_tuple(py, begun)).map_err(|refused| raised(py, refused))
    }

    fn leave(&mut self, claim: ClaimInput, name: u128, stays_bound: bool) {
        self.inner.kept_answers.leave(&claim_of(claim).0, name, stays_bound);
    }

    fn finish<'py>(&mut self, py: Python<'py>, claim: ClaimInput, name: u128, answer: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.kept_answers.finish(&claim_of(claim).0, name, answer))
    }

    fn kept_part<'py>(&mut self, py: Python<'py>, claim: ClaimInput) -> PyResult<Option<(Bound<'py, PyBytes>, bool)>> {
        let (claim, began_at) = claim_of(claim);
        let now = self.inner.advance(began_at);
        let kept = self.inner.kept_answers.part(&claim, began_at, now).map_err(|refused| raised(py, refused))?;
        Ok(kept.map(|(answer, whole)| (PyBytes::new(py, answer), whole)))
    }

    fn left_of_part<'py>(
        &mut self,
        py: Python<'py>,
        part: &Bound<'py, PyBytes>,
        claim: ClaimInput,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (claim, began_at) = claim_of(claim);
        let decoded = Part::decode(part.as_bytes())?;
        match self.inner.left_of_part(&decoded, &claim, began_at).map_err(|refused| raised(py, refused))? {
            Left::All => Ok(Some(part.clone())),
            Left::Rows(rows) => {
                Ok(Some(PyBytes::new(py, &Part::encode(&decoded.header, &decoded.recipients.pick(&rows)))))
            }
            Left::Nothing => Ok(None),
        }
    }

    fn keep_part<'py>(
        &mut self,
        py: Python<'py>,
        left: &[u8],
        claim: ClaimInput,
        answer: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (claim, began_at) = claim_of(claim);
        let kept = py.detach(|| self.inner.keep_part(&Part::decode(left)?, &claim, began_at, answer))?;
        Ok(PyBytes::new(py, kept))
    }

    fn keep_so_far(&mut self, left: &[u8], claim: ClaimInput, answer: &[u8]) -> PyResult<()> {
        let (claim, began_at) = claim_of(claim);
        let left = Part::decode(left)?;
        Ok(self.inner.keep_so_far(&left, &claim, began_at, answer)?)
    }

    fn cancel(&mut self, message_id: &str) -> Option<bool> {
        let index = self.find_message(message_id)?;
        Some(self.inner.cancel(index))
    }

    fn message<'py>(&self, py: Python<'py>, message_id: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.find_message(message_id).map(|index| message_dict(py, &self.inner, index)).transpose()
    }

    fn recipient<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        now: i64,
        daily_cap: u32,
        weekly_cap: u32,
        gaps_s: [i64; CHANNEL_COUNT],
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(index) = self.inner.roster.find_id(id) else { return Ok(None) };
        let caps = Caps { daily: daily_cap, weekly: weekly_cap, gaps_s };
        recipient_dict(py, &self.inner, index, now, &caps).map(Some)
    }

    fn load_page(&mut self, py: Python<'_>, number: i64, sequence: u64, page: &[u8]) -> PyResult<()> {
        Ok(py.detach(|| self.restoring.page(number, sequence, page))?)
    }

    fn load_group(&mut self, py: Python<'_>, sequence: u64, effects: &[u8]) -> PyResult<()> {
        Ok(py.detach(|| self.restoring.group(sequence, effects))?)
    }

    fn end_load(&mut self, py: Python<'_>) -> PyResult<()> {
        let empty = std::mem::take(&mut self.inner);
        let restoring = std::mem::take(&mut self.restoring);
        self.inner = py.detach(|| restoring.into_shard(empty))?;
        Ok(())
    }

    fn take_group<'py>(&mut self, py: Python<'py>, sequence: u64) -> PyResult<Option<GroupOutput<'py>>> {
        let group = py.detach(|| self.inner.take_group(sequence))?;
        Ok(group.map(|group| {
            let pages = group.pages.iter().map(|(number, page)| (*number, PyBytes::new(py, page))).collect();
            (PyBytes::new(py, &group.effects), pages, group.keep_from)
        }))
    }

    /// 32 hexadecimal digits; equal for equal states.
    fn state_hash(&self) -> String {
        format!("{:032x}", self.inner.state_hash())
    }

    /// How many recipients and messages this shard holds.
    fn sizes(&self) -> (usize, usize) {
        (self.inner.roster.len(), self.inner.messages.len())
    }
}

impl Shard {
    fn find_message(&self, message_id: &str) -> Option<u32> {
        self.inner.find_message(message_from_text(message_id)?)
    }
}

fn channel_of(code: Option<u8>) -> PyResult<Option<Channel>> {
    code.map(|code| Channel::from_code(code).ok_or_else(|| PyValueError::new_err("no such channel"))).transpose()
}
