//! Command line options on top of pico-args: values with units, and errors that name the option,
//! say what is wrong and show a valid value.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::error_text::plain;
use crate::typo::is_typo;

/// The arguments of a program, taken out one option at a time.
pub struct Options {
    left: pico_args::Arguments,
    /// The options asked for so far, and whether they were among the arguments.
    known: Vec<(&'static str, bool)>,
}

/// An invalid command line. Programs print the error and exit with 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption(String);

impl Options {
    /// The arguments of this process.
    pub fn from_env() -> Self {
        Self::of(pico_args::Arguments::from_env())
    }

    /// The given arguments, without the program's name.
    pub fn new(arguments: Vec<OsString>) -> Self {
        Self::of(pico_args::Arguments::from_vec(arguments))
    }

    fn of(arguments: pico_args::Arguments) -> Self {
        Self {
            left: arguments,
            known: Vec::new(),
        }
    }

    /// Whether the flag `name` is among them.
    pub fn flag(&mut self, name: &'static str) -> bool {
        let is_given = self.left.contains(name);
        self.known.push((name, is_given));
        is_given
    }

    /// What the program prints instead of running, if the arguments ask for that: the `help`, or
    /// its version.
    pub fn information(&mut self, help: &'static str) -> Option<&'static str> {
        if self.left.contains("-h") || self.flag("--help") {
            return Some(help);
        }
        self.flag("--version").then_some(VERSION)
    }

    /// Whether an option that was asked for was among the arguments.
    pub fn was_given(&self, name: &str) -> bool {
        self.known.contains(&(name, true))
    }

    /// The value of option `name`, read by `parse`; `None` if the option is absent.
    ///
    /// # Errors
    /// When the value is missing or `parse` refuses it.
    pub fn value<T>(
        &mut self,
        name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadOption> {
        let value = self.internal(name, parse)?;
        self.known.push((name, value.is_some()));
        Ok(value)
    }

    /// The same for an option that one program starts another with: no error suggests it to users.
    ///
    /// # Errors
    /// When the value is missing or `parse` refuses it.
    pub(crate) fn internal<T>(
        &mut self,
        name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadOption> {
        let named = |error: &dyn fmt::Display| BadOption(format!("{name}: {error}"));
        match self.left.opt_value_from_fn(name, parse) {
            Ok(value) => Ok(value),
            Err(pico_args::Error::OptionWithoutAValue(_)) => Err(named(&"missing value")),
            Err(pico_args::Error::Utf8ArgumentParsingFailed { cause, .. }) => Err(named(&cause)),
            Err(error) => Err(named(&error)),
        }
    }

    /// All values of option `name`, which may be repeated, in their order.
    ///
    /// # Errors
    /// When a value is missing or `parse` refuses one.
    pub fn values<T>(
        &mut self,
        name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, BadOption> {
        let mut values = Vec::new();
        while let Some(value) = self.value(name, parse)? {
            values.push(value);
        }
        Ok(values)
    }

    /// The first argument that is not an option, once all options have been read.
    pub fn word(&mut self) -> Option<String> {
        let left = self.left.clone().finish();
        let is_word = !left.first()?.to_string_lossy().starts_with('-');
        is_word.then(|| self.left.free_from_str().ok()).flatten()
    }

    /// Refuses leftover arguments: unknown options, options given twice, stray words.
    ///
    /// # Errors
    /// When an argument is left over.
    pub fn finish(self) -> Result<(), BadOption> {
        let Self { left, known } = self;
        let left = left.finish();
        let Some(argument) = left.first() else {
            return Ok(());
        };
        let argument = argument.to_string_lossy();
        let name = argument.split('=').next().unwrap_or_default();
        let mut names = known.iter().map(|(name, _)| *name);
        Err(BadOption(if known.contains(&(name, true)) {
            format!("{name} is given twice")
        } else if known.contains(&(name, false)) {
            format!("{name} takes no value")
        } else if let Some(near) = names.find(|known| is_typo(name, known)) {
            format!("unknown option '{name}', did you mean {near}?")
        } else if argument.contains("://") && argument.contains('@') {
            // A URL without its option may contain a password.
            "unexpected argument '***', see --help".to_owned()
        } else {
            format!("unexpected argument '{argument}', see --help")
        }))
    }
}

impl BadOption {
    /// An error about the option `name` in combination with others.
    pub fn new(name: &str, error: impl fmt::Display) -> Self {
        Self(format!("{name}: {error}"))
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadOption {}

/// What `--version` prints.
const VERSION: &str = concat!("tickertape ", env!("CARGO_PKG_VERSION"), "\n");

/// Prints to stdout. A reader that has closed its end (`client | head`) is not an error.
///
/// # Errors
/// The system's error in plain words, such as a full disk.
pub fn print(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(plain(&error)),
        _ => Ok(()),
    }
}

/// Prints the program's output to stdout, and returns the exit code.
pub fn say(text: &str) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write to stdout: {error}"), 1),
    }
}

/// Prints an error to stderr, and returns `status` as the exit code.
pub fn fail(error: &dyn fmt::Display, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(status)
}

/// Reads `60`, `60s`, `500ms`, `200us`, `1m`, `1.5h`. Without a unit, it is in seconds.
///
/// # Errors
/// A sentence that shows a valid value.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let seconds_per_unit = match unit {
        "" | "s" => 1.0,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "invalid duration '{text}': expected something like 60, 10s, 500ms or 1m"
            ));
        }
    };
    let seconds = number
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite());
    seconds
        .map(|seconds| seconds * seconds_per_unit)
        // A century: longer than any timer runs, and sums with it still fit.
        .filter(|seconds| (0.0..=3_153_600_000.0).contains(seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            format!("invalid duration '{text}': expected something like 60, 10s, 500ms or 1m")
        })
}

