//! How much one source may say in the log: a change is worth a line, but not when there is one
//! each second. Pure: the time is handed in.

use std::time::{Duration, Instant};

/// What a source has left to say.
#[derive(Debug)]
pub(super) struct Chatter {
    lines: u32,
    /// When the newest of them was gained.
    gained: Option<Instant>,
    is_cut: bool,
    /// Not said since it was.
    held: u64,
}

/// Whether to say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// After so many that were not said.
    Yes {
        held: u64,
    },
    /// That there is more than will be said, for now.
    Enough,
    No,
}

impl Default for Chatter {
    fn default() -> Self {
        Self {
            lines: LINES_MAX,
            gained: None,
            is_cut: false,
            held: 0,
        }
    }
}

impl Chatter {
    /// Asks for one line.
    pub(super) fn ask(&mut self, now: Instant) -> Say {
        let gained = self.gained.get_or_insert(now);
        let periods = now.saturating_duration_since(*gained).as_secs() / LINE_EVERY.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        if periods > 0 {
            *gained = now;
            self.lines = self.lines.saturating_add(periods).min(LINES_MAX);
        }
        if self.lines > 0 {
            self.lines -= 1;
            self.is_cut &= self.lines < LINES_MAX / 2;
            let held = std::mem::take(&mut self.held);
            return Say::Yes { held };
        }
        match std::mem::replace(&mut self.is_cut, true) {
            false => Say::Enough,
            true => {
                self.held += 1;
                Say::No
            }
        }
    }
}

/// Lines in a row.
const LINES_MAX: u32 = 20;

/// For how long each of them has to be waited for afterwards.
const LINE_EVERY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_without_end_are_told_of_now_and_then() {
        let start = Instant::now();
        let mut chatter = Chatter::default();
        let said: Vec<_> = (0..3_600)
            .map(|second| chatter.ask(start + Duration::from_secs(second)))
            .collect();
        let is_said = |say: &Say| matches!(say, Say::Yes { .. });
        assert!(said[..20].iter().all(|&say| say == Say::Yes { held: 0 }));
        assert_eq!(said[20], Say::Enough);
        let count = said.iter().filter(|say| is_said(say)).count();
        assert!((100..=140).contains(&count), "{count}");
        let enough = said.iter().filter(|&&say| say == Say::Enough);
        assert_eq!(enough.count(), 1);
        // The one that says that it is enough is said itself; all others are counted.
        let held: u64 = said
            .iter()
            .map(|say| match say {
                Say::Yes { held } => *held,
                _ => 0,
            })
            .sum();
        let untold = chatter.held;
        assert_eq!(held + untold + count as u64 + 1, 3_600);
        let much_later = start + Duration::from_secs(7_200);
        assert!((0..20).all(|_| is_said(&chatter.ask(much_later))));
        assert_eq!(chatter.ask(much_later), Say::Enough);
    }
}
