//! The optional rows of a report's text, and the rows about lost ticks.

use crate::client::report::Report;
use crate::client::report::metric::Metric;
use crate::client::report::table::{Table, fixed, time};

/// Deliveries with a negative latency.
pub(super) fn below_zero(table: &mut Table, report: &Report) {
    let error_us = report.sync.as_ref().and_then(|sync| sync.error_us);
    if report.counters.clamped_to_zero > 0 {
        let what = format!("of them, by no more than {} µs", error_us.unwrap_or(0));
        table.row(
            "  below 0, count as 0",
            report.counters.clamped_to_zero,
            &what,
        );
    }
    if report.counters.negative_latencies > 0 {
        let what = "ticks from the future, not counted";
        table.row("  below 0", report.counters.negative_latencies, what);
    }
}

/// The comparison of the clocks.
pub(super) fn clocks(table: &mut Table, report: &Report) {
    let Some(sync) = &report.sync else { return };
    let label = "Server's clock ahead";
    let (Some(offset), Some(error)) = (sync.offset_us, sync.error_us) else {
        return table.row(label, "-", "µs: no ping was answered");
    };
    let error = format!("µs ± {error} by {} pings, corrected", sync.answered);
    table.row(label, format!("{offset:+}"), &error);
    let drift_error = format!("µs ± {} from first to last", sync.drift_error_us);
    table.row("  drift", format!("{:+}", sync.drift_us), &drift_error);
}

/// The lateness of ticks against their schedule.
pub(super) fn schedule(table: &mut Table, report: &Report) {
    let Some(schedule) = &report.schedule else {
        return;
    };
    let ticks = format!("ticks due every {}", time(schedule.expect_s));
    let label = format!("{}, mean", Metric::Lateness.title());
    table.percentiles(&label, &ticks, &schedule.lateness_us);
    table.row("  never came", schedule.skipped, "of those");
    let interval = fixed(schedule.interval_s_mean.map(|mean| mean * 1e3), 3);
    let what = "ms from tick to tick, measured";
    table.row("  interval, mean", interval, what);
}

/// The requests and their replies.
pub(super) fn requests(table: &mut Table, report: &Report) {
    let Some(requests) = &report.requests else {
        return;
    };
    let rate = format!("sent, {} per second and client", requests.rate_per_s);
    table.row("Requests", requests.counters.sent, &rate);
    table.row("  replies", requests.counters.replies, "");
    for (label, count, what) in [
        (
            "  failed",
            requests.counters.failed,
            "of them report an error",
        ),
        (
            "  late",
            requests.counters.late,
            "of them arrived after the window",
        ),
        ("  missing", requests.counters.missing, "never came"),
        (
            "  held back",
            requests.counters.unsent,
            "requests that were due, never sent",
        ),
        (
            "  unexpected",
            requests.counters.unexpected,
            "replies to no open request",
        ),
    ] {
        if count > 0 {
            table.row(label, count, what);
        }
    }
    let label = format!("{}, mean", Metric::Reply.title());
    table.percentiles(&label, "since they were due", &requests.latency_us);
    let uncorrected = &requests.uncorrected_us;
    table.percentiles("  uncorrected, mean", "since they were sent", uncorrected);
}

/// Counts from the numbers of ticks: in total, and for the symbols that lost most.
pub(super) fn losses(table: &mut Table, report: &Report) {
    let losses = &report.losses;
    if losses.numbered == 0 && report.counters.ticks > 0 {
        return table.row("Gaps", "-", "no tick has a number (see --seq-field)");
    }
    gaps(table, report);
    table.row("Repeats", losses.repeats, "ticks that arrived again");
    table.row("Reordered", losses.reordered, "ticks behind a newer one");
    if losses.restarts > 0 {
        table.row("Restarts", losses.restarts, "of the numbers");
    }
    // With a single symbol the total says it all.
    let told = if report.symbols.len() > 1 { WORST } else { 0 };
    for symbol in report.worst_symbols.iter().take(told) {
        let label: String = symbol.symbol.chars().take(NAME_MAX).collect();
        let losses = &symbol.losses;
        let (missed, repeats, reordered) = (losses.missed, losses.repeats, losses.reordered);
        let what = format!("gaps, {missed} missed, {repeats} repeated, {reordered} reordered");
        table.row(&format!("  {label}"), losses.gaps, &what);
    }
}

fn gaps(table: &mut Table, report: &Report) {
    let losses = &report.losses;
    if let Some(every_s) = report.every_s {
        let conflated = format!("conflated by --every {}", time(every_s));
        table.row("Gaps", "-", &conflated);
        let left_out = "ticks, newer ones of their symbols came";
        return table.row("  left out", losses.conflated, left_out);
    }
    let symbols = match report.symbols_with_gaps {
        0 => String::new(),
        1 => ", of one symbol".to_owned(),
        more => format!(", of {more} symbols"),
    };
    let missed = format!("with {} ticks missed{symbols}", losses.missed);
    table.row("Gaps", losses.gaps, &missed);
}

