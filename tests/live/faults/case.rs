//! The test of one fault, from its beginning to its end.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::SYMBOLS;
use super::health;
use super::ledger::Account;
use super::listener::Listener;
use testkit::fake_exchange::{Config, FakeExchange, Fault};
use testkit::{ServerProcess, temp_file};

/// A fault, and the expected reaction of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) fault: Fault,
    /// How often it strikes in a row; 0 means until it is in the log.
    pub(crate) times: u64,
    /// What the log says about the source, once; empty for harmless faults.
    pub(crate) says: &'static str,
    /// The kind that it is counted as.
    pub(crate) kind: &'static str,
    /// Whether each strike is logged, and the source counts as up all the same.
    pub(crate) is_noted: bool,
}

/// A server and everything that belongs to it.
struct Scene<'c> {
    case: &'c Case,
    source: &'static str,
    exchange: FakeExchange,
    program: ServerProcess,
    listener: Listener,
}

/// A fault that is logged with these words and counted as this kind.
pub(crate) fn harmful(fault: Fault, says: &'static str, kind: &'static str) -> Case {
    Case {
        fault,
        times: 2,
        says,
        kind,
        is_noted: false,
    }
}

/// A fault that does not delay the price, but is logged with these words each time.
pub(crate) fn noted(fault: Fault, says: &'static str, kind: &'static str) -> Case {
    Case {
        is_noted: true,
        ..harmful(fault, says, kind)
    }
}

/// A fault that does not delay the price.
pub(crate) fn harmless(fault: Fault) -> Case {
    harmful(fault, "", "")
}

impl Case {
    /// Makes the fault strike this many times.
    pub(crate) fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

/// Tries all `cases` on `source`; `meets` makes the server run into a fault that has been set.
/// Reports each case that fails.
pub(crate) fn try_all(source: &'static str, cases: Vec<Case>, meets: fn(&FakeExchange, &Case)) {
    let queue = Mutex::new(cases.into_iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(case) = next else { return };
                    if let Err(why) = Scene::new(source, &case).play(meets) {
                        let fault = case.fault;
                        failed
                            .lock()
                            .unwrap()
                            .push(format!("{source}: {fault}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

impl<'c> Scene<'c> {
    fn new(source: &'static str, case: &'c Case) -> Self {
        let exchange = FakeExchange::start(Config {
            symbols: SYMBOLS.map(str::to_owned).to_vec(),
            tick_every: Duration::from_millis(20),
            patience: Duration::from_secs(8),
            ..Config::default()
        })
        .unwrap();
        // The server reads the files when it starts.
        let ca = temp_file(exchange.pem());
        let catalogue = temp_file(impatient_catalogue());
        let upstream = exchange.https();
        let program = ServerProcess::start(
            env!("CARGO_BIN_EXE_server"),
            &[
                "--source",
                source,
                "--upstream",
                &upstream,
                "--ca",
                ca.path().to_str().unwrap(),
                "--exchanges",
                catalogue.path().to_str().unwrap(),
                "--interval",
                "50ms",
                "--request-timeout",
                "4s",
                "--stale-after",
                "500ms",
            ],
        );
        let listener = Listener::start(&program.address);
        Self {
            case,
            source,
            exchange,
            program,
            listener,
        }
    }

    fn play(&self, meets: fn(&FakeExchange, &Case)) -> Result<(), String> {
        let Case { fault, times, .. } = *self.case;
        self.await_prices(2)?;
        match times {
            0 => self.exchange.set(self.source, fault),
            times => self.exchange.set_times(self.source, fault, times),
        }
        meets(&self.exchange, self.case);
        self.watch("the fault never struck", || self.has_struck())?;
        self.exchange.clear();
        self.watch("no recovery", || self.is_over())?;
        self.await_prices(3)?;
        self.check_log()?;
        self.check_metrics()?;
        let account = Account::settle(self.source, &self.exchange, &self.listener, PATIENCE);
        if account.is_good() {
            Ok(())
        } else {
            Err(format!("{account:?}"))
        }
    }

    fn has_struck(&self) -> bool {
        match self.case.times {
            0 => self.reports() > 0,
            times => {
                let struck = self.exchange.struck();
                struck
                    .get(self.case.fault.name())
                    .is_some_and(|struck| *struck >= times)
            }
        }
    }

    /// Whether the log reports the end of every failure that it reported.
    fn is_over(&self) -> bool {
        if self.case.says.is_empty() || self.case.is_noted {
            return health::sources_are_up(&self.program);
        }
        self.reports() > 0
            && self.program.lines(": works again after ") > 0
            && health::sources_are_up(&self.program)
    }

    /// Waits for `more` prices.
    fn await_prices(&self, more: usize) -> Result<(), String> {
        let count = || self.listener.counts().values().sum::<usize>();
        let begun = count();
        self.watch("no prices", || count() >= begun + more)
    }

    /// Waits until a condition holds, and checks that the server answers other requests meanwhile.
    fn watch(&self, what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
        let began = Instant::now();
        while !is_so() {
            let asked = Instant::now();
            if !health::is_healthy(&self.program) || asked.elapsed() > STALLED {
                return Err(format!("/healthz took {:?}", asked.elapsed()));
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{what}: {}", self.program.log()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// How often the log has the expected words, or any warning if none are expected.
    fn reports(&self) -> u64 {
        let (source, says) = (self.source, self.case.says);
        self.program.lines(&format!("warn: {source}: {says}"))
    }

    /// Checks for one line when the fault begins and one when it ends, however often it struck.
    fn check_log(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what}: {}", self.program.log()));
        match (self.case.says, self.reports()) {
            ("", 0) => return Ok(()),
            (_, 1..) if self.case.is_noted => return Ok(()),
            ("", _) => return wrong("a warning"),
            (_, 1) => {}
            _ => return wrong("not reported once"),
        }
        match self.program.lines("works again after") {
            1.. => Ok(()),
            0 => wrong("its end is not reported"),
        }
    }

    fn check_metrics(&self) -> Result<(), String> {
        let (source, kind) = (self.source, self.case.kind);
        if kind.is_empty() {
            return Ok(());
        }
        let page = self.program.metrics();
        let failures = page
            .lines()
            .filter(|line| line.contains("source_failures_total{"));
        let mut of_kind = failures.filter(|line| {
            line.contains(&format!("\"{source}\"")) && line.contains(&format!("\"{kind}\""))
        });
        let count = of_kind.next().and_then(|line| line.rsplit(' ').next());
        let count: u64 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        // A redirect loop strikes many times in one request.
        if count >= self.case.times.clamp(1, 2) {
            Ok(())
        } else {
            Err(format!("counted as {kind} only {count} times"))
        }
    }
}

/// The catalogue, but streams are asked for a sign of life every second.
fn impatient_catalogue() -> String {
    let text = fs::read_to_string("crates/exchanges/exchanges.json").unwrap();
    let mut catalogue: Value = serde_json::from_str(&text).unwrap();
    for entry in catalogue["exchanges"].as_array_mut().unwrap() {
        if let Some(every) = entry.pointer_mut("/stream/alive/every_ms") {
            *every = 1000.into();
        }
    }
    catalogue.to_string()
}

/// How many servers run at once.
const AT_A_TIME: usize = 16;

/// No case takes this long, on any machine.
const PATIENCE: Duration = Duration::from_secs(25);

/// A loop that answers this late has waited for an exchange, which may take four seconds; a busy
/// machine may take a part of that.
const STALLED: Duration = Duration::from_secs(3);
