//! The measuring, a row per second, as comma-separated values (RFC 4180): for spreadsheets and
//! data frames. What could not be measured is empty, and nothing needs quotes.

use std::fmt::Write;

use super::report::Report;

/// The names of the columns. Each ends in its unit, unless it is a number of things.
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

/// The intervals of a run as CSV, the names first.
pub fn of(report: &Report) -> String {
    let mut csv = HEADER.to_owned() + "\n";
    for interval in &report.intervals {
        let (counts, latencies) = (&interval.counts, &interval.delivery_us);
        let unix_s = report.measured_from_unix_s + interval.time_s;
        let empty_or = |us: Option<u64>| us.map_or_else(String::new, |us| us.to_string());
        let row = [
            format!("{unix_s:.3}"),
            format!("{:.3}", interval.time_s),
            format!("{:.3}", interval.length_s),
            interval.connected.to_string(),
            counts.messages.to_string(),
            counts.ticks.to_string(),
            counts.bytes.to_string(),
            latencies.count.to_string(),
            empty_or(latencies.p50),
            empty_or(latencies.p90),
            empty_or(latencies.p99),
            empty_or(latencies.max),
            counts.errors.to_string(),
            counts.gaps.to_string(),
            counts.missed.to_string(),
            counts.repeats.to_string(),
        ];
        // A string takes whatever is written.
        let _ = writeln!(csv, "{}", row.join(","));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::intervals::tests::interval;
    use crate::client::report::tests::sample;

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
}
