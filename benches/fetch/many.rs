//! Many symbols and many exchanges on one thread.

use std::time::{Duration, Instant};

use crate::common::table::{Figure, Target};
use crate::common::{Load, at, interrupted};
use crate::life::{Answers, Death, Life, Prices};
use crate::upstream::Upstream;
use crate::{ANSWER_TIME, Bench, INTERVAL};

/// The results of one server.
struct Record {
    death: Death,
    answers: Answers,
    /// How long the counts took to accumulate.
    measured: Duration,
    /// Of one core.
    cpu_percent: Option<f64>,
    resident_bytes: u64,
}

impl Bench {
    pub(crate) fn many(&mut self) {
        let upstream = match Upstream::start(&self.cores, ANSWER_TIME) {
            Ok(upstream) => upstream,
            Err(error) => return self.findings.problem(format!("many: {error}")),
        };
        let symbols = symbols();
        let kinds = [
            ("50 symbols", EXCHANGES[0].to_owned(), &*symbols),
            ("10 exchanges", EXCHANGES.join(","), "BTC/USDT"),
            ("50 of each", EXCHANGES.join(","), &*symbols),
        ];
        let records = kinds.each_ref().map(|(kind, exchanges, symbols)| {
            if interrupted() {
                return None;
            }
            let name = format!("many, {kind}");
            eprintln!("{name}");
            let prices = Prices::Fetched(&upstream, exchanges, symbols);
            let record = self.many_once(&name, prices);
            record
                .map_err(|error| self.findings.problem(format!("{name}: {error}")))
                .ok()
        });
        self.table.begin(
            "many",
            format!(
                "50 symbols, 10 exchanges, and both at once; {CLIENTS} clients, answers take {} ms",
                ANSWER_TIME.as_millis()
            ),
            &kinds.map(|(kind, ..)| kind),
        );
        self.many_rows(&records);
    }

    fn many_once(&mut self, name: &str, prices: Prices<'_>) -> Result<Record, String> {
        let load = Load {
            clients: CLIENTS,
            interval: INTERVAL,
            warmup: Duration::ZERO,
            duration: self.time(6_000),
        };
        let mut life = Life::begin(name, prices, &self.cores)?;
        let answers = |life: &Life| life.answers().map_err(|error| error.to_string());
        let (before, began) = (answers(&life)?, Instant::now());
        let report = life.load(&load, &self.cores, &mut self.findings)?;
        let (after, measured) = (answers(&life)?, began.elapsed());
        let resident_bytes = life.resident_bytes()?;
        Ok(Record {
            death: life.end(&mut self.findings)?,
            answers: Answers {
                good: after.good - before.good,
                ..after
            },
            measured,
            cpu_percent: at(&report, "/server/cpu_percent"),
            resident_bytes,
        })
    }

    fn many_rows(&mut self, records: &[Option<Record>; 3]) {
        let figure = |of: &dyn Fn(&Record) -> Option<f64>| -> Figure {
            records
                .iter()
                .map(|record| record.as_ref().and_then(of))
                .collect()
        };
        let row = &mut |label, decimals, figure, target| {
            self.table.row(label, decimals, figure, target);
        };
        let late = figure(&|record| record.death.lag_ms("lateness_p99_us"));
        row(
            "loop lateness p99 (ms)",
            2,
            late,
            Some(Target::AllAtMost(5.0)),
        );
        let latest = figure(&|record| record.death.lag_ms("lateness_max_us"));
        row("  latest of all", 2, latest, None);
        let longest = figure(&|record| record.death.lag_ms("turn_max_us"));
        row("longest turn of the loop (ms)", 2, longest, None);
        let long = figure(&|record| record.death.lag("long_turns"));
        row("turns longer than 10 ms", 0, long, None);
        let waited = figure(&|record| record.death.lag_ms("off_core_us"));
        row("kept off its core (ms in all)", 1, waited, None);
        let threads = figure(&|record| Some(record.death.threads as f64));
        row("threads", 0, threads, Some(Target::AllAtMost(1.0)));
        let sources = figure(&|record| Some(record.answers.sources as f64));
        row("exchanges that answered", 0, sources, None);
        let rate =
            figure(&|record| Some(record.answers.good as f64 / record.measured.as_secs_f64()));
        row("answers per second", 1, rate, None);
        let failed = figure(&|record| Some(record.answers.failed as f64));
        row(
            "requests that failed",
            0,
            failed,
            Some(Target::AllAtMost(0.0)),
        );
        let cpu = figure(&|record| record.cpu_percent);
        row("CPU in use (%)", 1, cpu, None);
        let resident = figure(&|record| Some(record.resident_bytes as f64 / 1e6));
        row("memory of the server (MB)", 1, resident, None);
    }
}

/// The symbols that the fake exchange trades everywhere.
fn symbols() -> String {
    let symbols: Vec<_> = (0..50).map(|n| format!("A{n}/USDT")).collect();
    symbols.join(",")
}

const EXCHANGES: [&str; 10] = [
    "binance",
    "coinbase",
    "kraken",
    "okx",
    "bybit",
    "kucoin",
    "gate",
    "bitfinex",
    "cryptocom",
    "bitget",
];

const CLIENTS: usize = 10;
