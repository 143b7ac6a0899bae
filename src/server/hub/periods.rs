//! Readers that chose their own rate (`?every=1s`): readers of one period share a beat and a timer.

use std::time::Duration;

use slab::Slab;

use super::bits::Bits;

/// The number of a period that has readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeriodId(u32);

/// All periods that have readers.
#[derive(Default)]
pub(crate) struct Periods(Slab<Period>);

struct Period {
    length: Duration,
    slots: Bits,
    readers: usize,
    beats: u32,
    /// Whether its timer has yet to be started.
    is_new: bool,
}

impl Periods {
    /// Takes the period of this length for a slot.
    pub(crate) fn take(&mut self, length: Duration, slot: usize) -> PeriodId {
        let known = self.0.iter().find(|(_, period)| period.length == length);
        let id = known.map(|(id, _)| id).unwrap_or_else(|| {
            self.0.insert(Period {
                length,
                slots: Bits::default(),
                readers: 0,
                beats: 0,
                is_new: true,
            })
        });
        let period = &mut self.0[id];
        period.slots.insert(slot);
        period.readers += 1;
        PeriodId(id as u32)
    }

    /// Gives a period back. Without readers it stays until its next beat, so that a client that
    /// comes and goes does not start a timer each time.
    pub(crate) fn give_back(&mut self, PeriodId(id): PeriodId, slot: usize) {
        let period = &mut self.0[id as usize];
        period.slots.remove(slot);
        period.readers -= 1;
    }

    /// The next period without a timer; the caller starts one.
    pub(crate) fn next_new(&mut self) -> Option<(PeriodId, Duration)> {
        let (id, period) = self.0.iter_mut().find(|(_, period)| period.is_new)?;
        period.is_new = false;
        Some((PeriodId(id as u32), period.length))
    }

    /// Beats: gives the readers of a period news. Returns false when it has no readers and is gone,
    /// so that its timer can go too.
    pub(crate) fn beat(&mut self, PeriodId(id): PeriodId, news: &mut Bits) -> bool {
        let period = &mut self.0[id as usize];
        if period.readers == 0 {
            self.0.remove(id as usize);
            return false;
        }
        period.beats = period.beats.wrapping_add(1);
        news.unite(&period.slots);
        true
    }

    /// How many beats a period has had: a reader that has seen fewer is due.
    pub(crate) fn beats(&self, PeriodId(id): PeriodId) -> u32 {
        self.0[id as usize].beats
    }

    /// Every period, with the number of its newest beat.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Duration, u32)> {
        self.0
            .iter()
            .map(|(_, period)| (period.length, period.beats))
    }

    /// The length of a period.
    pub(crate) fn length(&self, PeriodId(id): PeriodId) -> Duration {
        self.0[id as usize].length
    }
}

/// Rounds a requested period to a hundredth of its order of magnitude, so that the number of timers
/// stays small whatever clients ask for: 1,234 ms become 1,200 ms.
pub(crate) fn rounded(asked: Duration) -> Duration {
    let ms = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
    let mut step = 1;
    while ms / step >= 100 {
        step *= 10;
    }
    Duration::from_millis(ms / step * step)
}

/// The shortest and the longest period that a client can ask for.
pub(crate) const PERIOD_MIN: Duration = Duration::from_millis(10);
pub(crate) const PERIOD_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_keeps_two_digits() {
        for (asked, kept) in [
            (10, 10),
            (99, 99),
            (105, 100),
            (999, 990),
            (1_234, 1_200),
            (3_600_000, 3_600_000),
        ] {
            assert_eq!(
                rounded(Duration::from_millis(asked)),
                Duration::from_millis(kept)
            );
        }
    }

    #[test]
    fn readers_of_one_period_share_a_timer_until_the_last_leaves() {
        let (mut periods, mut news) = (Periods::default(), Bits::default());
        let second = Duration::from_secs(1);
        let id = periods.take(second, 3);
        assert_eq!(periods.take(second, 70), id);
        let other = periods.take(2 * second, 5);
        assert_eq!(periods.next_new(), Some((id, second)));
        assert_eq!(periods.next_new(), Some((other, 2 * second)));
        assert_eq!(periods.next_new(), None);
        assert!(periods.beat(id, &mut news));
        assert_eq!(news.iter().collect::<Vec<_>>(), [3, 70]);
        assert_eq!((periods.beats(id), periods.beats(other)), (1, 0));
        periods.give_back(id, 3);
        periods.give_back(id, 70);
        assert_eq!(periods.take(second, 9), id, "its timer has not fired");
        assert_eq!(periods.next_new(), None);
        periods.give_back(id, 9);
        assert!(!periods.beat(id, &mut news));
        assert_eq!(periods.length(other), 2 * second);
    }
}
