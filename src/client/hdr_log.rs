//! The measuring as an HdrHistogram interval log (format 1.3, V2 compressed histograms), which
//! HistogramLogProcessor, HdrHistogram's plotters and its libraries in other languages read.
//!
//! One line per second, tagged `delivery`, in µs. Readers that print milliseconds from nanoseconds by
//! default have to be told so: `HistogramLogProcessor -tag delivery -outputValueUnitRatio 1000`.

use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::report::Report;

/// The intervals of a run as a log.
///
/// # Errors
/// Says which part could not be encoded. It takes counts beyond what a run can reach.
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
        .add_comment("[Values are delivery latencies in microseconds]")
        .with_start_time(began)
        .with_base_time(began)
        .begin_log_with(log, &mut serializer)?;
    log.extend_from_slice(LEGEND);
    let mut lines = IntervalLogWriterBuilder::new().begin_log_with(log, &mut serializer)?;
    for interval in &report.intervals {
        lines.write_histogram(
            &interval.histogram.histogram(),
            seconds(interval.time_s),
            seconds(interval.length_s),
            Tag::new("delivery"),
        )?;
    }
    Ok(())
}

fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s).unwrap_or_default()
}

const LOGGED_WITH: &str = concat!("[Logged with tickertape ", env!("CARGO_PKG_VERSION"), "]");

/// The names of the columns, which readers skip but people like.
const LEGEND: &[u8] =
    b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::intervals::tests::interval;
    use crate::client::report::tests::sample;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn what_is_written_is_read_back() {
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
                "#[Values are delivery latencies in microseconds]",
                "#[StartTime: 1732270000.250 (seconds since epoch)]",
                "#[BaseTime: 1732270000.250 (seconds since epoch)]",
            ]
        );
        // Rust's reader knows no legend.
        let log = log.replace(std::str::from_utf8(LEGEND).unwrap(), "");
        let read: Vec<_> = IntervalLogIterator::new(log.as_bytes())
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].start_timestamp(), Duration::from_secs(1));
        assert_eq!(read[1].duration(), Duration::from_secs(1));
        assert!(
            read.iter()
                .all(|it| it.tag().unwrap().as_str() == "delivery")
        );
        let bytes = base64(read[0].encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!((histogram.len(), histogram.max()), (3, 900));
    }

    /// RFC 4648, as far as a test needs it.
    fn base64(text: &str) -> Vec<u8> {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
        for digit in text.bytes().filter(|&byte| byte != b'=') {
            bits = bits << 6 | digits.iter().position(|&it| it == digit).unwrap() as u32;
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        bytes
    }
}
