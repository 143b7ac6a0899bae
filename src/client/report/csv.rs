//! The measuring, a row per second, as comma-separated values (RFC 4180): for spreadsheets and
//! data frames. What could not be measured is empty, and nothing needs quotes.

use crate::client::measure::intervals::{Interval, Latencies};
use crate::client::report::Report;

/// The names of the columns that every run has. Each ends in its unit, unless it is a number of
/// things.
///
/// | column | what it is |
/// |---|---|
/// | `unix_s` | when the row begins, in Unix time |
/// | `time_s` | the same from the beginning of the window |
/// | `length_s` | how long the row is: a second, but for the last one |
/// | `connected` | connections open at its end |
/// | `messages`, `ticks`, `bytes` | what arrived in it; bytes are payloads |
/// | `deliveries` | ticks whose latency is known |
/// | `p50_us` … `max_us` | delivery latencies of that row alone |
/// | `errors`, `gaps`, `missed`, `repeats` | what went wrong in it, as in the report |
pub const HEADER: &str = "unix_s,time_s,length_s,connected,messages,ticks,bytes,deliveries,\
    p50_us,p90_us,p99_us,max_us,errors,gaps,missed,repeats";

/// What a run with a schedule (`--expect`) has beside those: ticks that should have come, and how
/// late they were.
pub const LATENESS_HEADER: &str = ",expected,late_p50_us,late_p90_us,late_p99_us,late_max_us";

/// What a run with requests (`--request`) has beside those: replies that came, and how long they
/// took since they were due. Those after the window are in the last row.
pub const REPLY_HEADER: &str = ",replies,reply_p50_us,reply_p90_us,reply_p99_us,reply_max_us";

/// The intervals of a run as CSV, the names first.
pub fn of(report: &Report) -> String {
    let (schedule, requests) = (report.schedule.is_some(), report.requests.is_some());
    let mut csv = HEADER.to_owned();
    csv += if schedule { LATENESS_HEADER } else { "" };
    csv += if requests { REPLY_HEADER } else { "" };
    for interval in &report.intervals {
        let mut row = columns(interval, report.measured_from_unix_s);
        for (is_on, series) in [
            (schedule, &interval.lateness_us),
            (requests, &interval.reply_us),
        ] {
            if is_on {
                let latencies = series.as_ref().map(|series| series.latencies);
                row.extend(latency_columns(&latencies.unwrap_or_default()));
            }
        }
        csv += "\n";
        csv += &row.join(",");
    }
    csv + "\n"
}

fn columns(interval: &Interval, measured_from_unix_s: f64) -> Vec<String> {
    let counts = &interval.counts;
    let mut columns = vec![
        format!("{:.3}", measured_from_unix_s + interval.time_s),
        format!("{:.3}", interval.time_s),
        format!("{:.3}", interval.length_s),
        interval.connected.to_string(),
        counts.messages.to_string(),
        counts.ticks.to_string(),
        counts.bytes.to_string(),
    ];
    columns.extend(latency_columns(&interval.delivery_us.latencies));
    columns.extend([
        counts.errors.to_string(),
        counts.gaps.to_string(),
        counts.missed.to_string(),
        counts.repeats.to_string(),
    ]);
    columns
}

fn latency_columns(latencies: &Latencies) -> [String; 5] {
    let empty_or = |us: Option<u64>| us.map_or_else(String::new, |us| us.to_string());
    [
        latencies.count.to_string(),
        empty_or(latencies.p50),
        empty_or(latencies.p90),
        empty_or(latencies.p99),
        empty_or(latencies.max),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::measure::intervals::tests::interval;
    use crate::client::report::tests::{sample, with_requests, with_schedule};

    #[test]
    fn a_row_has_a_value_for_each_name() {
        let mut report = sample();
        report.measured_from_unix_s = 1_732_270_000.25;
        report.intervals = vec![interval(0, &[100, 200, 900]), interval(1, &[])];
        let csv = of(&report);
        let rows: Vec<_> = csv.lines().collect();
        assert_eq!(rows[0], HEADER);
        assert_eq!(
            rows[1],
            "1732270000.250,0.000,1.000,2,3,3,291,3,200,900,900,900,0,0,0,0"
        );
        assert_eq!(rows[2], "1732270001.250,1.000,1.000,2,0,0,0,0,,,,,0,0,0,0");
        let columns = HEADER.split(',').count();
        assert!(rows.iter().all(|row| row.split(',').count() == columns));
    }

    #[test]
    fn what_was_asked_for_has_columns_of_its_own() {
        let mut report = with_requests(with_schedule(sample()));
        let mut first = interval(0, &[100]);
        first.lateness_us = Some(interval(0, &[7, 8]).delivery_us);
        first.reply_us = Some(interval(0, &[90]).delivery_us);
        report.intervals = vec![first, interval(1, &[])];
        let csv = of(&report);
        let rows: Vec<_> = csv.lines().collect();
        assert_eq!(rows[0], format!("{HEADER}{LATENESS_HEADER}{REPLY_HEADER}"));
        assert!(
            rows[1].ends_with(",0,0,0,0,2,7,8,8,8,1,90,90,90,90"),
            "{csv}"
        );
        assert!(rows[2].ends_with(",0,0,0,0,0,,,,,0,,,,"), "{csv}");
    }
}
