//! The rows of a report's text that only some runs have, and those about lost ticks.

use std::fmt;

use crate::client::report::Report;
use crate::client::report::figures::{ClockSync, Requests, Watching};
use crate::client::report::table::{fixed, percentiles, row, time};

/// The clocks, the schedule and the requests, as far as they were looked at.
pub(in crate::client) fn rows(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    if let Some(sync) = &report.sync {
        clocks(f, sync)?;
    }
    if let Some(schedule) = &report.schedule {
        let ticks = format!("ticks due every {}", time(schedule.expect_s));
        percentiles(f, "Schedule lateness, mean", &ticks, &schedule.lateness_us)?;
        row(f, "  never came", &schedule.skipped.to_string(), "of those")?;
        let interval = fixed(schedule.interval_s_mean.map(|mean| mean * 1e3), 3);
        row(
            f,
            "  interval, mean",
            &interval,
            "ms from tick to tick, measured",
        )?;
    }
    match &report.requests {
        Some(requests) => self::requests(f, requests),
        None => Ok(()),
    }
}

/// Deliveries that seem to have taken less than no time.
pub(in crate::client) fn below_zero(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let error_us = report.sync.as_ref().and_then(|sync| sync.error_us);
    if report.within_error > 0 {
        let what = format!("of them, by no more than {} µs", error_us.unwrap_or(0));
        row(
            f,
            "  below 0, count as 0",
            &report.within_error.to_string(),
            &what,
        )?;
    }
    if report.negative_latencies > 0 {
        let what = "ticks from the future, not counted";
        row(f, "  below 0", &report.negative_latencies.to_string(), what)?;
    }
    Ok(())
}

fn clocks(f: &mut fmt::Formatter<'_>, sync: &ClockSync) -> fmt::Result {
    let offset = sync
        .offset_us
        .map_or_else(|| "-".to_owned(), |offset| format!("{offset:+}"));
    let error = match sync.error_us {
        Some(error) => format!("µs ± {error} by {} pings, corrected", sync.answered),
        None => "µs: no ping was answered".to_owned(),
    };
    row(f, "Server's clock ahead", &offset, &error)?;
    if sync.offset_us.is_none() {
        return Ok(());
    }
    let drift_error = format!("µs ± {} from first to last", sync.drift_error_us);
    row(f, "  drift", &format!("{:+}", sync.drift_us), &drift_error)
}

fn requests(f: &mut fmt::Formatter<'_>, requests: &Requests) -> fmt::Result {
    let rate = format!("sent, {} per second and client", requests.rate_per_s);
    row(f, "Requests", &requests.sent.to_string(), &rate)?;
    for (label, count, what) in [
        ("  replies", requests.replies, ""),
        (
            "  failed",
            requests.failed,
            "of them say that something went wrong",
        ),
        ("  late", requests.late, "of them came after the window"),
        ("  missing", requests.missing, "came not at all"),
        (
            "  held back",
            requests.unsent,
            "requests that were due, never sent",
        ),
        (
            "  unexpected",
            requests.unexpected,
            "replies nobody waited for",
        ),
    ] {
        if count > 0 || label == "  replies" {
            row(f, label, &count.to_string(), what)?;
        }
    }
    percentiles(
        f,
        "Reply latency, mean",
        "since they were due",
        &requests.latency_us,
    )?;
    percentiles(
        f,
        "  uncorrected, mean",
        "since they were sent",
        &requests.uncorrected_us,
    )
}

