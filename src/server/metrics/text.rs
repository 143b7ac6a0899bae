//! The Prometheus text format, version 0.0.4: one call per family of metrics.

use std::fmt::{self, Display, Write};

use ioloop::histogram::Durations;

/// The media type of a page.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The most symbols for which series by symbol are written.
pub(super) const SYMBOL_SERIES_MAX: usize = 1000;

/// A page under construction. Names are given in full, with unit and suffix, as they appear.
pub(super) struct Text {
    out: String,
}

/// The labels of a sample, by their names.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Text {
    pub(super) fn new() -> Self {
        Self {
            out: String::with_capacity(LENGTH_USUAL),
        }
    }

    /// Returns the page.
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// Writes a number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, [([], value)]);
    }

    /// Writes numbers that go up and down, by labels.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) {
        self.family(name, help, "gauge", values);
    }

    /// Writes a number that only grows; its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.counters(name, help, [([], value)]);
    }

    /// Writes numbers that only grow, by labels; their name ends in `_total`.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, impl Display)>,
    ) {
        self.family(name, help, "counter", values);
    }

    /// Writes a distribution of durations, in seconds.
    pub(super) fn histogram<const B: usize>(
        &mut self,
        name: &str,
        help: &str,
        durations: &Durations<B>,
    ) {
        self.histograms(name, help, [([], durations)]);
    }

    /// Writes distributions of durations in seconds, by labels.
    pub(super) fn histograms<'a, const N: usize, const B: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, &'a Durations<B>)>,
    ) {
        self.head(name, help, "histogram");
        let (bucket, sum, count) = (
            format!("{name}_bucket"),
            format!("{name}_sum"),
            format!("{name}_count"),
        );
        for (labels, durations) in values {
            self.sample(&sum, &labels, durations.sum());
            self.sample(&count, &labels, durations.count());
            let mut up_to = 0;
            for (bound, among) in durations.buckets() {
                up_to += among;
                let bound = upper_bound(bound);
                let labels = labels.iter().copied().chain([("le", &*bound)]);
                write_sample(&mut self.out, &bucket, labels, up_to);
            }
        }
    }

    fn family<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, impl Display)>,
    ) {
        self.head(name, help, kind);
        for (labels, value) in values {
            self.sample(name, &labels, value);
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        debug_assert!(!help.contains(['\\', '\n']), "help that needs escapes");
        write_out(
            &mut self.out,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&'static str, &str)], value: impl Display) {
        write_sample(&mut self.out, name, labels.iter().copied(), value);
    }
}

fn write_sample<'a>(
    out: &mut String,
    name: &str,
    labels: impl Iterator<Item = (&'static str, &'a str)>,
    value: impl Display,
) {
    out.push_str(name);
    let mut has_some = false;
    for (label, text) in labels {
        out.push(if has_some { ',' } else { '{' });
        has_some = true;
        out.push_str(label);
        out.push_str("=\"");
        escape(out, text);
        out.push('"');
    }
    if has_some {
        out.push('}');
    }
    write_out(out, format_args!(" {value}\n"));
}

/// A bound as Prometheus itself writes it: `1.0` and not `1`, which would be a different series.
fn upper_bound(seconds: f64) -> String {
    if seconds.is_infinite() {
        "+Inf".to_owned()
    } else if seconds.fract() == 0.0 {
        format!("{seconds:.1}")
    } else {
        seconds.to_string()
    }
}

/// Escapes the value of a label for its quotes.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
}

fn write_out(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes every write");
}

/// About the length of a page with one symbol.
const LENGTH_USUAL: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn families_and_samples_follow_the_format() {
        let mut text = Text::new();
        text.gauge("age_seconds", "An age", 0.25);
        let odd = [([("symbol", "a\\\"b\nc"), ("by", "x")], 3_u64)];
        text.counters("ticks_total", "Ticks", odd);
        let page = "# HELP age_seconds An age\n# TYPE age_seconds gauge\nage_seconds 0.25\n\
            # HELP ticks_total Ticks\n# TYPE ticks_total counter\n\
            ticks_total{symbol=\"a\\\\\\\"b\\nc\",by=\"x\"} 3\n";
        assert_eq!(text.finish(), page);
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        const BOUNDS: [Duration; 2] = [Duration::from_micros(50), Duration::from_secs(1)];
        let mut durations = Durations::new(&BOUNDS);
        for micros in [20, 30, 500_000, 2_000_000] {
            durations.record(Duration::from_micros(micros));
        }
        let mut text = Text::new();
        text.histogram("turn_seconds", "Turns", &durations);
        let page = text.finish();
        let samples: Vec<_> = page.lines().skip(2).collect();
        let expected = [
            "turn_seconds_sum 2.50005",
            "turn_seconds_count 4",
            "turn_seconds_bucket{le=\"0.00005\"} 2",
            "turn_seconds_bucket{le=\"1.0\"} 3",
            "turn_seconds_bucket{le=\"+Inf\"} 4",
        ];
        assert_eq!(samples, expected);
    }
}
