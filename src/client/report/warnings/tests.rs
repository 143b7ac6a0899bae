use super::*;
use crate::client::config::unit::Unit;
use crate::client::measure::clock_sync::ClockOffset;
use crate::client::report::tests::{sample, with_requests, with_schedule};

fn warnings(change: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = sample();
    change(&mut report);
    let url = crate::client::config::url::Url::parse("ws://127.0.0.1:8888/").unwrap();
    about(&report, &Config::new(url))
}

/// The only warning after `change`.
fn warning(change: impl FnOnce(&mut Report)) -> String {
    let warnings = warnings(change);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.into_iter().next().unwrap()
}

#[test]
fn a_good_run_has_no_warnings() {
    assert_eq!(warnings(|_| {}), Vec::<String>::new());
}

#[test]
fn a_client_that_is_the_bottleneck_is_warned_of() {
    let cpu = warning(|report| report.client.cpu_percent = Some(97.0));
    assert!(
        cpu.starts_with("this client used 97 % of its core"),
        "{cpu}"
    );
    let waiting = warning(|report| report.client.waited_percent = Some(12.0));
    assert!(waiting.contains("waited for a core for 12 %"), "{waiting}");
    let behind = warning(|report| report.client.reads.full_reads = 1_000);
    assert!(behind.starts_with("1000 of 59880 reads filled"), "{behind}");
    assert!(warnings(|report| report.client.reads.full_reads = 100).is_empty());
}

#[test]
fn own_lateness_matters_only_beside_short_latencies() {
    let late = warning(|report| report.client.lateness_p99_us = 1_500);
    assert!(late.contains("own loop was 1.5 ms late (p99)"), "{late}");
    let beside_long = |report: &mut Report| {
        report.client.lateness_p99_us = 1_500;
        report.delivery_us.p99 = Some(400_000);
    };
    assert!(warnings(beside_long).is_empty());
    let frozen = warning(|report| report.client.lateness_max_us = 1_500_000);
    assert!(frozen.contains("1500.0 ms late (at its worst)"), "{frozen}");
    let beside_a_stall = |report: &mut Report| {
        *report = with_requests(report.clone());
        let requests = report.requests.as_mut().unwrap();
        (requests.counters.missing, requests.counters.unsent) = (0, 0);
        requests.latency_us.count = 20_000;
        requests.latency_us.max = Some(7_000_000);
        report.client.lateness_max_us = 1_500_000;
    };
    assert!(warnings(beside_a_stall).is_empty());
}

#[test]
fn differing_or_stepped_clocks_are_warned_of() {
    let step = warning(|report| report.client.clock_step_us = 5_000);
    assert!(step.contains("was set by 5.0 ms during the run"), "{step}");
    let future = warning(|report| report.counters.negative_latencies = 3);
    assert!(
        future.starts_with("3 ticks seem to come from the future"),
        "{future}"
    );
    let sync = |offset_us, error_us| {
        move |report: &mut Report| {
            report.sync = Some(ClockOffset {
                answered: 0,
                offset_us,
                error_us,
                drift_us: 0,
                drift_error_us: 0,
                uncorrected: 0,
            });
        }
    };
    assert!(warning(sync(None, None)).contains("answered no ping"));
    assert!(warning(sync(Some(1), Some(9_000))).contains("wrong by 9000 µs"));
    assert!(warnings(sync(Some(1), Some(90))).is_empty());
}

#[test]
fn missing_stamps_and_few_samples_are_warned_of() {
    let no_stamps = warning(|report| report.counters.stamped = 0);
    assert!(
        no_stamps.contains("the time between messages but no latency"),
        "{no_stamps}"
    );
    assert!(
        no_stamps.contains("(--sent-field sent, --sent-unit us)"),
        "{no_stamps}"
    );
    let few = warning(|report| report.delivery_us.count = 9_999);
    assert_eq!(
        few,
        "too few samples for p99.9, which needs 10000 (9999 of delivery latency): measure \
         longer, or with more clients"
    );
}

#[test]
fn a_wrong_unit_is_recognized() {
    let now_us = 1_732_000_000_000_000;
    let far = implausible_stamp(
        now_us as i64 - 1_732_000_000_000,
        Unit::Microseconds,
        now_us,
    );
    assert_eq!(far, "`sent` is 55 years off: --sent-unit is probably ms");
    let far = implausible_stamp(40 * DAY_US as i64, Unit::Microseconds, now_us);
    assert!(
        far.starts_with("`sent` is 40 days off: is --sent-unit really us"),
        "{far}"
    );
    let late = warning(|report| report.saturated.deliveries = 3);
    assert!(
        late.starts_with("3 latencies were longer than a minute"),
        "{late}"
    );
    let untracked = warning(|report| report.counters.untracked = 5);
    assert!(
        untracked.starts_with("5 ticks belong to symbols beyond"),
        "{untracked}"
    );
}

#[test]
fn requests_without_replies_are_warned_of() {
    let warning = |missing, unsent| {
        warning(|report| {
            *report = with_requests(report.clone());
            let requests = report.requests.as_mut().unwrap();
            requests.latency_us.count = 20_000;
            (requests.counters.missing, requests.counters.unsent) = (missing, unsent);
        })
    };
    let missing = warning(7, 0);
    assert!(missing.starts_with("7 requests got no reply"), "{missing}");
    let unsent = warning(0, 2);
    assert!(
        unsent.starts_with("2 requests were held back: too many were unanswered"),
        "{unsent}"
    );
    assert!(unsent.contains("the socket was full"), "{unsent}");
}

#[test]
fn an_unexpected_interval_is_named_with_its_option() {
    let warning = |mean_s| {
        warning(|report| {
            *report = with_schedule(report.clone());
            let schedule = report.schedule.as_mut().unwrap();
            schedule.lateness_us.count = 20_000;
            schedule.interval_s_mean = Some(mean_s);
            schedule.interval_differs = true;
        })
    };
    assert_eq!(
        warning(0.100_04),
        "a symbol ticked every 100ms on average, more often than --expect 250ms, so hardly any \
         tick can seem late: try --expect 100ms"
    );
    assert_eq!(
        warning(1.5),
        "a symbol ticked every 1.5s on average, not every 250ms: the server does not keep its \
         interval, or uses another one (--expect 1.5s)"
    );
    let written = [0.000_2, 0.012_345, 0.26, 60.0, 1_234.6].map(time);
    assert_eq!(
        written,
        ["200us", "12.35ms", "260ms", "60s", "1235s"].map(str::to_owned)
    );
}

#[test]
fn a_late_or_doubtful_clock_comparison_is_explained() {
    let sync = |uncorrected| {
        Some(ClockOffset {
            answered: 9,
            offset_us: Some(1),
            error_us: Some(9),
            drift_us: 0,
            drift_error_us: 0,
            uncorrected,
        })
    };
    let late = warning(|report| report.sync = sync(7));
    assert!(
        late.starts_with("7 deliveries arrived before the server's first answer"),
        "{late}"
    );
    let future = warning(|report| {
        report.sync = sync(0);
        report.counters.negative_latencies = 3;
    });
    assert!(
        future.contains("not stamped by the clock that answers --sync"),
        "{future}"
    );
}