/// The lists of symbols that clients drew.
pub(super) fn watching(table: &mut Table, report: &Report) {
    let Some(watching) = &report.watch else {
        return;
    };
    let zipf = watching.zipf.map(|exponent| format!(", Zipf {exponent}"));
    let zipf = zipf.unwrap_or_default();
    let drawn = format!("of {}, seed {}{zipf}", watching.of, watching.seed);
    table.row("  symbols of each", watching.count, &drawn);
}

/// Slow readers.
pub(super) fn slow_clients(table: &mut Table, report: &Report) {
    let Some(slow) = &report.slow else { return };
    let asked = format!("connected of {}, reported separately", slow.asked);
    table.row("Slow clients", slow.counters.joined, &asked);
    let missed = format!("read, {} left out by the server", slow.counters.missed);
    table.row("  ticks", slow.counters.ticks, &missed);
    table.kinds(&slow.ended);
}

/// Connections that were opened again.
pub(super) fn reconnects(table: &mut Table, report: &Report) {
    let Some(reconnects) = &report.reconnects else {
        return;
    };
    let per_s = format!("left on purpose, {}/s", fixed(reconnects.churned_per_s, 2));
    table.row("Reconnects", reconnects.counters.churned, &per_s);
    table.row("  lost connections", reconnects.counters.lost, "");
    let failed = format!("of them, {} attempts failed", reconnects.counters.failed);
    table.row("  came back", reconnects.counters.returned, &failed);
    let response = &reconnects.response_us;
    if response.count > 0 {
        let unit = format!("ms, p99 {}, max {}", ms(response.p99), ms(response.max));
        table.row("  first tick, median", ms(response.p50), &unit);
    }
    if reconnects.counters.lost > 0 {
        let unit = format!("ms, max {}", ms(reconnects.away_us.max));
        table.row("  away, median", ms(reconnects.away_us.p50), &unit);
        let resumed = format!(
            "ticks while away, {} more came later",
            reconnects.counters.resumed
        );
        table.row("  missed", reconnects.counters.missed, &resumed);
    }
    if reconnects.counters.restarts > 0 {
        let unit = "times: the server's numbers began again";
        table.row("  unknown", reconnects.counters.restarts, unit);
    }
}

fn ms(us: Option<u64>) -> String {
    fixed(us.map(|us| us as f64 / 1e3), 1)
}

/// How many of the worst symbols are shown.
const WORST: usize = 3;

/// How much of a symbol's name fits into its column.
const NAME_MAX: usize = 21;

#[cfg(test)]
mod tests {
    use crate::client::error_kind::ErrorKind;
    use crate::client::measure::clock_sync::ClockOffset;
    use crate::client::measure::losses::{Losses, SymbolLosses};
    use crate::client::measure::measurement::{ReturnCounters, SlowCounters, Watching};
    use crate::client::report::percentiles::Percentiles;
    use crate::client::report::tests::{sample, with_requests, with_schedule};
    use crate::client::report::{Reconnects, SlowClients};

    fn losses(symbol: &str, missed: u64) -> SymbolLosses {
        SymbolLosses {
            symbol: symbol.to_owned(),
            losses: Losses {
                numbered: 100,
                gaps: missed.min(2),
                missed,
                reordered: 1,
                ..Losses::default()
            },
        }
    }

