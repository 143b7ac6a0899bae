//! How much of the same the log takes. A line that peers or prices can bring about again and again is
//! written some times in a row, then now and then, and what was held back meanwhile is counted and
//! told.
//!
//! What is of the same is what one place in the code says: so every line there is has its limit, and
//! the memory for it is that of the places. Pure: the time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::Level;

/// A place in the code: its file and line.
pub(crate) type Place = (&'static str, u32);

/// What each place has left to say.
#[derive(Default)]
pub(crate) struct Budget {
    places: HashMap<Place, Said>,
}

struct Said {
    level: Level,
    /// Lines that it may still say.
    left: u32,
    /// When the newest of them was gained.
    gained: Instant,
    held: u64,
    held_last: Instant,
    /// The last line that was said, to tell what others like it are.
    like: String,
}

/// Whether to say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// After so many that were not said.
    Say {
        held: u64,
    },
    Hold,
}

/// What was held back and has to be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) level: Level,
    pub(crate) count: u64,
    /// The beginning of a line like them.
    pub(crate) like: String,
}

impl Budget {
    /// Whether `place` may say one more line; it becomes what the next ones are like.
    pub(crate) fn ask(
        &mut self,
        place: Place,
        level: Level,
        now: Instant,
        line: &dyn Fn() -> String,
    ) -> Verdict {
        let (most, every) = limits(level);
        let said = self.places.entry(place).or_insert_with(|| Said {
            level,
            left: most,
            gained: now,
            held: 0,
            held_last: now,
            like: String::new(),
        });
        said.level = level;
        said.gain(most, every, now);
        if said.left == 0 {
            said.held += 1;
            said.held_last = now;
            return Verdict::Hold;
        }
        said.left -= 1;
        said.like = line().chars().take(LIKE_LENGTH_MAX).collect();
        Verdict::Say {
            held: std::mem::take(&mut said.held),
        }
    }

    /// What was held back at places that have since been quiet.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<Held> {
        let quiet = |said: &&mut Said| {
            said.held > 0 && now.saturating_duration_since(said.held_last) >= QUIET
        };
        let quiet = self.places.values_mut().filter(quiet);
        quiet.map(Said::settle).collect()
    }
}

impl Said {
    fn gain(&mut self, most: u32, every: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.gained);
        let gained = u32::try_from(passed.as_micros() / every.as_micros()).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(most);
            self.gained = now;
        }
    }

    fn settle(&mut self) -> Held {
        Held {
            level: self.level,
            count: std::mem::take(&mut self.held),
            like: self.like.clone(),
        }
    }
}

/// Lines in a row, and how long each of them has to be waited for afterwards. Who asks for details
/// can take more of them.
fn limits(level: Level) -> (u32, Duration) {
    match level {
        Level::Error | Level::Warn | Level::Info => (60, Duration::from_secs(2)),
        Level::Debug | Level::Trace => (500, Duration::from_millis(20)),
    }
}

/// After so long without one more, what was held back is told by itself.
const QUIET: Duration = Duration::from_secs(1);

/// Of the line that tells what others are like, in characters.
const LIKE_LENGTH_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = ("here", 1);

    fn ask(budget: &mut Budget, place: Place, now: Instant) -> Verdict {
        budget.ask(place, Level::Warn, now, &|| "the server is full".to_owned())
    }

    #[test]
    fn a_flood_is_told_of_and_counted_and_hides_nobody_else() {
        let start = Instant::now();
        let mut budget = Budget::default();
        let said = (0..1000)
            .filter(|_| ask(&mut budget, HERE, start) != Verdict::Hold)
            .count();
        assert_eq!(said, 60);
        let elsewhere = ask(&mut budget, ("here", 2), start);
        assert_eq!(elsewhere, Verdict::Say { held: 0 });
        let later = start + Duration::from_secs(2);
        assert_eq!(ask(&mut budget, HERE, later), Verdict::Say { held: 940 });
        assert_eq!(ask(&mut budget, HERE, later), Verdict::Hold);
    }

    #[test]
    fn what_was_held_back_is_told_once_it_is_quiet() {
        let start = Instant::now();
        let mut budget = Budget::default();
        for _ in 0..70 {
            ask(&mut budget, HERE, start);
        }
        assert_eq!(budget.settle(start), []);
        let held = Held {
            level: Level::Warn,
            count: 10,
            like: "the server is full".to_owned(),
        };
        let later = start + QUIET;
        assert_eq!(budget.settle(later), [held]);
        assert_eq!(budget.settle(later + QUIET), []);
    }

    #[test]
    fn a_minute_of_peace_restores_it_and_no_more() {
        let start = Instant::now();
        let mut budget = Budget::default();
        for _ in 0..60 {
            ask(&mut budget, HERE, start);
        }
        let later = start + Duration::from_secs(3600);
        let said = (0..100)
            .filter(|_| ask(&mut budget, HERE, later) != Verdict::Hold)
            .count();
        assert_eq!(said, 60);
    }
}
