//! The server under attack, a second one that is left in peace, and a control client of each.

use std::thread;
use std::time::{Duration, Instant};

use crate::cases::Check;
use crate::control_client::ControlClient;
use testkit::{Footprint, PATIENCE, ServerProcess};

/// A server under attack, with what it is judged by.
pub(crate) struct Fixture {
    pub(crate) address: String,
    pub(crate) program: ServerProcess,
    pub(crate) limits: Limits,
    control: ControlClient,
    baseline: (ServerProcess, ControlClient),
}

/// The options of the server on which cases depend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) interval: Duration,
    pub(crate) handshake: Duration,
    pub(crate) close: Duration,
    pub(crate) ping: Duration,
    pub(crate) slow: Duration,
    /// In bytes.
    pub(crate) tape: u64,
    /// In bytes.
    pub(crate) send_buffer: u64,
    /// How many clients make a crowd.
    pub(crate) crowd: usize,
}

/// The resources and clients of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) footprint: Footprint,
    pub(crate) clients: u64,
    pub(crate) connections: u64,
}

impl Limits {
    /// Small limits, so that each is reached within seconds.
    pub(crate) const SMALL: Self = Self {
        interval: Duration::from_millis(5),
        handshake: Duration::from_millis(500),
        close: Duration::from_millis(500),
        ping: Duration::from_secs(1),
        slow: Duration::from_millis(700),
        tape: 64 << 10,
        send_buffer: 8 << 10,
        crowd: 300,
    };

    /// The server's defaults.
    pub(crate) const DEFAULT: Self = Self {
        interval: Duration::from_millis(5),
        handshake: Duration::from_secs(5),
        close: Duration::from_secs(5),
        ping: Duration::from_secs(20),
        slow: Duration::from_secs(30),
        tape: 1 << 20,
        send_buffer: 64 << 10,
        crowd: 5000,
    };

    /// As the server's options.
    fn options(self) -> Vec<String> {
        let ms = |name: &str, time: Duration| format!("{name}={}ms", time.as_millis());
        vec![
            ms("--interval", self.interval),
            ms("--handshake-timeout", self.handshake),
            ms("--close-timeout", self.close),
            ms("--ping-interval", self.ping),
            ms("--slow-timeout", self.slow),
            format!("--symbols={}", SYMBOLS.join(",")),
            format!("--tape={}", self.tape),
            format!("--send-buffer={}", self.send_buffer),
        ]
    }

    /// Checks that something that took this long kept to a limit: not earlier, and not much later.
    pub(crate) fn kept(self, name: &str, limit: Duration, took: Duration) -> Check {
        let kept = (limit..limit + SLACK).contains(&took);
        crate::cases::must(kept, || {
            format!("{name} is {limit:?}, and it took {took:?}")
        })
    }
}

impl Fixture {
    pub(crate) fn start(limits: Limits) -> Self {
        let start = || {
            let options = limits.options();
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            let program = crate::server(&options);
            let control = ControlClient::join(&program.address, program.pid(), limits.interval);
            (program, control)
        };
        let (program, control) = start();
        Self {
            address: program.address.clone(),
            program,
            limits,
            control,
            baseline: start(),
        }
    }

    /// The server's state once its tape is full: memory that is touched for the first time is no
    /// growth.
    pub(crate) fn warm_up(&self) -> State {
        self.control.await_ticks(self.limits.tape / TICK_LENGTH);
        self.state()
    }

    fn state(&self) -> State {
        State::of(&self.program)
    }

    /// Waits until everything is as before; returns the differences that stay.
    pub(crate) fn settle(&self, before: State) -> Vec<String> {
        let until = Instant::now() + self.limits.close + SLACK;
        loop {
            let now = self.state();
            let wrongs = now.wrongs(before);
            if wrongs.is_empty() || Instant::now() > until {
                println!("before: {before:?}\nafter:  {now:?}");
                return wrongs;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the servers; returns what the control client noticed of the attacks.
    pub(crate) fn finish(self) -> Vec<String> {
        let baseline = self.baseline.1.leave();
        let seen = self.control.leave();
        let worst = |worst: Option<crate::control_client::Stall>| worst.map(|stall| stall.excess);
        println!(
            "control client: {} ticks, {} missed, longest wait beyond the interval {:?}, in peace {:?}",
            seen.ticks,
            seen.wrong,
            worst(seen.worst(Some(&baseline))),
            worst(baseline.worst(None)),
        );
        seen.verdict(Some(&baseline))
    }
}

/// Waits until a metric of a server has the value.
pub(crate) fn await_metric(
    program: &ServerProcess,
    name: &str,
    wanted: impl Fn(u64) -> bool,
) -> Check {
    let until = Instant::now() + PATIENCE;
    loop {
        let value = metric(&program.metrics(), name);
        if value.is_some_and(&wanted) {
            return Ok(());
        }
        crate::cases::must(Instant::now() < until, || format!("{name} is {value:?}"))?;
        thread::sleep(Duration::from_millis(5));
    }
}

/// The value of a metric on its page; none if the page is a 503, for example.
pub(crate) fn metric(page: &str, name: &str) -> Option<u64> {
    testkit::metrics::value(page, &format!("tickertape_{name}"))
}

impl State {
    fn of(program: &ServerProcess) -> Self {
        let page = program.metrics();
        Self {
            footprint: program.footprint(),
            clients: metric(&page, "clients").unwrap(),
            connections: metric(&page, "connections").unwrap(),
        }
    }

    fn wrongs(self, before: Self) -> Vec<String> {
        let (now, then) = (self.footprint, before.footprint);
        let grown = now.resident_bytes.abs_diff(then.resident_bytes);
        let all = [
            (
                grown > RESIDENT_MAX,
                format!("memory differs by {grown} bytes"),
            ),
            (
                now.descriptors != then.descriptors,
                "descriptors differ".to_owned(),
            ),
            (now.threads != 1, format!("{} threads", now.threads)),
            (self.clients != before.clients, "clients differ".to_owned()),
            (
                self.connections != before.connections,
                "connections differ".to_owned(),
            ),
        ];
        all.into_iter()
            .filter_map(|(is_wrong, word)| is_wrong.then_some(word))
            .collect()
    }
}

/// Several, so that there is much to send.
pub(crate) const SYMBOLS: [&str; 4] = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"];

/// How much later than a limit its effect may be seen on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_secs(5);

/// By how much memory may differ afterwards.
const RESIDENT_MAX: u64 = 4 << 20;

/// No tick is shorter.
const TICK_LENGTH: u64 = 80;
