//! What was asked for on the command line. `scripts/cluster.sh --help` explains it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pico_args::Arguments;

use crate::kill::Kill;
use crate::time::Time;

/// A run of a cluster.
#[derive(Debug)]
pub(crate) struct Options {
    /// The program of the servers.
    pub(crate) program: PathBuf,
    /// How many servers the broker has: one or three.
    pub(crate) brokers: usize,
    pub(crate) origins: usize,
    pub(crate) edges: usize,
    pub(crate) clients: usize,
    pub(crate) length: Duration,
    /// How often a client changes its edge; never if zero.
    pub(crate) hop: Duration,
    pub(crate) symbols: Vec<String>,
    pub(crate) interval: Duration,
    /// All symbols tick at the same time.
    pub(crate) together: bool,
    /// Prices come from a fake exchange, and are stale after so long.
    pub(crate) stale_after: Option<Duration>,
    /// In turns, measure a single server too.
    pub(crate) compare: bool,
    pub(crate) kills: Vec<Kill>,
    /// How long what was ended stays away, if that is not as usual.
    pub(crate) away: Option<Duration>,
    /// Where recordings and logs stay.
    pub(crate) keep: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// A sentence about the first that is wrong.
    pub(crate) fn parse(mut arguments: Arguments) -> Result<Self, String> {
        let given = &mut arguments;
        let options = Self {
            program: value(given, "--program")?.ok_or("--program is missing")?,
            brokers: value(given, "--servers")?.unwrap_or(1),
            origins: value(given, "--origins")?.unwrap_or(2),
            edges: value(given, "--edges")?.unwrap_or(2),
            clients: value(given, "--clients")?.unwrap_or(100),
            length: time(given, "--seconds")?.unwrap_or(Duration::from_secs(20)),
            hop: time(given, "--hop")?.unwrap_or(Duration::from_secs(1)),
            symbols: symbols(&value(given, "--symbols")?.unwrap_or("50".to_owned())),
            interval: time(given, "--interval")?.unwrap_or(Duration::from_millis(250)),
            together: given.contains("--together"),
            stale_after: time(given, "--stale-after")?,
            compare: given.contains("--compare"),
            kills: kills(given)?,
            away: time(given, "--away")?,
            keep: value(given, "--keep")?,
        };
        if let [unknown, ..] = arguments.finish().as_slice() {
            return Err(format!("unknown argument '{}'", unknown.to_string_lossy()));
        }
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            let is_within = (least..=most).contains(&value);
            is_within
                .then_some(())
                .ok_or_else(|| format!("invalid {name}: expected {least} to {most}"))
        };
        if ![1, 3].contains(&self.brokers) {
            return Err("invalid --servers: expected 1 or 3".to_owned());
        }
        within("--origins", self.origins, 1, 5)?;
        within("--edges", self.edges, 1, 50)?;
        within("--clients", self.clients, 0, 20_000)?;
        within("--seconds", self.length.as_secs() as usize, 1, 3_600)?;
        within("--symbols", self.symbols.len(), 1, 10_000)?;
        if self.interval.is_zero() {
            return Err("invalid --interval: expected a time above zero".to_owned());
        }
        if self.compare && !self.kills.is_empty() {
            return Err("--compare is about quiet times: leave --kill out".to_owned());
        }
        if self.compare && self.stale_after.is_some() {
            return Err("--compare simulates its prices: leave --stale-after out".to_owned());
        }
        match self.kills.iter().find(|kill| kill.at >= self.length) {
            Some(kill) => Err(format!("--kill {kill} comes after the end: see --seconds")),
            None => Ok(()),
        }
    }
}

fn value<T>(arguments: &mut Arguments, name: &'static str) -> Result<Option<T>, String>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let given = arguments.opt_value_from_str(name);
    given.map_err(|error| format!("invalid {name}: {error}"))
}

fn time(arguments: &mut Arguments, name: &'static str) -> Result<Option<Duration>, String> {
    Ok(value(arguments, name)?.map(|Time(time)| time))
}

fn kills(arguments: &mut Arguments) -> Result<Vec<Kill>, String> {
    let given = arguments.values_from_str("--kill");
    let mut kills: Vec<Kill> = given.map_err(|error| format!("invalid --kill: {error}"))?;
    kills.sort_by_key(|kill| kill.at);
    Ok(kills)
}

/// A number stands for that many made-up symbols.
fn symbols(text: &str) -> Vec<String> {
    match text.parse() {
        Ok(count) => (1..=count).map(|n: u32| format!("S{n}/USDT")).collect(),
        Err(_) => text.split(',').map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        let words = ["--program", "server"].iter().chain(words);
        Options::parse(Arguments::from_vec(words.map(Into::into).collect()))
    }

    #[test]
    fn a_number_of_symbols_makes_them_up() {
        assert_eq!(symbols("2"), ["S1/USDT", "S2/USDT"]);
        assert_eq!(symbols("BTC/USDT,ETH/USDT"), ["BTC/USDT", "ETH/USDT"]);
    }

    #[test]
    fn kills_are_sorted_by_time() {
        let options = parse(&["--kill", "edge@9", "--kill", "origin@2"]).unwrap();
        let kills: Vec<_> = options.kills.iter().map(Kill::to_string).collect();
        assert_eq!(kills, ["origin@2", "edge@9"]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        for (words, reason) in [
            (
                &["--servers", "2"][..],
                "invalid --servers: expected 1 or 3",
            ),
            (&["--edges", "0"], "invalid --edges: expected 1 to 50"),
            (&["--kill", "origin@30"], "comes after the end"),
            (&["--kill", "me@1"], "invalid --kill"),
            (&["--compare", "--kill", "edge@1"], "leave --kill out"),
            (&["--hop", "1x"], "invalid --hop"),
            (&["more"], "unknown argument 'more'"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
