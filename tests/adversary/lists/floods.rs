//! A large market under the heaviest requests that are allowed: each costs little, and nobody waits
//! for them, however many come.
//!
//! Turns of the loop cannot be timed on a machine that does other things as well, so every day it
//! is the work that is judged: the server's own CPU time from a request to its answer, as the
//! kernel counts it, and the control client's waits, less those for a CPU. The machine may cause a
//! long wait once, and hardly in three floods in a row; the server's fault is there in each of
//! them. With `ADVERSARY=figures` the loop's longest turn has its limit too, which wants an
//! optimised build and a machine with nothing else to do.

use std::fs;
use std::io::{ErrorKind, Read};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cases::{self, Check};
use crate::control_client::{ControlClient, Stall};
use testkit::frames::frame;
use testkit::{Peer, ServerProcess, temp_file};

/// How much of it.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Whether the length of a turn must keep its limit.
    is_whole: bool,
    clients: usize,
    /// Requests that each of them sends in a row.
    at_once: usize,
    lasts: Duration,
}

impl Size {
    pub(crate) const WHOLE: Self = Self {
        is_whole: true,
        clients: 100,
        at_once: 40,
        lasts: Duration::from_secs(10),
    };

    pub(crate) const SMALL: Self = Self {
        is_whole: false,
        clients: 11,
        at_once: 10,
        lasts: Duration::from_millis(1500),
    };
}

/// A kind of request that is as much work as can be asked for.
struct Heavy {
    name: &'static str,
    path: String,
    /// The requests, used in turn.
    requests: Vec<String>,
}

/// A peer whose answers are counted while ticks pass.
struct Listener {
    peer: Peer,
    bytes: Vec<u8>,
}

/// Runs all floods; returns the failures.
pub(crate) fn run(size: Size) -> Vec<String> {
    let names = names();
    let file = temp_file(names.join("\n"));
    let symbols = format!("@{}", file.path().display());
    let kinds = kinds(&names);
    // Where no prices move, all that the server does is for the request.
    let quiet = crate::server(&["--symbols", &symbols, "--interval", "3600s"]);
    let costs = kinds.iter().map(|kind| costs_little(&quiet, kind));
    let mut wrongs: Vec<_> = costs.filter_map(Result::err).collect();
    drop(quiet);
    let options = ["--symbols", &symbols, "--interval", "20s", "--spread"];
    // A delay that a server in peace sees too is not the fault of the requests.
    let [program, peaceful] = [(); 2].map(|()| crate::server(&options));
    let mut floods = (0..FLOODS_MAX).map(|_| Flood::play(&program, &peaceful, &kinds, size));
    let mut last = floods.next().unwrap();
    while last.faults.is_empty() && !last.waits.is_empty() {
        let Some(next) = floods.next() else { break };
        last = next;
    }
    wrongs.extend(last.faults);
    wrongs.extend(last.waits);
    wrongs
}

/// All symbols, four of each base.
fn names() -> Vec<String> {
    let quotes = ["USDT", "USDC", "EUR", "BTC"];
    let name = |number: usize| format!("S{:05}/{}", number / 4, quotes[number % 4]);
    (0..SYMBOLS).map(name).collect()
}

