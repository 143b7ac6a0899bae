//! Taking turns: when the edges are compared with a single server, only one side has clients at a
//! time. So both are measured under the same conditions, and neither disturbs the other.

use std::time::{Duration, Instant};

/// What is due for the clients of a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// They come.
    Come,
    /// All have come, so the measurement begins.
    Measure,
    /// The measurement ends, and they go.
    Go,
}

/// The turns of all tapes.
#[derive(Debug)]
pub(crate) struct Turns {
    tapes: usize,
    tape: usize,
    /// When its turn began.
    began: Instant,
    next: Option<Moment>,
}

impl Turns {
    /// With one tape there is only one turn, which does not end.
    pub(crate) fn new(tapes: usize, begun: Instant) -> Self {
        Self {
            tapes,
            tape: 0,
            began: begun,
            next: Some(Moment::Come),
        }
    }

    /// Whose turn it is.
    pub(crate) fn tape(&self) -> usize {
        self.tape
    }

    /// When something is due next.
    pub(crate) fn next(&self) -> Option<Instant> {
        Some(match self.next? {
            Moment::Come => self.began,
            Moment::Measure => self.began + SETTLING,
            Moment::Go => self.began + LENGTH,
        })
    }

    /// What is due, and for which tape.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(Moment, usize)> {
        if self.next()? > now {
            return None;
        }
        let (moment, tape) = (self.next.take()?, self.tape);
        self.next = match moment {
            _ if self.tapes == 1 => None,
            Moment::Come => Some(Moment::Measure),
            Moment::Measure => Some(Moment::Go),
            Moment::Go => {
                self.tape = (tape + 1) % self.tapes;
                self.began = now;
                Some(Moment::Come)
            }
        };
        Some((moment, tape))
    }

    /// Whether delivery is measured now.
    pub(crate) fn is_measuring(&self) -> bool {
        !matches!(self.next, Some(Moment::Come | Moment::Measure))
    }
}

/// How long a turn is, and how much of it clients have to come.
const LENGTH: Duration = Duration::from_secs(5);
const SETTLING: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is due in each half second.
    fn moments(tapes: usize) -> Vec<(Moment, usize)> {
        let begun = Instant::now();
        let mut turns = Turns::new(tapes, begun);
        let mut moments = Vec::new();
        for half in 0..21 {
            let now = begun + Duration::from_millis(500) * half;
            moments.extend(std::iter::from_fn(|| turns.take(now)));
        }
        moments
    }

    #[test]
    fn clients_of_one_tape_come_and_stay() {
        assert_eq!(moments(1), [(Moment::Come, 0)]);
    }

    #[test]
    fn clients_of_two_tapes_take_turns() {
        let (come, measure, go) = (Moment::Come, Moment::Measure, Moment::Go);
        let first = [
            (come, 0),
            (measure, 0),
            (go, 0),
            (come, 1),
            (measure, 1),
            (go, 1),
        ];
        assert_eq!(moments(2)[..6], first);
        assert_eq!(moments(2)[6..], [(come, 0)]);
    }
}
