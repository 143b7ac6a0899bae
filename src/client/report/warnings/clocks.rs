//! What clocks and stamps have to do with latencies that may be wrong.

use crate::client::config::Config;
use crate::client::config::unit::Unit;
use crate::client::report::Report;

pub(in crate::client) fn clock_step(report: &Report) -> Option<String> {
    let step_us = report.client.clock_step_us;
    (step_us > CLOCK_STEP_US_MAX).then(|| {
        format!(
            "this machine's clock was set by {:.1} ms during the run, and delivery latencies are \
             off by as much from then on: run again once the clock is steady (chronyc tracking)",
            step_us as f64 / 1e3
        )
    })
}

pub(in crate::client) fn sync(report: &Report) -> Option<String> {
    let sync = report.sync.as_ref()?;
    if sync.offset_us.is_none() {
        let what = "the server answered no ping, so the clocks could not be compared and delivery \
                    latencies are uncorrected: leave out --sync, and keep both clocks right by NTP";
        return Some(what.to_owned());
    }
    if sync.uncorrected > 0 {
        return Some(format!(
            "{} deliveries came before the server's first answer to a ping, and their latencies \
             are uncorrected: try --warmup, so that it has the time for one",
            sync.uncorrected
        ));
    }
    let (error_us, p50_us) = (sync.error_us?, report.delivery_us.p50?);
    (error_us > p50_us).then(|| {
        format!(
            "the clocks' comparison may be wrong by {error_us} µs, more than the median delivery \
             latency: try again when server and network are less busy"
        )
    })
}

pub(in crate::client) fn future(report: &Report) -> Option<String> {
    let ticks = report.negative_latencies;
    let is_corrected = report
        .sync
        .as_ref()
        .is_some_and(|it| it.offset_us.is_some());
    let cause = match is_corrected {
        true => {
            "one of the clocks was set, or ticks are not stamped by the clock that answers --sync, \
             so delivery latencies may be off by as much"
        }
        false => {
            "the clocks of the two machines differ, so delivery latencies are off by as much (see \
             --sync)"
        }
    };
    (ticks > 0).then(|| format!("{ticks} ticks seem to come from the future: {cause}"))
}

/// A stamp that is off by `off_us` at `now_us`, and the unit that would be nearest.
pub(in crate::client) fn far_off(off_us: i64, unit: Unit, now_us: u64) -> String {
    let days = off_us.unsigned_abs() / DAY_US;
    let far = match days {
        ..730 => format!("{days} days"),
        _ => format!("{} years", (days as f64 / 365.25).round()),
    };
    let sent_us = i128::from(now_us) - i128::from(off_us);
    let factor = |unit: Unit| unit.us(1_000_000_000).map(|us| us as f64 / 1e9);
    let written = factor(unit).map(|factor| sent_us as f64 / factor);
    let is_right = |other: &Unit| {
        let other_us = written.zip(factor(*other)).map(|(number, us)| number * us);
        other_us.is_some_and(|other_us| (other_us - now_us as f64).abs() <= DAY_US as f64)
    };
    let likely = Unit::NUMBERS.into_iter().find(is_right);
    let likely = likely.map_or_else(
        || format!("is --sent-unit really {unit}, and --sent-field right?"),
        |likely| format!("--sent-unit is probably {likely}"),
    );
    format!("`sent` is {far} off, {likely}")
}

pub(in crate::client) fn saturated(report: &Report) -> Option<String> {
    let latencies = report.saturated.total();
    (latencies > 0).then(|| {
        format!(
            "{latencies} latencies were longer than a minute and count as one: the percentiles \
             are too low (see --sent-field, --sent-unit and --expect)"
        )
    })
}

pub(in crate::client) fn no_stamps(report: &Report, config: &Config) -> Option<String> {
    (report.ticks > 0 && report.stamped == 0).then(|| {
        format!(
            "no tick says when it was sent (--sent-field {}, --sent-unit {}), so only the time \
             between messages is known, not how long they took",
            config.fields.sent, config.fields.sent_unit
        )
    })
}

/// Less is what looking at two clocks one after the other may be wrong by.
const CLOCK_STEP_US_MAX: u64 = 2_000;

pub(in crate::client) const DAY_US: u64 = 86_400_000_000;