    #[test]
    fn optional_sections_fit_80_columns() {
        let mut report = with_requests(with_schedule(sample()));
        report.sync = Some(ClockOffset {
            answered: 76,
            offset_us: Some(-123_456),
            error_us: Some(57),
            drift_us: 12,
            drift_error_us: 93,
            uncorrected: 0,
        });
        report.symbols = vec![losses("A", 0), losses("B/USDT", 17)];
        report.worst_symbols = [("B/USDT", 17), ("D", 6), ("C", 5), ("E", 4)]
            .map(|(symbol, missed)| losses(symbol, missed))
            .into();
        report.symbols_with_gaps = 4;
        let text = report.to_string();
        for rows in [
            "  Server's clock ahead         -123456 µs ± 57 by 76 pings, corrected\n    \
             drift                          +12 µs ± 93 from first to last\n",
            "  Schedule lateness, mean         1234 µs, of 600 ticks due every 250ms\n",
            "    never came                       8 of those\n    \
             interval, mean             250.040 ms from tick to tick, measured\n",
            "  Requests                         600 sent, 10 per second and client\n    \
             replies                        599\n    \
             failed                           2 of them report an error\n    \
             missing                          1 never came\n",
            "  Gaps                               3 with 17 ticks missed, of 4 symbols\n",
            "  Reply latency, mean             1234 µs, of 600 since they were due\n",
            "    uncorrected, mean             1234 µs, of 600 since they were sent\n",
            "  Reordered                          0 ticks behind a newer one\n    \
             B/USDT                           2 gaps, 17 missed, 0 repeated, 1 reordered\n    \
             D                                2 gaps, 6 missed, 0 repeated, 1 reordered\n    \
             C                                2 gaps, 5 missed, 0 repeated, 1 reordered\n  \
             Errors",
        ] {
            assert!(text.contains(rows), "{rows}\n{text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    #[test]
    fn missing_numbers_and_stamps_are_shown_as_missing() {
        let mut report = sample();
        report.losses.numbered = 0;
        report.counters.stamped = 0;
        let text = report.to_string();
        let gaps =
            "  Gaps                               - no tick has a number (see --seq-field)\n";
        assert!(text.contains(gaps), "{text}");
        assert!(
            !text.contains("Repeats") && !text.contains("Delivery"),
            "{text}"
        );
        report.losses.numbered = 1;
        report.losses.restarts = 2;
        assert!(
            report
                .to_string()
                .contains("  Restarts                           2 of the numbers\n")
        );
    }

    #[test]
    fn options_sent_to_the_server_are_shown() {
        let mut report = sample();
        report.watch = Some(Watching {
            count: 20,
            of: 20_000,
            seed: 999_999_999,
            zipf: Some(1.25),
        });
        report.every_s = Some(0.25);
        report.losses.conflated = 1234;
        (report.counters.list_messages, report.counters.ticks) = (59_000, 590_000);
        (report.ticks_per_s, report.counters.other_messages) = (Some(9_833.3), 2);
        let text = report.to_string();
        for rows in [
            "asked for\n    symbols of each                 20 of 20000, seed 999999999, Zipf 1.25\n",
            "  Total messages                 59881 of which 59879 have ticks\n    \
             ticks                       590000 9833.30 ticks/s, 59000 messages are lists\n",
            "  Gaps                               - conflated by --every 250ms\n    \
             left out                      1234 ticks, newer ones of their symbols came\n",
        ] {
            assert!(text.contains(rows), "{rows}\n{text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    #[test]
    fn clamped_and_excluded_counts_are_shown() {
        let mut report = sample();
        assert!(!report.to_string().contains("below 0"));
        report.sync = Some(ClockOffset {
            answered: 76,
            offset_us: Some(0),
            error_us: Some(57),
            drift_us: 0,
            drift_error_us: 0,
            uncorrected: 0,
        });
        (
            report.counters.clamped_to_zero,
            report.counters.negative_latencies,
            report.counters.answers,
        ) = (12, 3, 9);
        let text = report.to_string();
        for rows in [
            "    max                         12.345 ms\n    \
             below 0, count as 0             12 of them, by no more than 57 µs\n    \
             below 0                          3 ticks from the future, not counted\n",
            "are ticks\n    answers                          9 replies and pongs, counted separately\n",
        ] {
            assert!(text.contains(rows), "{rows}\n{text}");
        }
    }

    #[test]
    fn slow_clients_and_reconnects_have_rows() {
        let spread = Percentiles {
            count: 9,
            mean: Some(48_123.4),
            p50: Some(47_400),
            p99: Some(115_600),
            max: Some(120_100),
            ..Percentiles::default()
        };
        let mut report = sample();
        report.slow = Some(SlowClients {
            asked: 20,
            counters: SlowCounters {
                joined: 19,
                ticks: 480,
                bytes: 48_000,
                missed: 12_345,
            },
            ended: [(ErrorKind::Closed(Some(1008)), 3)].into(),
        });
        report.reconnects = Some(Reconnects {
            counters: ReturnCounters {
                churned: 252,
                lost: 4,
                returned: 255,
                failed: 12,
                resumed: 7,
                missed: 2,
                restarts: 0,
            },
            churned_per_s: Some(50.391),
            away_us: spread,
            response_us: spread,
        });
        let expected = "\
  Slow clients                      19 connected of 20, reported separately
    ticks                          480 read, 12345 left out by the server
    closed by server (1008)          3
  Reconnects                       252 left on purpose, 50.39/s
    lost connections                 4
    came back                      255 of them, 12 attempts failed
    first tick, median            47.4 ms, p99 115.6, max 120.1
    away, median                  47.4 ms, max 120.1
    missed                           2 ticks while away, 7 more came later
";
        let text = report.to_string();
        assert!(text.contains(expected), "{text}");
    }
}
