//! Local time: segments of constant offset, zone after zone, as `kernels.zones` builds them.

/// The transition tables of every zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones {
    /// Where each segment begins, seconds since the epoch; `i64::MIN` in the first of each zone.
    begins: Vec<i64>,
    /// Seconds east of UTC.
    offsets: Vec<i32>,
    /// The segments of zone z are [starts[z], starts[z + 1]).
    starts: Vec<i32>,
}

/// UTC alone.
impl Default for Zones {
    fn default() -> Self {
        Zones { begins: vec![i64::MIN], offsets: vec![0], starts: vec![0, 1] }
    }
}

impl Zones {
    /// None unless every zone has segments, in order and from the beginning of time on.
    pub fn new(begins: Vec<i64>, offsets: Vec<i32>, starts: Vec<i32>) -> Option<Self> {
        let segments_of = |pair: &[i32]| begins.get(usize::try_from(pair[0]).ok()?..usize::try_from(pair[1]).ok()?);
        let sound = begins.len() == offsets.len()
            && starts.first() == Some(&0)
            && starts.last().is_some_and(|end| usize::try_from(*end) == Ok(begins.len()))
            && starts.windows(2).all(|pair| {
                segments_of(pair).is_some_and(|begins| begins.first() == Some(&i64::MIN) && begins.is_sorted())
            });
        sound.then_some(Zones { begins, offsets, starts })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The clock of a zone, by its code.
    pub fn clock(&self, zone: u16) -> Clock<'_> {
        let (first, end) = (self.starts[usize::from(zone)] as usize, self.starts[usize::from(zone) + 1] as usize);
        Clock { begins: &self.begins[first..end], offsets: &self.offsets[first..end] }
    }
}

/// The local time of one zone.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    begins: &'a [i64],
    offsets: &'a [i32],
}

impl Clock<'_> {
    /// Seconds east of UTC at an instant.
    pub fn offset_at(&self, instant: i64) -> i64 {
        self.span_at(instant).0
    }

    /// The first instant from the segment of `since` on at which the clock has reached a local time: its first
    /// occurrence where it exists, the end of the gap where it is skipped.
    pub fn reaches(&self, wall: i64, since: i64) -> i64 {
        let mut segment = self.begins.partition_point(|begin| *begin <= since) - 1;
        while self.begins.get(segment + 1).is_some_and(|next| wall >= next + i64::from(self.offsets[segment])) {
            segment += 1;
        }
        self.begins[segment].max(wall - i64::from(self.offsets[segment]))
    }

    /// The offset at an instant, and when the next one begins.
    pub fn span_at(&self, instant: i64) -> (i64, i64) {
        let next = self.begins.partition_point(|begin| *begin <= instant);
        (i64::from(self.offsets[next - 1]), self.begins.get(next).copied().unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_from_its_first_second_on() {
        let zones = Zones::new(vec![i64::MIN, i64::MIN, 100], vec![0, 3600, 7200], vec![0, 1, 3]).unwrap();
        assert_eq!(zones.count(), 2);
        assert_eq!(zones.clock(0).span_at(5), (0, i64::MAX));
        assert_eq!(zones.clock(1).span_at(99), (3600, 100));
        assert_eq!(zones.clock(1).span_at(100), (7200, i64::MAX));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let begins = vec![i64::MIN, 100];
        for (offsets, starts) in [
            (vec![0], vec![0, 2]),
            (vec![0, 1], vec![]),
            (vec![0, 1], vec![0, 1]),
            (vec![0, 1], vec![0, 1, 2]),
            (vec![0, 1], vec![0, -1, 2]),
            (vec![0, 1], vec![0, 0, 2]),
        ] {
            assert_eq!(Zones::new(begins.clone(), offsets, starts), None);
        }
    }
}
