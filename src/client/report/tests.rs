use serde_json::Value;

use super::*;
use crate::client::measure::intervals::tests::interval as counted;

/// An interval of one second at position `place`, with these latencies in µs.
pub(crate) fn interval(place: u64, latencies: &[u64]) -> Interval {
    Interval::of(&counted(place, latencies))
}

/// A report with made-up numbers.
pub(crate) fn sample() -> Report {
    Report {
        url: "ws://127.0.0.1:8888/".to_owned(),
        clients: Clients {
            asked: 1000,
            connected: 998,
            failed: 2,
        },
        watch: None,
        every_s: None,
        duration_s: 60.0004,
        warmup_s: 2.0,
        joining_s: 0.5219,
        counters: Counters {
            messages: 59_881,
            ticks: 59_880,
            other_messages: 1,
            binary_messages: 1,
            not_json_messages: 1,
            bytes: 5_808_457,
            stamped: 59_880,
            ..Counters::default()
        },
        messages_per_s: Some(998.0),
        ticks_per_s: Some(998.0),
        message_size_bytes_mean: Some(97.0),
        time_between_messages_s_mean: Some(1.0),
        delivery_us: Percentiles {
            count: 59_880,
            mean: Some(2_345.6),
            p50: Some(2_300),
            p90: Some(4_100),
            p99: Some(4_900),
            p999: Some(9_000),
            max: Some(12_345),
        },
        delivery_curve: vec![
            CurvePoint {
                quantile: 0.0,
                us: 1_000,
            },
            CurvePoint {
                quantile: 1.0,
                us: 12_345,
            },
        ],
        saturated: Saturated::default(),
        sync: None,
        schedule: None,
        requests: None,
        response_s: Response {
            count: 998,
            mean: Some(0.12345),
            median: Some(0.1),
            stdev: Some(0.02),
            min: Some(0.001),
            max: Some(0.25),
        },
        losses: Losses {
            numbered: 59_880,
            gaps: 3,
            missed: 17,
            ..Losses::default()
        },
        symbols_with_gaps: 0,
        worst_symbols: Vec::new(),
        symbols: Vec::new(),
        errors: Errors {
            total: 2,
            kinds: [(ErrorKind::ConnectRefused, 2)].into(),
            examples: vec![
                "cannot connect to 127.0.0.1:8888: connection refused (is the server running?)"
                    .to_owned(),
            ],
        },
        slow: None,
        reconnects: None,
        client: ClientUsage {
            cpu_percent: Some(12.34),
            cpu_s: 7.4,
            cpu_us_per_tick: Some(123.456),
            waited_percent: Some(0.1),
            rss_bytes: 12_345_678,
            lateness_p99_us: 100,
            lateness_p999_us: 200,
            lateness_max_us: 900,
            reads: Reads {
                reads: 59_880,
                full_reads: 0,
            },
            clock_step_us: 0,
        },
        server: Some(ServerUsage {
            pid: 4242,
            cpu_percent: Some(9.0),
            cpu_s: 5.4,
            user_s: 0.4,
            system_s: 5.0,
            cpu_us_per_tick: Some(5.678),
            user_us_per_tick: Some(0.432),
            joining_cpu_s: 0.03,
            joining_cpu_us_per_client: Some(30.06),
            rss_bytes_before: 9_000_000,
            rss_bytes_after: 9_100_000,
        }),
        measured_from_unix_s: 1_732_270_000.25,
        intervals: vec![interval(0, &[100, 200, 900])],
        thresholds: Vec::new(),
        printed: None,
        lost_process: None,
        warnings: vec![
            "what makes the numbers doubtful, and what can be done about that".to_owned(),
        ],
    }
}

/// The report of a run with a schedule.
pub(crate) fn with_schedule(report: Report) -> Report {
    Report {
        schedule: Some(Lateness {
            expect_s: 0.25,
            interval_s_mean: Some(0.250_04),
            interval_differs: false,
            lateness_us: some_latencies(),
            lateness_curve: some_curve(),
            skipped: 8,
        }),
        ..report
    }
}

/// The report of a run with requests.
pub(crate) fn with_requests(report: Report) -> Report {
    Report {
        requests: Some(Requests {
            rate_per_s: 10.0,
            counters: RequestCounters {
                sent: 600,
                replies: 599,
                failed: 2,
                missing: 1,
                ..RequestCounters::default()
            },
            latency_us: some_latencies(),
            latency_curve: some_curve(),
            uncorrected_us: some_latencies(),
        }),
        ..report
    }
}

fn some_latencies() -> Percentiles {
    Percentiles {
        count: 600,
        mean: Some(1_234.5),
        p50: Some(1_000),
        p90: Some(2_000),
        p99: Some(3_000),
        p999: Some(4_000),
        max: Some(5_000),
    }
}

fn some_curve() -> Vec<CurvePoint> {
    let point = |(quantile, us)| CurvePoint { quantile, us };
    [(0.5, 1_000), (1.0, 5_000)].map(point).into()
}

fn names(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return String::new();
    };
    let members = object
        .iter()
        .map(|(name, value)| name.clone() + &names(value));
    format!("{{{}}}", members.collect::<Vec<_>>().join(" "))
}