/// What the numbers of ticks say: in total, and the symbols where most is missing.
pub(in crate::client) fn losses(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    if report.losses.numbered == 0 && report.ticks > 0 {
        return row(f, "Gaps", "-", "no tick has a number (see --seq-field)");
    }
    gaps(f, report)?;
    row(
        f,
        "Repeats",
        &report.losses.repeats.to_string(),
        "ticks that came again",
    )?;
    row(
        f,
        "Reordered",
        &report.losses.reordered.to_string(),
        "ticks behind a newer one",
    )?;
    if report.losses.restarts > 0 {
        row(
            f,
            "Restarts",
            &report.losses.restarts.to_string(),
            "of the numbers",
        )?;
    }
    // Of a single symbol there is no more to say than that.
    let told = if report.symbols.len() > 1 { WORST } else { 0 };
    let worst = report.worst_symbols.iter().take(told);
    for symbol in worst {
        let label: String = symbol.symbol.chars().take(NAME_MAX).collect();
        let (missed, repeats, reordered) = (
            symbol.losses.missed,
            symbol.losses.repeats,
            symbol.losses.reordered,
        );
        let what = format!("gaps, {missed} missed, {repeats} repeated, {reordered} reordered");
        row(
            f,
            &format!("  {label}"),
            &symbol.losses.gaps.to_string(),
            &what,
        )?;
    }
    Ok(())
}

fn gaps(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let losses = &report.losses;
    if let Some(every_s) = report.every_s {
        let conflated = format!("conflated by --every {}", time(every_s));
        row(f, "Gaps", "-", &conflated)?;
        let left_out = "ticks, newer ones of their symbols came";
        return row(f, "  left out", &losses.conflated.to_string(), left_out);
    }
    let symbols = match report.symbols_with_gaps {
        0 => String::new(),
        1 => ", of one symbol".to_owned(),
        more => format!(", of {more} symbols"),
    };
    let missed = format!("with {} ticks missed{symbols}", losses.missed);
    row(f, "Gaps", &losses.gaps.to_string(), &missed)
}

/// The lists of symbols that clients have drawn.
pub(in crate::client) fn watching(f: &mut fmt::Formatter<'_>, watching: &Watching) -> fmt::Result {
    let zipf = watching
        .zipf
        .map_or_else(String::new, |s| format!(", Zipf {s}"));
    let drawn = format!("of {}, seed {}{zipf}", watching.of, watching.seed);
    row(f, "  symbols of each", &watching.count.to_string(), &drawn)
}

/// How many of the worst symbols there is room for.
const WORST: usize = 3;

/// As much of a symbol's name as its column has room for.
const NAME_MAX: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::figures::{Losses, SymbolLosses};
    use crate::client::report::tests::{sample, with_requests, with_schedule};

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
    fn what_was_asked_for_is_shown_within_80_columns() {
        let mut report = with_requests(with_schedule(sample()));
        report.sync = Some(ClockSync {
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
             failed                           2 of them say that something went wrong\n    \
             missing                          1 came not at all\n",
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
    fn what_servers_do_not_say_is_not_made_up() {
        let mut report = sample();
        report.losses.numbered = 0;
        report.stamped = 0;
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
    fn what_was_asked_of_the_server_is_shown() {
        let mut report = sample();
        report.watch = Some(Watching {
            count: 20,
            of: 20_000,
            seed: 999_999_999,
            zipf: Some(1.25),
        });
        report.every_s = Some(0.25);
        report.losses.conflated = 1234;
        (report.list_messages, report.ticks) = (59_000, 590_000);
        (report.ticks_per_s, report.other_messages) = (Some(9_833.3), 2);
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
    fn what_was_clamped_or_left_out_is_shown() {
        let mut report = sample();
        assert!(!report.to_string().contains("below 0"));
        report.sync = Some(ClockSync {
            answered: 76,
            offset_us: Some(0),
            error_us: Some(57),
            drift_us: 0,
            drift_error_us: 0,
            uncorrected: 0,
        });
        (
            report.within_error,
            report.negative_latencies,
            report.answers,
        ) = (12, 3, 9);
        let text = report.to_string();
        for rows in [
            "    max                         12.345 ms\n    \
             below 0, count as 0             12 of them, by no more than 57 µs\n    \
             below 0                          3 ticks from the future, not counted\n",
            "are ticks\n    answers                          9 replies and pongs, besides\n",
        ] {
            assert!(text.contains(rows), "{rows}\n{text}");
        }
    }
}
