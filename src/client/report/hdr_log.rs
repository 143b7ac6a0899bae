//! Writes the intervals as an HdrHistogram interval log (format 1.3, V2 compressed histograms),
//! which HistogramLogProcessor, HdrHistogram's plotters and its libraries in other languages read.
//!
//! There is one line per second in µs, tagged `delivery`; with a schedule or requests there are
//! further lines, tagged `lateness` and `reply`. Tools that convert nanoseconds to milliseconds by
//! default need an option: `HistogramLogProcessor -tag delivery -outputValueUnitRatio 1000`.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::client::report::Report;
use crate::client::report::metric::Metric;

/// The intervals of a run as an interval log.
///
/// # Errors
/// When a part could not be encoded, which takes larger counts than a run can reach.
pub fn of(report: &Report) -> Result<String, String> {
    let mut log = Vec::new();
    write(&mut log, report).map_err(|error| format!("cannot encode a histogram: {error}"))?;
    String::from_utf8(log).map_err(|error| error.to_string())
}

fn write(log: &mut Vec<u8>, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let began = UNIX_EPOCH + seconds(report.measured_from_unix_s);
    let mut serializer = V2DeflateSerializer::new();
    IntervalLogWriterBuilder::new()
        .add_comment(LOGGED_WITH)
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Values are latencies in microseconds]")
        .with_start_time(began)
        .with_base_time(began)
        .begin_log_with(log, &mut serializer)?;
    log.extend_from_slice(LEGEND);
    let mut lines = IntervalLogWriterBuilder::new().begin_log_with(log, &mut serializer)?;
    for interval in &report.intervals {
        for metric in Metric::ALL {
            let Some(series) = interval.series(metric) else {
                continue;
            };
            lines.write_histogram(
                &series.latencies.latency(),
                seconds(interval.time_s),
                seconds(interval.length_s),
                Tag::new(metric.tag()),
            )?;
        }
    }
    Ok(())
}

fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s).unwrap_or_default()
}

const LOGGED_WITH: &str = concat!("[Logged with tickertape ", env!("CARGO_PKG_VERSION"), "]");

/// The column names, which tools skip but people like.
const LEGEND: &[u8] =
    b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::tests::interval;
    use crate::client::report::tests::sample;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{
        IntervalLogHistogram, IntervalLogIterator, LogEntry,
    };

    #[test]
    fn a_log_reads_back_as_it_was_written() {
        let mut report = sample();
        report.measured_from_unix_s = 1_732_270_000.25;
        report.intervals = vec![interval(0, &[100, 200, 900]), interval(1, &[])];
        let log = of(&report).unwrap();
        let header: Vec<_> = log
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        assert_eq!(
            header[1..],
            [
                "#[Histogram log format version 1.3]",
                "#[Values are latencies in microseconds]",
                "#[StartTime: 1732270000.250 (seconds since epoch)]",
                "#[BaseTime: 1732270000.250 (seconds since epoch)]",
            ]
        );
        // The Rust library cannot read the column names.
        let log = log.replace(std::str::from_utf8(LEGEND).unwrap(), "");
        let read = read(&log);
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].start_timestamp(), Duration::from_secs(1));
        assert_eq!(read[1].duration(), Duration::from_secs(1));
        assert!(
            read.iter()
                .all(|entry| entry.tag().unwrap().as_str() == "delivery")
        );
        let bytes = base64(read[0].encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!((histogram.len(), histogram.max()), (3, 900));
    }

    #[test]
    fn optional_metrics_have_their_own_tags() {
        let mut report = sample();
        let mut first = interval(0, &[100]);
        first.lateness_us = Some(interval(0, &[7]).delivery_us);
        first.reply_us = Some(interval(0, &[90]).delivery_us);
        report.intervals = vec![first];
        let log = of(&report).unwrap();
        let log = log.replace(std::str::from_utf8(LEGEND).unwrap(), "");
        let read = read(&log);
        let tags: Vec<_> = read
            .iter()
            .map(|entry| entry.tag().unwrap().as_str())
            .collect();
        assert_eq!(tags, ["delivery", "lateness", "reply"]);
        let bytes = base64(read[2].encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(histogram.max(), 90);
    }

    fn read(log: &str) -> Vec<IntervalLogHistogram<'_>> {
        IntervalLogIterator::new(log.as_bytes())
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect()
    }

    /// A base64 decoder (RFC 4648) that is good enough for a test.
    fn base64(text: &str) -> Vec<u8> {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
        for digit in text.bytes().filter(|&byte| byte != b'=') {
            bits = bits << 6 | digits.iter().position(|&known| known == digit).unwrap() as u32;
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        bytes
    }
}
