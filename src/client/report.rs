//! The numbers of a run, as they are printed: [`Report`] as JSON is the stable form, with the unit
//! last in each name; as text (its `Display`) it is for people.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::figures::{ClockSync, Lateness, Losses, Requests, Saturated, SymbolLosses};
use super::intervals::Interval;
use super::print::Printed;
use super::thresholds::Verdict;

pub use super::shape::{Reconnects, SlowClients, Spread};

/// What a run has measured. What could not be is none.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where the clients connected to.
    pub url: String,
    /// How many there were.
    pub clients: Clients,
    /// The measured window, as long as it really was.
    pub duration_s: f64,
    /// The time between joining and window.
    pub warmup_s: f64,
    /// From the first connect until all had joined or failed.
    pub joining_s: f64,
    /// Messages of any kind in the window.
    pub messages: u64,
    /// Those that are ticks.
    pub ticks: u64,
    /// Those that are not.
    pub other_messages: u64,
    /// Those of them that are binary.
    pub binary_messages: u64,
    /// Those of them that are not JSON.
    pub not_json_messages: u64,
    /// Messages by the window's length.
    pub messages_per_s: Option<f64>,
    /// The messages' payloads.
    pub bytes: u64,
    /// A message's payload.
    pub message_size_bytes_mean: Option<f64>,
    /// What a client waits for its next message; the seed called it latency.
    pub time_between_messages_s_mean: Option<f64>,
    /// Ticks that say when they were sent.
    pub stamped: u64,
    /// From the server's stamp to the client's read.
    pub delivery_us: Delivery,
    /// Those latencies by percentile, as far as there are samples for.
    pub delivery_curve: Vec<CurvePoint>,
    /// Ticks that seem to come from the future.
    pub negative_latencies: u64,
    /// Ticks of symbols beyond those that can be told apart: what their numbers say and how late
    /// they were is not known.
    pub untracked: u64,
    /// Latencies too long to be told, which count as a minute.
    pub saturated: Saturated,
    /// How the clocks compare; none unless asked for.
    pub sync: Option<ClockSync>,
    /// How late ticks were against their own schedule; none unless asked for.
    pub schedule: Option<Lateness>,
    /// What became of requests; none if there were none.
    pub requests: Option<Requests>,
    /// From the call of connect to the first tick.
    pub response_s: Response,
    /// What the numbers of ticks say.
    #[serde(flatten)]
    pub losses: Losses,
    /// The same of each symbol.
    pub symbols: Vec<SymbolLosses>,
    /// What went wrong.
    pub errors: Errors,
    /// Those who hardly read; none without any.
    pub slow: Option<SlowClients>,
    /// Connections that were opened anew; none unless that was asked for.
    pub reconnects: Option<Reconnects>,
    /// What this client cost.
    pub client: ClientUsage,
    /// What the server cost; none without its process id.
    pub server: Option<ServerUsage>,
    /// When the window began, in Unix time; zero if it did not.
    pub measured_from_unix_s: f64,
    /// The window by the second.
    pub intervals: Vec<Interval>,
    /// What became of the limits that were asked for.
    pub thresholds: Vec<Verdict>,
    /// What became of the ticks to print; none if they were not asked for.
    pub printed: Option<Printed>,
    /// What became of a client process that did not end well.
    #[serde(skip)]
    pub lost_process: Option<String>,
    /// What makes the numbers doubtful.
    pub warnings: Vec<String>,
}

/// How many clients there were.
#[derive(Clone, Debug, Serialize)]
pub struct Clients {
    /// Asked for.
    pub asked: usize,
    /// Upgraded at some time.
    pub connected: usize,
    /// Never upgraded.
    pub failed: usize,
}

/// Delivery latencies, in µs.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Half of them were no longer.
    pub p50: Option<u64>,
    /// Nine of ten were no longer.
    pub p90: Option<u64>,
    /// 99 of 100 were no longer.
    pub p99: Option<u64>,
    /// 999 of 1000 were no longer.
    pub p999: Option<u64>,
    /// The longest, to three digits like all of them.
    pub max: Option<u64>,
}

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The share of deliveries, 0 to 1, …
    pub quantile: f64,
    /// … that took no longer than this, in µs.
    pub us: u64,
}

impl CurvePoint {
    /// The curve of a histogram of µs: closer together the closer to 1, as HdrHistogram steps.
    pub(super) fn curve(histogram: &Histogram<u64>) -> Vec<Self> {
        let steps = histogram.iter_quantiles(STEPS_PER_HALVING);
        steps
            .map(|step| Self {
                quantile: step.quantile_iterated_to(),
                us: step.value_iterated_to(),
            })
            .collect()
    }
}

/// Points each time that what is left to 1 has halved: some hundred for a million samples.
const STEPS_PER_HALVING: u32 = 5;