/// Says which names came and which went, instead of two lines of a thousand letters.
fn assert_names(json: &Value, expected: &str) {
    let got = names(json);
    let beyond = |text: &str, other: &str| {
        let words = |text: &str| text.split([' ', '{', '}']).map(str::to_owned).collect();
        let (words, others): (Vec<_>, Vec<_>) = (words(text), words(other));
        let more = words.into_iter().filter(|word| !others.contains(word));
        more.collect::<Vec<_>>().join(" ")
    };
    let (new, gone) = (beyond(&got, expected), beyond(expected, &got));
    assert!(
        got == expected,
        "new: {new:?}, gone: {gone:?}. Add what is new where it stands here; scripts need the others:\n{got}"
    );
}

#[test]
fn the_json_keeps_its_names() {
    let json: Value = serde_json::from_str(&sample().to_json()).unwrap();
    let expected = "{answers binary_messages bytes clamped_to_zero client{clock_step_us cpu_percent cpu_s \
        cpu_us_per_tick full_reads lateness_max_us \
        lateness_p999_us lateness_p99_us reads rss_bytes waited_percent} \
        clients{asked connected failed} conflated delivery_curve delivery_us{count max mean p50 p90 p99 p999} \
        duration_s errors{examples kinds{connect refused} total} every_s gaps intervals joining_s \
        list_messages measured_from_unix_s message_size_bytes_mean messages messages_per_s missed negative_latencies \
        not_json_messages numbered other_messages printed reconnects reordered repeats requests \
        response_s{count max mean median min stdev} restarts \
        saturated{deliveries replies schedule} schedule \
        server{cpu_percent cpu_s cpu_us_per_tick joining_cpu_s joining_cpu_us_per_client \
        pid rss_bytes_after rss_bytes_before system_s user_s user_us_per_tick} slow stamped \
        symbols symbols_with_gaps sync thresholds ticks ticks_per_s time_between_messages_s_mean \
        untracked url warmup_s warnings watch worst_symbols}";
    assert_names(&json, expected);
    let interval = "{bytes connected delivery_us{count max mean p50 p90 p99 p999} errors gaps lateness_us \
        length_s messages missed repeats reply_us ticks time_s}";
    assert_names(&json["intervals"][0], interval);
    assert_names(&json["delivery_curve"][0], "{quantile us}");
}

#[test]
fn a_report_survives_json() {
    let report = with_requests(with_schedule(sample()));
    let json = report.to_json();
    assert_eq!(Report::from_json(json.as_bytes()).unwrap().to_json(), json);
    let error = Report::from_json(b"{}").unwrap_err();
    assert!(error.contains("missing field"), "{error}");
}

#[test]
fn reports_from_before_a_counter_can_still_be_read() {
    let Ok(Value::Object(all)) = serde_json::from_str(&sample().to_json()) else {
        panic!("a report is an object");
    };
    let counters = serde_json::to_value(Counters::default()).unwrap();
    for name in counters.as_object().unwrap().keys() {
        let mut older = all.clone();
        older.remove(name);
        let read = Report::from_json(Value::Object(older).to_string().as_bytes());
        assert!(
            read.is_ok() || FIRST_COUNTERS.contains(&name.as_str()),
            "{name} needs #[serde(default)]: reports did not always have it"
        );
    }
}

#[test]
fn reports_with_the_former_name_of_a_counter_can_still_be_read() {
    let mut report = sample();
    report.counters.clamped_to_zero = 7;
    let json = report.to_json();
    assert!(json.contains(r#""clamped_to_zero":7"#), "{json}");
    let older = json.replace("clamped_to_zero", "within_error");
    let read = Report::from_json(older.as_bytes()).unwrap();
    assert_eq!(read.counters.clamped_to_zero, 7);
}

/// The counters that every report has had.
const FIRST_COUNTERS: [&str; 12] = [
    "answers",
    "binary_messages",
    "bytes",
    "clamped_to_zero",
    "list_messages",
    "messages",
    "negative_latencies",
    "not_json_messages",
    "other_messages",
    "stamped",
    "ticks",
    "untracked",
];

#[test]
fn unknown_numbers_are_null() {
    let mut report = sample();
    report.server = None;
    report.delivery_us.p50 = None;
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert!(json["server"].is_null() && json["delivery_us"]["p50"].is_null());
}

#[test]
fn a_run_without_a_tick_fails_with_the_main_cause() {
    let mut report = sample();
    assert_eq!(report.error(), None);
    report.counters.ticks = 0;
    assert_eq!(report.error().as_ref(), report.errors.examples.first());
    report.errors.examples.clear();
    report.counters.messages = 0;
    assert_eq!(
        report.error().as_deref(),
        Some("no tick arrived within 60.000 s")
    );
}

#[test]
fn a_full_disk_is_an_error_but_a_reader_that_left_is_not() {
    let mut report = sample();
    report.counters.ticks = 0;
    let mut printed = Printed {
        reader_left: true,
        ..Printed::default()
    };
    report.printed = Some(printed.clone());
    assert!(report.error().is_some());
    printed.ticks = 1;
    report.printed = Some(printed.clone());
    assert_eq!(report.error(), None);
    report.counters.ticks = 1;
    printed.error = Some("no storage space".to_owned());
    report.printed = Some(printed);
    let error = "cannot print ticks: no storage space";
    assert_eq!(report.error().as_deref(), Some(error));
}

#[test]
fn messages_without_ticks_and_silence_are_different_errors() {
    let mut report = sample();
    (report.counters.ticks, report.counters.messages) = (0, 7);
    report.errors.kinds = [(ErrorKind::NoTick, 1000)].into();
    let none = "no tick among 7 messages (1 not JSON): see --sent-field, --seq-field and \
                --symbol-field";
    assert_eq!(report.error().as_deref(), Some(none));
}
