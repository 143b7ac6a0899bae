//! The window, interval by interval: counts, and latencies.
//!
//! The counts of a run only grow, so an interval is the difference between its end and its
//! beginning (`recorder.rs`). That is computed once a second and costs arriving ticks nothing.
//! Intervals of several processes can be added: their places are on one grid, and each carries its
//! whole histograms, not only percentiles.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::client::measure::counters::counters;
use crate::client::measure::latency::Compact;

/// The intervals of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// When the window began, in Unix time; zero if it never did.
    pub began_unix_s: f64,
    /// The intervals in order.
    pub list: Vec<Interval>,
}

/// What arrived in one interval of the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its position in the run. The intervals of several processes are added position by position.
    pub place: u64,
    /// When it began, counted from the start of the window.
    pub time_s: f64,
    /// Its length: a second, less at the end of the window, more if the client was late.
    pub length_s: f64,
    /// Connections open at its end.
    pub connected: usize,
    /// The counts.
    pub counts: Counts,
    /// Delivery latencies of the ticks that arrived in it.
    pub delivery: Compact,
    /// The lateness of the ticks that were due in it; `None` without a schedule.
    pub lateness: Option<Compact>,
    /// Latencies of the replies that arrived in it, from the due time; `None` without requests.
    pub reply: Option<Compact>,
}

counters! {
    /// The counts of an interval, or the counts up to its beginning.
    pub struct Counts {
        /// Messages of any kind.
        messages,
        /// Ticks in these messages.
        ticks,
        /// The payload bytes of all messages.
        bytes,
        /// Connection errors, including those while joining.
        errors,
        /// Places where ticks are missing.
        gaps,
        /// The ticks missing there.
        missed,
        /// Ticks that arrived again, or after a newer one.
        repeats,
    }
}

impl AddAssign<&Self> for Interval {
    fn add_assign(&mut self, other: &Self) {
        let end_s = (self.time_s + self.length_s).max(other.time_s + other.length_s);
        self.time_s = self.time_s.min(other.time_s);
        self.length_s = end_s - self.time_s;
        self.connected += other.connected;
        self.counts += other.counts;
        self.delivery += &other.delivery;
        add(&mut self.lateness, other.lateness.as_ref());
        add(&mut self.reply, other.reply.as_ref());
    }
}

impl AddAssign for Intervals {
    fn add_assign(&mut self, other: Self) {
        if self.list.is_empty() {
            self.began_unix_s = other.began_unix_s;
        }
        let mut merged: BTreeMap<u64, Interval> = BTreeMap::new();
        for interval in self.list.drain(..).chain(other.list) {
            match merged.get_mut(&interval.place) {
                Some(sum) => *sum += &interval,
                None => drop(merged.insert(interval.place, interval)),
            }
        }
        self.list = merged.into_values().collect();
    }
}

/// Adds a distribution that only some runs have.
pub(super) fn add(sum: &mut Option<Compact>, other: Option<&Compact>) {
    match (sum, other) {
        (Some(sum), Some(other)) => *sum += other,
        (sum, other) => *sum = sum.take().or_else(|| other.cloned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::client::measure::latency::Latency;

    /// An interval of one second at `place` with these latencies in µs.
    pub(crate) fn interval(place: u64, latencies: &[u64]) -> Interval {
        let mut latency = Latency::default();
        latencies.iter().for_each(|&us| latency.record(us));
        let count = latencies.len() as u64;
        Interval {
            time_s: place as f64,
            length_s: 1.0,
            connected: 2,
            counts: Counts {
                messages: count,
                ticks: count,
                bytes: count * 97,
                ..Counts::default()
            },
            delivery: Compact::of(&latency),
            lateness: None,
            reply: None,
            place,
        }
    }

    fn sum(processes: Vec<Vec<Interval>>) -> Vec<Interval> {
        let mut sum = Intervals::default();
        for list in processes {
            let began_unix_s = 1.0;
            sum += Intervals { began_unix_s, list };
        }
        sum.list
    }

    #[test]
    fn intervals_of_several_processes_add_up_place_by_place() {
        let one = vec![interval(0, &[100]), interval(1, &[5_000])];
        let other = vec![interval(1, &[100, 200]), interval(2, &[])];
        let sum = sum(vec![one, other]);
        assert_eq!(sum.len(), 3);
        let middle = &sum[1];
        assert_eq!((middle.connected, middle.counts.ticks), (4, 3));
        let delivery = middle.delivery.latency();
        assert_eq!(
            (delivery.value_at_quantile(0.5), delivery.max()),
            (200, 5_003)
        );
        assert_eq!((middle.time_s, middle.length_s), (1.0, 1.0));
        assert_eq!(sum[0], interval(0, &[100]));
        assert_eq!(sum[2], interval(2, &[]));
    }

    #[test]
    fn optional_latencies_add_up() {
        let mut one = interval(0, &[]);
        one.reply = Some(interval(0, &[7, 8]).delivery);
        let mut other = interval(0, &[]);
        other.reply = Some(interval(0, &[9]).delivery);
        let sum = sum(vec![vec![one], vec![other], vec![interval(0, &[])]]);
        let reply = sum[0].reply.as_ref().unwrap().latency();
        assert_eq!((reply.len(), reply.max()), (3, 9));
        assert_eq!(sum[0].lateness, None);
    }
}