/// Response times, in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Response {
    /// Connections that got a tick.
    pub count: usize,
    /// Their mean.
    pub mean: Option<f64>,
    /// The middle one, or the mean of the two in the middle.
    pub median: Option<f64>,
    /// The sample standard deviation; none of fewer than two.
    pub stdev: Option<f64>,
    /// The shortest.
    pub min: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

/// Failures.
#[derive(Clone, Debug, Serialize)]
pub struct Errors {
    /// All of them.
    pub total: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// A sentence about one of each kind, the most frequent first.
    pub examples: Vec<String>,
}

/// This process in the measured window.
#[derive(Clone, Debug, Serialize)]
pub struct ClientUsage {
    /// CPU time by the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time.
    pub cpu_s: f64,
    /// That by the ticks.
    pub cpu_us_per_tick: Option<f64>,
    /// Time that it was ready to run and waited for a core, by the window's length.
    pub waited_percent: Option<f64>,
    /// Memory at the end.
    pub rss_bytes: u64,
    /// How late its loop was, looked at every 10 ms: 99 of 100 times no later.
    pub lateness_p99_us: u64,
    /// 999 of 1000 times no later.
    pub lateness_p999_us: u64,
    /// At its worst.
    pub lateness_max_us: u64,
    /// Reads that returned something.
    pub reads: u64,
    /// Reads that filled their buffer, so that there was more behind them.
    pub full_reads: u64,
    /// By how much its wall clock was set meanwhile.
    pub clock_step_us: u64,
}

/// The process under test.
#[derive(Clone, Debug, Serialize)]
pub struct ServerUsage {
    /// Its id.
    pub pid: u32,
    /// CPU time in the window by the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time in the window.
    pub cpu_s: f64,
    /// The part of it in the program itself.
    pub user_s: f64,
    /// The part of it in the kernel.
    pub system_s: f64,
    /// CPU time in the window by the ticks that arrived in it.
    pub cpu_us_per_tick: Option<f64>,
    /// The part of that in the program itself.
    pub user_us_per_tick: Option<f64>,
    /// CPU time while the clients joined.
    pub joining_cpu_s: f64,
    /// That by the clients that did.
    pub joining_cpu_us_per_client: Option<f64>,
    /// Memory when the window began.
    pub rss_bytes_before: u64,
    /// Memory when it ended.
    pub rss_bytes_after: u64,
}

impl Report {
    /// One JSON object on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    /// What went wrong, in one sentence, if nothing was measured, or ticks could not be printed.
    pub fn error(&self) -> Option<String> {
        if let Some(error) = self.printed.as_ref().and_then(|it| it.error.as_ref()) {
            return Some(format!("cannot print ticks: {error}"));
        }
        // What is left is not what was asked for.
        if let Some(lost) = &self.lost_process {
            return Some(lost.clone());
        }
        // Who has seen enough of the ticks did not wait for the window.
        if self.ticks > 0 || self.reader_left() {
            return None;
        }
        let silent = self.errors.kinds.keys().all(|kind| kind == "no tick");
        let example = self.errors.examples.first();
        Some(match (self.messages, example) {
            (1.., _) if silent => format!(
                "none of {} messages was a tick, {} of them were not even JSON (see --sent-field, \
                 --seq-field and --symbol-field)",
                self.messages, self.not_json_messages
            ),
            (_, Some(example)) => example.clone(),
            (_, None) => format!("no tick came in {:.3} s", self.duration_s),
        })
    }
}

impl Report {
    /// Whether all went well, only that no message came.
    pub fn nothing_came(&self) -> bool {
        let silent = self.errors.kinds.keys().all(|kind| kind == "no tick");
        silent && self.messages == 0 && self.clients.connected > 0
    }

    /// Whether ticks were printed until their reader left.
    pub fn reader_left(&self) -> bool {
        let printed = self.printed.as_ref();
        printed.is_some_and(|printed| printed.reader_left && printed.ticks > 0)
    }