/// Reads a [`duration`] greater than zero.
///
/// # Errors
/// A sentence that shows a valid value.
pub fn period(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!(
            "invalid duration '{text}': expected more than 0, such as 1ms"
        )),
        period => Ok(period),
    }
}

/// Reads a number of bytes: `4096`, `64KiB`, `1MiB`, `1GiB`, or `64K`, `1M`, `1G`.
///
/// # Errors
/// A sentence that shows a valid value.
pub fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split_unit(text);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => {
            return Err(format!(
                "invalid size '{text}': expected something like 4096, 64KiB or 1MiB"
            ));
        }
    };
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| {
            format!("invalid size '{text}': expected something like 4096, 64KiB or 1MiB")
        })
}

/// Reads a whole number that is at least one.
///
/// # Errors
/// A sentence that shows a valid value.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "invalid count '{text}': expected a whole number from 1"
        )),
        Ok(count) => Ok(count),
    }
}

/// Reads the name of a file.
///
/// # Errors
/// When it is empty, as after an unset variable.
pub fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("missing value".to_owned()),
        text => Ok(text.into()),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(line: &str) -> Options {
        Options::new(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn durations_accept_common_units_and_fractions() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("60", ms(60_000)),
            ("60s", ms(60_000)),
            ("1m", ms(60_000)),
            ("0.5", ms(500)),
            ("500ms", ms(500)),
            ("200us", Duration::from_micros(200)),
            ("1.5h", ms(5_400_000)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "s",
            "-1",
            "1d",
            "1 s",
            "NaN",
            "inf",
            "1e3",
            "1..5s",
            "9".repeat(40).as_str(),
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(period("0ms").is_err());
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1M"), Ok(1_048_576));
        assert!(size("1.5MiB").is_err());
        assert!(size("1XB").is_err());
        assert!(size("99999999999999GiB").is_err());
    }

    #[test]
    fn errors_name_the_option_and_show_a_valid_value() {
        let error = options("--wait soon")
            .value("--wait", duration)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "--wait: invalid duration 'soon': expected something like 60, 10s, 500ms or 1m"
        );
        let error = options("--wait").value("--wait", duration).unwrap_err();
        assert_eq!(error.to_string(), "--wait: missing value");
        let error = options("5").finish().unwrap_err();
        assert_eq!(error.to_string(), "unexpected argument '5', see --help");
    }

    /// The error about what is left when `--wait TIME` and `--fast` have been taken out.
    fn leftover(line: &str) -> String {
        let mut options = options(line);
        options.value("--wait", duration).unwrap();
        options.flag("--fast");
        options.finish().unwrap_err().to_string()
    }

    #[test]
    fn an_option_given_twice_is_named() {
        assert_eq!(leftover("--wait 5 --wait 6"), "--wait is given twice");
        assert_eq!(leftover("--wait 5 --wait=6"), "--wait is given twice");
        assert_eq!(leftover("--fast --fast"), "--fast is given twice");
        assert_eq!(leftover("--fast=1"), "--fast takes no value");
    }

    #[test]
    fn a_misspelled_option_is_answered_with_the_right_one() {
        for text in ["--wiat 5", "--wait-", "--Wait=5", "--wai"] {
            let error = leftover(text);
            assert!(error.ends_with("', did you mean --wait?"), "{error}");
        }
        let error = leftover("--slow");
        assert_eq!(error, "unexpected argument '--slow', see --help");
    }

    #[test]
    fn options_tell_whether_they_were_given() {
        let mut options = options("--wait 5");
        options.value("--wait", duration).unwrap();
        options.flag("--fast");
        assert!(options.was_given("--wait") && !options.was_given("--fast"));
    }

    #[test]
    fn help_comes_before_the_version() {
        let information = |line| options(line).information("help");
        assert_eq!(information("--version -h"), Some("help"));
        assert_eq!(information("--help"), Some("help"));
        let version = concat!("tickertape ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(information("--wait 5 --version"), Some(version));
        assert_eq!(information("--wait 5"), None);
    }

    #[test]
    fn a_word_is_what_no_option_has_taken() {
        let mut some = options("--wait 5 there");
        assert!(some.value("--wait", duration).unwrap().is_some());
        assert_eq!(some.word().as_deref(), Some("there"));
        assert_eq!(some.word(), None);
        assert_eq!(some.finish(), Ok(()));
        let mut other = options("--wiat 5");
        assert_eq!(other.word(), None);
        assert!(other.finish().is_err());
    }

    #[test]
    fn an_option_that_may_be_repeated_keeps_its_order() {
        let mut options = options("--wait 5 --wait=6 --other");
        let waits = options.values("--wait", count).unwrap();
        assert_eq!(waits, [5, 6]);
        assert!(options.values("--wait", count).unwrap().is_empty());
        assert!(options.flag("--other"));
    }

    proptest! {
        #[test]
        fn reading_a_value_never_panics(text in "\\PC{0,20}") {
            let _ = (duration(&text), size(&text), count(&text));
        }
    }
}