fn kinds(names: &[String]) -> Vec<Heavy> {
    let ask = |op: &str, symbols: &[String]| json!({"op": op, "symbols": symbols}).to_string();
    let toggle = |symbols: &[String]| vec![ask("unsubscribe", symbols), ask("subscribe", symbols)];
    let everything = vec!["*".to_owned()];
    let stars = vec!["*".to_owned(); 900];
    let many: Vec<_> = names.iter().step_by(77).take(250).cloned().collect();
    let patterns: Vec<_> = (0..350).map(|base| format!("S{base:05}/*")).collect();
    let way = |every: &str| format!(r#"{{"op":"subscribe","every":{every}}}"#);
    let kind = |name, path: &str, requests| Heavy {
        name,
        path: format!("/?symbols={path}"),
        requests,
    };
    vec![
        kind("all but one", "*", toggle(&names[5..6])),
        kind(
            "one of a long list",
            "*/USDT,*/EUR,*/BTC",
            toggle(&names[4..5]),
        ),
        kind("all and none", "*", toggle(&everything)),
        kind("everything, 900 times", "*", toggle(&stars)),
        kind("250 names of all", "*", toggle(&many)),
        kind(
            "31 patterns of all",
            "*",
            vec![
                ask("unsubscribe", &patterns[..31]),
                ask("subscribe", &everything),
            ],
        ),
        kind(
            "350 patterns at once",
            "*",
            vec![ask("unsubscribe", &patterns)],
        ),
        kind(
            "a name like no other",
            "*/BTC",
            vec![ask("subscribe", &["X/Y".to_owned()])],
        ),
        kind(
            "the names of all",
            "S00000/BTC",
            vec![r#"{"op":"list"}"#.to_owned()],
        ),
        kind(
            "the names of all, 900 times",
            "S00000/BTC",
            vec![ask("list", &stars)],
        ),
        kind("a rate for all", "*", vec![way("\"10ms\""), way("null")]),
    ]
}

/// The server's CPU time for each request, the least of some, is within its limit.
fn costs_little(program: &ServerProcess, kind: &Heavy) -> Check {
    let mut listener = Listener::join(program, &kind.path)?;
    listener.ask(kind, 1)?;
    let mut least = vec![Duration::MAX; kind.requests.len()];
    for round in 0..ROUNDS {
        for (index, least) in least.iter_mut().enumerate() {
            let before = ran(program);
            listener.ask(kind, 1 + round * kind.requests.len() + index)?;
            *least = (*least).min(ran(program) - before);
        }
    }
    let worst = least.into_iter().max().unwrap_or_default();
    println!("{}: {worst:?} of CPU time", kind.name);
    cases::must(worst <= COST_MAX, || {
        format!("{}: a request takes {worst:?} of CPU time", kind.name)
    })
}

/// The problems while many clients asked for all that at once.
struct Flood {
    /// Whatever the machine did.
    faults: Vec<String>,
    /// Waits that were too long.
    waits: Vec<String>,
}

impl Flood {
    /// Dozens of requests in a row; a control client gets its ticks on time, and a newcomer its
    /// answer. Nobody sends the `peaceful` server any request.
    fn play(
        program: &ServerProcess,
        peaceful: &ServerProcess,
        kinds: &[Heavy],
        size: Size,
    ) -> Self {
        let [control, baseline] = [program, peaceful].map(|program| {
            let control = ControlClient::join(&program.address, program.pid(), INTERVAL);
            control.await_ticks(SYMBOLS as u64);
            control
        });
        let before = Turns::of(program);
        let (mut faults, longest) = flood_all(program, kinds, size);
        let turns = Turns::of(program).since(&before);
        println!(
            "the longest turn: {}; over 5 ms: {}; a newcomer waited for {longest:?} at most",
            turns.longest(),
            turns.over(TURN_MAX)
        );
        let is_kept = !size.is_whole || cfg!(debug_assertions) || turns.over(TURN_MAX) == 0;
        if !is_kept {
            faults.push(format!("the longest turn took {}", turns.longest()));
        }
        let baseline = baseline.leave();
        let seen = control.leave();
        let excess = |stall: Option<Stall>| stall.map(|stall| stall.excess);
        println!(
            "control client: {} ticks, {} missed, longest wait beyond the interval {:?}, in peace {:?}",
            seen.ticks,
            seen.wrong,
            excess(seen.worst(Some(&baseline))),
            excess(baseline.worst(None)),
        );
        faults.extend(seen.faults());
        let newcomer = (longest > ANSWER_MAX).then(|| format!("a newcomer waited for {longest:?}"));
        let waits = seen.too_late(Some(&baseline)).into_iter().chain(newcomer);
        Self {
            faults,
            waits: waits.collect(),
        }
    }
}

/// All clients at once, and newcomers beside them. Returns what was wrong, and how long the slowest
/// newcomer waited.
fn flood_all(program: &ServerProcess, kinds: &[Heavy], size: Size) -> (Vec<String>, Duration) {
    let until = Instant::now() + size.lasts;
    thread::scope(|scope| {
        let flood = |number: usize| {
            let kind = &kinds[number % kinds.len()];
            let answered = move || flood(program, kind, until, size.at_once);
            scope.spawn(move || answered().map_err(|error| format!("{}: {error}", kind.name)))
        };
        let floods: Vec<_> = (0..size.clients).map(flood).collect();
        let newcomers = newcomers(program, until);
        let floods = floods.into_iter().map(|flood| flood.join().unwrap());
        let answered: Vec<_> = floods.collect();
        let count: usize = answered.iter().flatten().sum();
        println!(
            "answered heavy requests: {count}, of {} clients",
            size.clients
        );
        let mut faults: Vec<_> = answered.into_iter().filter_map(Result::err).collect();
        let longest = newcomers.unwrap_or_else(|error| {
            faults.push(error);
            Duration::ZERO
        });
        (faults, longest)
    })
}

/// Asks as often as it may, many at a time, until it is time; returns how often.
fn flood(
    program: &ServerProcess,
    kind: &Heavy,
    until: Instant,
    at_once: usize,
) -> Result<usize, String> {
    let mut listener = Listener::join(program, &kind.path)?;
    let mut asked = 0;
    while Instant::now() < until {
        let due = Instant::now() + Duration::from_millis(20) * at_once as u32;
        listener.send(kind, asked, at_once);
        listener.await_answers(at_once)?;
        asked += at_once;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(asked)
}

/// One after the other joins and asks something small. Returns the longest wait for the answer.
fn newcomers(program: &ServerProcess, until: Instant) -> Result<Duration, String> {
    let mut longest = Duration::ZERO;
    while Instant::now() < until {
        let began = Instant::now();
        let mut listener = Listener::join(program, "/?symbols=S00000/BTC")?;
        listener.peer.send(&frame(0x81, br#"{"op":"ping"}"#));
        listener.await_answers(1)?;
        longest = longest.max(began.elapsed());
    }
    Ok(longest)
}

impl Listener {
    fn join(program: &ServerProcess, path: &str) -> Result<Self, String> {
        let peer = Peer::connect(&program.address).upgrade_at(path)?;
        let bytes = Vec::new();
        Ok(Self { peer, bytes })
    }

    fn ask(&mut self, kind: &Heavy, number: usize) -> Check {
        self.send(kind, number, 1);
        self.await_answers(1)
    }

    fn send(&self, kind: &Heavy, first: usize, count: usize) {
        for number in first..first + count {
            let request = &kind.requests[number % kind.requests.len()];
            self.peer.send(&frame(0x81, request.as_bytes()));
        }
    }

    /// Reads until `count` answers have come.
    fn await_answers(&mut self, mut count: usize) -> Check {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let mut rest = &self.bytes[..];
            while let Some((frame, behind)) = next_frame(rest) {
                cases::must(frame[0] != 0x88, || format!("closed: {frame:?}"))?;
                count = count.saturating_sub(usize::from(frame.windows(7).take(12).any(is_answer)));
                rest = behind;
            }
            self.bytes = rest.to_vec();
            if count == 0 {
                return Ok(());
            }
            match self.peer.stream.read(&mut buffer) {
                Ok(0) => return Err("the end".to_owned()),
                Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

fn is_answer(bytes: &[u8]) -> bool {
    bytes == br#"{"op":""#
}

/// A server's frame, and the bytes behind it.
fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let wide = |at: usize, count: usize| {
        let digits = bytes.get(at..at + count)?.iter();
        Some(digits.fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
    };
    let length = match *bytes.get(1)? {
        126 => 4 + wide(2, 2)?,
        127 => 10 + wide(2, 8)?,
        length => 2 + usize::from(length),
    };
    bytes.split_at_checked(length)
}

/// How long the server has run on a CPU.
fn ran(program: &ServerProcess) -> Duration {
    let path = format!("/proc/{}/schedstat", program.pid());
    let text = fs::read_to_string(path).unwrap();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap())
}

/// How many turns of the loop took how long: those up to each bound in seconds.
struct Turns(Vec<(String, u64)>);

impl Turns {
    fn of(program: &ServerProcess) -> Self {
        let page = program.metrics();
        let bucket = |line: &str| {
            let rest = line.strip_prefix("tickertape_loop_turn_seconds_bucket{le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((bound.to_owned(), count.parse().ok()?))
        };
        let turns: Vec<_> = page.lines().filter_map(bucket).collect();
        assert!(!turns.is_empty(), "no turns in {page}");
        Self(turns)
    }

    fn since(self, before: &Self) -> Self {
        let pairs = self.0.into_iter().zip(&before.0);
        Self(
            pairs
                .map(|((bound, now), (_, then))| (bound, now - then))
                .collect(),
        )
    }

    /// The bound that all of them keep.
    fn longest(&self) -> String {
        let all = self.0.last().map_or(0, |(_, count)| *count);
        let found = self.0.iter().find(|(_, count)| *count == all);
        found.map_or("?".to_owned(), |(bound, _)| format!("up to {bound} s"))
    }

    fn over(&self, limit: f64) -> u64 {
        let all = self.0.last().map_or(0, |(_, count)| *count);
        let within =
            |(bound, _): &&(String, u64)| bound.parse::<f64>().is_ok_and(|bound| bound <= limit);
        all - self.0.iter().rfind(within).map_or(0, |(_, count)| *count)
    }
}

/// A build that is not optimised takes ten times as long for each.
const SYMBOLS: usize = if cfg!(debug_assertions) {
    4_000
} else {
    20_000
};

/// Between two ticks of the market there are some milliseconds, and timers have their own size.
const INTERVAL: Duration = Duration::from_millis(10);

/// Of one request, and what it brings about.
const COST_MAX: Duration = if cfg!(debug_assertions) {
    Duration::from_millis(20)
} else {
    Duration::from_millis(5)
};

/// In seconds.
const TURN_MAX: f64 = 0.005;

/// Beside saturated floods, on a machine with much else to do.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Floods that are tried, as long as somebody waits in each.
const FLOODS_MAX: usize = 3;

/// Requests of which the cheapest counts: the others may have had a ping beside them.
const ROUNDS: usize = 4;
