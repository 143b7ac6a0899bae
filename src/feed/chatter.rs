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
}

/// Whether to say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Yes,
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
            return Say::Yes;
        }
        match std::mem::replace(&mut self.is_cut, true) {
            false => Say::Enough,
            true => Say::No,
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
        let count = |it| said.iter().filter(|&&say| say == it).count();
        assert!(said[..20].iter().all(|&say| say == Say::Yes));
        assert_eq!(said[20], Say::Enough);
        assert!(
            (100..=140).contains(&count(Say::Yes)),
            "{}",
            count(Say::Yes)
        );
        assert_eq!(count(Say::Enough), 1);
        let much_later = start + Duration::from_secs(7_200);
        assert!((0..20).all(|_| chatter.ask(much_later) == Say::Yes));
        assert_eq!(chatter.ask(much_later), Say::Enough);
    }
}
