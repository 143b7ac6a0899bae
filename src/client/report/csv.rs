//! The measuring, a row per second, as comma-separated values (RFC 4180): for spreadsheets and
//! data frames. What could not be measured is empty, and nothing needs quotes.
//!
//! | column | meaning |
//! |---|---|
//! | `unix_s` | when the row begins, in Unix time |
//! | `time_s` | the same from the beginning of the window |
//! | `length_s` | how long the row is: a second, but for the last one |
//! | `connected` | connections open at its end |
//! | `messages`, `ticks`, `bytes` | what arrived in it; bytes are payloads |
//! | `deliveries` | ticks whose latency is known |
//! | `p50_us` … `max_us` | delivery latencies of that row alone |
//! | `errors`, `gaps`, `missed`, `repeats` | what went wrong in it, as in the report |
//! | `expected`, `late_p50_us` … | with `--expect`: ticks that should have come, and how late they were |
//! | `replies`, `reply_p50_us` … | with `--request`: replies that came, and how long they took since they were due; those after the window are in the last row |

use crate::client::report::metric::Metric;
use crate::client::report::percentiles::Percentiles;
use crate::client::report::{Interval, Report};

/// A column: its name, which ends in the unit unless the value is a count, and its value in a row.
struct Column {
    name: String,
    value: Box<Value>,
}

type Value = dyn Fn(&Report, &Interval) -> String;

/// The intervals of a run as CSV, with a header row.
pub fn of(report: &Report) -> String {
    let columns = columns(report);
    let names: Vec<_> = columns.iter().map(|column| &*column.name).collect();
    let mut csv = names.join(",") + "\n";
    for interval in &report.intervals {
        let values = columns
            .iter()
            .map(|column| (column.value)(report, interval));
        csv += &values.collect::<Vec<_>>().join(",");
        csv += "\n";
    }
    csv
}

fn columns(report: &Report) -> Vec<Column> {
    let seconds = |s: f64| format!("{s:.3}");
    let mut columns = vec![
        column("unix_s", move |report, interval| {
            seconds(report.measured_from_unix_s + interval.time_s)
        }),
        column("time_s", move |_, interval| seconds(interval.time_s)),
        column("length_s", move |_, interval| seconds(interval.length_s)),
        column("connected", |_, interval| interval.connected.to_string()),
        column("messages", |_, interval| {
            interval.counts.messages.to_string()
        }),
        column("ticks", |_, interval| interval.counts.ticks.to_string()),
        column("bytes", |_, interval| interval.counts.bytes.to_string()),
    ];
    columns.extend(metric_columns(Metric::Delivery));
    columns.extend([
        column("errors", |_, interval| interval.counts.errors.to_string()),
        column("gaps", |_, interval| interval.counts.gaps.to_string()),
        column("missed", |_, interval| interval.counts.missed.to_string()),
        column("repeats", |_, interval| interval.counts.repeats.to_string()),
    ]);
    let further = [Metric::Lateness, Metric::Reply].into_iter();
    let further = further.filter(|metric| report.measured(*metric).is_some());
    columns.extend(further.flat_map(metric_columns));
    columns
}

/// The columns of a metric: the number of samples, and their percentiles.
fn metric_columns(metric: Metric) -> [Column; 5] {
    let of = move |interval: &Interval| {
        let series = interval.series(metric);
        series.map_or_else(Percentiles::default, |series| series.percentiles)
    };
    let us = move |name: &str, pick: fn(&Percentiles) -> Option<u64>| {
        let name = format!("{}{name}", metric.csv_prefix());
        column(name, move |_, interval| {
            pick(&of(interval)).map_or_else(String::new, |us| us.to_string())
        })
    };
    [
        column(metric.count_column(), move |_, interval| {
            of(interval).count.to_string()
        }),
        us("p50_us", |percentiles| percentiles.p50),
        us("p90_us", |percentiles| percentiles.p90),
        us("p99_us", |percentiles| percentiles.p99),
        us("max_us", |percentiles| percentiles.max),
    ]
}

fn column(
    name: impl Into<String>,
    value: impl Fn(&Report, &Interval) -> String + 'static,
) -> Column {
    Column {
        name: name.into(),
        value: Box::new(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::tests::interval;
    use crate::client::report::tests::{sample, with_requests, with_schedule};

    #[test]
    fn each_row_has_a_value_for_each_column() {
        let mut report = sample();
        report.measured_from_unix_s = 1_732_270_000.25;
        report.intervals = vec![interval(0, &[100, 200, 900]), interval(1, &[])];
        let csv = of(&report);
        let rows: Vec<_> = csv.lines().collect();
        let header = "unix_s,time_s,length_s,connected,messages,ticks,bytes,deliveries,p50_us,\
                      p90_us,p99_us,max_us,errors,gaps,missed,repeats";
        assert_eq!(rows[0], header);
        assert_eq!(
            rows[1],
            "1732270000.250,0.000,1.000,2,3,3,291,3,200,900,900,900,0,0,0,0"
        );
        assert_eq!(rows[2], "1732270001.250,1.000,1.000,2,0,0,0,0,,,,,0,0,0,0");
        let columns = header.split(',').count();
        assert!(rows.iter().all(|row| row.split(',').count() == columns));
    }

    #[test]
    fn optional_metrics_have_their_own_columns() {
        let mut report = with_requests(with_schedule(sample()));
        let mut first = interval(0, &[100]);
        first.lateness_us = Some(interval(0, &[7, 8]).delivery_us);
        first.reply_us = Some(interval(0, &[90]).delivery_us);
        report.intervals = vec![first, interval(1, &[])];
        let csv = of(&report);
        let rows: Vec<_> = csv.lines().collect();
        let header = ",repeats,expected,late_p50_us,late_p90_us,late_p99_us,late_max_us,replies,\
                      reply_p50_us,reply_p90_us,reply_p99_us,reply_max_us";
        assert!(rows[0].ends_with(header), "{csv}");
        assert!(
            rows[1].ends_with(",0,0,0,0,2,7,8,8,8,1,90,90,90,90"),
            "{csv}"
        );
        assert!(rows[2].ends_with(",0,0,0,0,0,,,,,0,,,,"), "{csv}");
    }
}
