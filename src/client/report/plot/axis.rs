//! The axes of the charts: the position of marks, and their labels.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// A range with marks at round positions; maps values to pixels, linearly or logarithmically.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    marks: Vec<f64>,
}

impl Axis {
    /// Percentiles in HdrHistogram's style: each nine takes the same space. Values are [`nines`];
    /// the axis extends to `most`, which is at least 1.
    pub(super) fn percentiles(most: f64) -> Self {
        let high = most.max(1.0);
        let whole = (0..=MARKS_MAX).map(|nines| f64::from(nines as u32));
        let mut marks: Vec<_> = whole.take_while(|mark| *mark <= high).collect();
        // A mark at 50 % fits between 0 % and 90 % unless there are too many nines.
        if high <= 5.0 {
            marks.insert(1, nines(0.5));
        }
        Self {
            low: 0.0,
            high,
            is_logarithmic: false,
            marks,
        }
    }

    /// From zero to at least `most`, which is positive.
    pub(super) fn linear(most: f64) -> Self {
        let step = round_up(most / 6.0);
        let count = (most / step).ceil().max(1.0);
        Self {
            low: 0.0,
            high: step * count,
            is_logarithmic: false,
            marks: (0..=count as usize).map(|i| i as f64 * step).collect(),
        }
    }

    /// From zero to exactly `most` seconds, with marks at round numbers of `unit`.
    pub(super) fn time(most: f64, unit: Unit) -> Self {
        let mut axis = Self::linear(most / unit.size);
        axis.high = most;
        axis.marks.iter_mut().for_each(|mark| *mark *= unit.size);
        axis.marks.retain(|mark| *mark <= most);
        axis
    }

    /// From at most `least` to at least `most`, both positive, with marks at 1, 2, 5, 10, 20, 50, …
    pub(super) fn logarithmic(least: f64, most: f64) -> Self {
        let first = least.log10().floor() as i32;
        let last = most.log10().ceil() as i32;
        let all: Vec<_> = (first..=last)
            .flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(exponent)))
            .collect();
        let low = all.iter().copied().rfind(|mark| *mark <= least);
        let high = all.iter().copied().find(|mark| *mark >= most);
        let (low, high) = (low.unwrap_or(least), high.unwrap_or(most));
        let within = |mark: &f64| (low..=high).contains(mark);
        let decades = (high / low).log10();
        let is_power = |mark: &f64| mark.log10().fract().abs() < 1e-9;
        Self {
            low,
            high: high.max(low * 10.0),
            is_logarithmic: true,
            marks: (all.into_iter())
                .filter(within)
                .filter(|mark| decades <= 4.0 || is_power(mark))
                .collect(),
        }
    }
}

impl Ranged for Axis {
    type ValueType = f64;
    type FormatOption = DefaultFormatting;

    fn map(&self, value: &f64, (begin, end): (i32, i32)) -> i32 {
        let value = value.clamp(self.low, self.high);
        let share = if self.is_logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        begin + (f64::from(end - begin) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// A unit for an axis: its name, and its size in the axis's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) size: f64,
}

impl Unit {
    /// The unit in which latencies of up to `most` µs read best.
    pub(super) fn of_latency(most: f64) -> Self {
        let (name, size) = match most {
            ..5e3 => ("µs", 1.0),
            ..5e6 => ("ms", 1e3),
            _ => ("s", 1e6),
        };
        Self { name, size }
    }

    /// The unit in which one round number of µs reads best.
    pub(super) fn of_mark(us: f64) -> Self {
        // Sums of powers may miss a round number by a little.
        Self::of_latency(us * 5.000_001)
    }

    /// The unit in which times of up to `most` seconds read best.
    pub(super) fn of_time(most: f64) -> Self {
        let (name, size) = match most {
            ..600.0 => ("s", 1.0),
            ..36_000.0 => ("min", 60.0),
            _ => ("h", 3600.0),
        };
        Self { name, size }
    }
}

/// The number of nines in a share: 0.9 has one, 0.99 two, 0.5 a third of one.
pub(super) fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// The label of a mark of [`Axis::percentiles`].
pub(super) fn percent(nines: f64) -> String {
    let percent = 100.0 - 10f64.powf(2.0 - nines);
    let decimals = (nines.round() as usize).saturating_sub(2);
    format!("{percent:.decimals$} %")
}

/// A number without trailing zeros.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The next of 1, 2, 2.5, 5 and 10, times a power of ten.
fn round_up(number: f64) -> f64 {
    let power = 10f64.powf(number.log10().floor());
    let digits = [1.0, 2.0, 2.5, 5.0, 10.0];
    let digit = digits
        .into_iter()
        .find(|digit| digit * power >= number * 0.999_999);
    digit.unwrap_or(10.0) * power
}

/// More nines than any run has samples for.
const MARKS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis, label: fn(f64) -> String) -> Vec<String> {
        axis.key_points(9).into_iter().map(label).collect()
    }

    #[test]
    fn percentile_labels_are_the_usual_ones() {
        let axis = Axis::percentiles(4.3);
        let expected = ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"];
        assert_eq!(labels(&axis, percent), expected);
        assert_eq!(axis.map(&nines(0.9), (0, 430)), 100);
        assert_eq!(axis.map(&nines(1.0), (0, 430)), 430);
    }

    #[test]
    fn marks_are_at_round_places() {
        assert_eq!(
            labels(&Axis::linear(5.3), short),
            ["0", "1", "2", "3", "4", "5", "6"]
        );
        assert_eq!(
            labels(&Axis::time(0.25, Unit::of_time(0.25)), short),
            ["0", "0.05", "0.1", "0.15", "0.2", "0.25"]
        );
        let axis = Axis::logarithmic(30.0, 900.0);
        assert_eq!(
            labels(&axis, short),
            ["20", "50", "100", "200", "500", "1000"]
        );
        let axis = Axis::logarithmic(30.0, 9e6);
        assert_eq!(labels(&axis, short).len(), 6, "only powers of ten");
    }

    #[test]
    fn units_keep_numbers_short() {
        let names = [900.0, 9_000.0, 9e6].map(|most| Unit::of_latency(most).name);
        assert_eq!(names, ["µs", "ms", "s"]);
        let names = [500.0, 1_000.0, 500_000.0, 1e6].map(|us| Unit::of_mark(us).name);
        assert_eq!(names, ["µs", "ms", "ms", "s"]);
        let names = [60.0, 3_600.0, 86_400.0].map(|most| Unit::of_time(most).name);
        assert_eq!(names, ["s", "min", "h"]);
    }

    proptest! {
        #[test]
        fn an_axis_contains_its_range(least in 1f64..1e6, factor in 1f64..1e6) {
            let most = least * factor;
            let time = Axis::time(most, Unit::of_time(most));
            for axis in [Axis::linear(most), Axis::logarithmic(least, most), time] {
                prop_assert!(axis.low <= least && axis.high >= most * 0.999_999, "{:?}", axis);
                prop_assert!((1..=14).contains(&axis.marks.len()), "{:?}", axis);
                prop_assert!(axis.map(&least, (0, 1000)) <= axis.map(&most, (0, 1000)));
            }
        }
    }
}