    /// The limits that were not kept.
    pub fn missed_thresholds(&self) -> impl Iterator<Item = &Verdict> {
        self.thresholds.iter().filter(|verdict| !verdict.met)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::intervals::tests::interval;
    use serde_json::Value;

    /// A report with made-up numbers.
    pub(in crate::client) fn sample() -> Report {
        Report {
            url: "ws://127.0.0.1:8888/".to_owned(),
            clients: Clients {
                asked: 1000,
                connected: 998,
                failed: 2,
            },
            duration_s: 60.0004,
            warmup_s: 2.0,
            joining_s: 0.5219,
            messages: 59_881,
            ticks: 59_880,
            other_messages: 1,
            binary_messages: 1,
            not_json_messages: 1,
            messages_per_s: Some(998.0),
            bytes: 5_808_457,
            message_size_bytes_mean: Some(97.0),
            time_between_messages_s_mean: Some(1.0),
            delivery_us: Delivery {
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
            stamped: 59_880,
            negative_latencies: 0,
            untracked: 0,
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
            symbols: Vec::new(),
            errors: Errors {
                total: 2,
                kinds: [("connect refused".to_owned(), 2)].into(),
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
                reads: 59_880,
                full_reads: 0,
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

    /// The same with ticks that were expected.
    pub(in crate::client) fn with_schedule(report: Report) -> Report {
        Report {
            schedule: Some(Lateness {
                expect_s: 0.25,
                lateness_us: some_latencies(),
                skipped: 8,
            }),
            ..report
        }
    }

    /// The same with requests.
    pub(in crate::client) fn with_requests(report: Report) -> Report {
        Report {
            requests: Some(Requests {
                rate_per_s: 10.0,
                sent: 600,
                replies: 599,
                late: 0,
                failed: 2,
                missing: 1,
                unsent: 0,
                unexpected: 0,
                latency_us: some_latencies(),
                uncorrected_us: some_latencies(),
            }),
            ..report
        }
    }

    fn some_latencies() -> Delivery {
        Delivery {
            count: 600,
            mean: Some(1_234.5),
            p50: Some(1_000),
            p90: Some(2_000),
            p99: Some(3_000),
            p999: Some(4_000),
            max: Some(5_000),
        }
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

    #[test]
    fn the_json_has_the_names_that_scripts_know() {
        let json: Value = serde_json::from_str(&sample().to_json()).unwrap();
        let expected = "{binary_messages bytes client{clock_step_us cpu_percent cpu_s \
            cpu_us_per_tick full_reads lateness_max_us \
            lateness_p999_us lateness_p99_us reads rss_bytes waited_percent} \
            clients{asked connected failed} delivery_curve delivery_us{count max mean p50 p90 p99 p999} \
            duration_s errors{examples kinds{connect refused} total} gaps intervals joining_s \
            measured_from_unix_s message_size_bytes_mean messages messages_per_s missed negative_latencies \
            not_json_messages numbered other_messages printed reconnects reordered repeats requests \
            response_s{count max mean median min stdev} restarts \
            saturated{deliveries replies schedule} schedule \
            server{cpu_percent cpu_s cpu_us_per_tick joining_cpu_s joining_cpu_us_per_client \
            pid rss_bytes_after rss_bytes_before system_s user_s user_us_per_tick} slow stamped \
            symbols sync thresholds ticks time_between_messages_s_mean untracked url warmup_s warnings}";
        assert_eq!(names(&json), expected);
        let interval = "{bytes connected delivery_us{count max p50 p90 p99} errors gaps lateness_us \
            length_s messages missed repeats reply_us ticks time_s}";
        assert_eq!(names(&json["intervals"][0]), interval);
        assert_eq!(names(&json["delivery_curve"][0]), "{quantile us}");
    }

    #[test]
    fn what_is_unknown_is_null() {
        let mut report = sample();
        report.server = None;
        report.delivery_us.p50 = None;
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert!(json["server"].is_null() && json["delivery_us"]["p50"].is_null());
    }

    #[test]
    fn nothing_measured_is_an_error_with_the_main_cause() {
        let mut report = sample();
        assert_eq!(report.error(), None);
        report.ticks = 0;
        assert_eq!(report.error().as_ref(), report.errors.examples.first());
        report.errors.examples.clear();
        report.messages = 0;
        assert_eq!(report.error().as_deref(), Some("no tick came in 60.000 s"));
    }

    #[test]
    fn a_reader_that_has_seen_ticks_and_left_is_no_error_but_a_full_disk_is() {
        let mut report = sample();
        report.ticks = 0;
        let mut printed = Printed {
            reader_left: true,
            ..Printed::default()
        };
        report.printed = Some(printed.clone());
        assert!(report.error().is_some());
        printed.ticks = 1;
        report.printed = Some(printed.clone());
        assert_eq!(report.error(), None);
        report.ticks = 1;
        printed.error = Some("no storage space".to_owned());
        report.printed = Some(printed);
        let error = "cannot print ticks: no storage space";
        assert_eq!(report.error().as_deref(), Some(error));
    }

    #[test]
    fn messages_that_are_no_ticks_are_another_error_than_silence() {
        let mut report = sample();
        (report.ticks, report.messages) = (0, 7);
        report.errors.kinds = [("no tick".to_owned(), 1000)].into();
        let none = "none of 7 messages was a tick, 1 of them were not even JSON (see --sent-field, \
                    --seq-field and --symbol-field)";
        assert_eq!(report.error().as_deref(), Some(none));
    }
}
