//! Chooses which of several sources serves a symbol: the first healthy one in the user's order.
//! Pure: the time is handed in.
//!
//! It leaves a failed source as soon as the failure is clear, but returns to an earlier one only
//! after that has been good for some seconds. Otherwise a source that fails now and then would make
//! the price jump between exchanges all the time.

use std::time::{Duration, Instant};

/// The choice for one symbol.
#[derive(Debug)]
pub(super) struct Failover {
    candidates: Vec<Candidate>,
    active: usize,
    began: Instant,
}

/// How one source has served the symbol.
#[derive(Debug)]
struct Candidate {
    /// How old its newest answer may be.
    silence_max: Duration,
    last_good: Option<Instant>,
    /// The start of the current run of good answers, none of them late.
    good_since: Option<Instant>,
    failures: u32,
}

impl Failover {
    /// A choice that has no sources yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            candidates: Vec::new(),
            active: 0,
            began: now,
        }
    }

    /// Adds a source at a place in the order of preference; it may be silent for `silence_max`.
    pub(super) fn insert(&mut self, source: usize, silence_max: Duration) {
        // A source that comes before the one that serves has to prove itself first, unless the
        // choice has only begun.
        let has_begun = self
            .candidates
            .iter()
            .any(|candidate| candidate.last_good.is_some());
        self.active += usize::from(has_begun && source <= self.active);
        self.candidates.insert(
            source,
            Candidate {
                silence_max,
                last_good: None,
                good_since: None,
                failures: 0,
            },
        );
    }

    /// Removes a source. If it served, the first one serves until another choice is made.
    pub(super) fn remove(&mut self, source: usize) {
        self.candidates.remove(source);
        match self.active {
            active if active == source => self.active = 0,
            active => self.active -= usize::from(source < active),
        }
    }

    /// Sets how long a source may be silent.
    pub(super) fn set_silence_max(&mut self, source: usize, silence_max: Duration) {
        self.candidates[source].silence_max = silence_max;
    }

    /// The source that serves.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Notes a price from `source`. Returns whether another source serves as a result.
    pub(super) fn succeeded(&mut self, source: usize, now: Instant) -> bool {
        let candidate = &mut self.candidates[source];
        if !candidate.is_healthy(now) {
            candidate.good_since = None;
        }
        candidate.good_since.get_or_insert(now);
        candidate.last_good = Some(now);
        candidate.failures = 0;
        self.choose(now)
    }

    /// Notes a failure of `source`. Returns whether another source serves as a result.
    pub(super) fn failed(&mut self, source: usize, now: Instant) -> bool {
        let candidate = &mut self.candidates[source];
        candidate.failures = candidate.failures.saturating_add(1);
        candidate.good_since = None;
        self.choose(now)
    }

    /// Notes an answer from `source` that is older than an earlier one. Several servers behind one
    /// name give such answers all the time, so they only count as failures when a source gives no
    /// others. Returns whether another source serves as a result.
    pub(super) fn lagged(&mut self, source: usize, now: Instant) -> bool {
        let candidate = &mut self.candidates[source];
        candidate.failures = candidate.failures.saturating_add(1);
        self.choose(now)
    }

    fn choose(&mut self, now: Instant) -> bool {
        let before = self.active;
        let has_failed = self.candidates[before].has_failed(self.began, now);
        let mut candidates = self.candidates.iter();
        let chosen = if has_failed {
            candidates.position(|candidate| candidate.is_healthy(now))
        } else {
            let mut earlier = candidates.take(before);
            earlier.position(|candidate| candidate.has_recovered(now))
        };
        self.active = chosen.unwrap_or(before);
        self.active != before
    }
}

impl Candidate {
    fn is_healthy(&self, now: Instant) -> bool {
        let is_fresh = |last: Instant| now.saturating_duration_since(last) <= self.silence_max;
        self.failures < FAILURES_MAX && self.last_good.is_some_and(is_fresh)
    }

    /// Whether another source should replace this one. A source that never had a price gets no
    /// second chance.
    fn has_failed(&self, began: Instant, now: Instant) -> bool {
        match self.last_good {
            Some(_) => !self.is_healthy(now),
            None => self.failures > 0 || now.saturating_duration_since(began) > self.silence_max,
        }
    }

    fn has_recovered(&self, now: Instant) -> bool {
        let for_long = |since: Instant| now.saturating_duration_since(since) >= RECOVERY;
        self.is_healthy(now) && self.good_since.is_some_and(for_long)
    }
}

/// Failures in a row that make a source unfit to serve.
const FAILURES_MAX: u32 = 3;

/// How long a source must have been good before it serves again.
const RECOVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Three sources and made-up seconds.
    struct Play {
        failover: Failover,
        start: Instant,
    }

    impl Play {
        fn new() -> Self {
            let start = Instant::now();
            let mut failover = Failover::new(start);
            (0..3).for_each(|source| failover.insert(source, Duration::from_secs(5)));
            Self { failover, start }
        }

        fn good(&mut self, source: usize, seconds: f64) -> usize {
            let now = self.start + Duration::from_secs_f64(seconds);
            self.failover.succeeded(source, now);
            self.failover.active()
        }

        fn bad(&mut self, source: usize, seconds: f64) -> usize {
            let now = self.start + Duration::from_secs_f64(seconds);
            self.failover.failed(source, now);
            self.failover.active()
        }
    }

    #[test]
    fn the_first_source_serves_even_if_another_answers_sooner() {
        let mut play = Play::new();
        assert_eq!(play.good(1, 0.1), 0);
        assert_eq!(play.good(0, 0.3), 0);
        assert_eq!(play.good(2, 0.4), 0);
    }

    #[test]
    fn a_first_source_that_fails_before_its_first_price_is_replaced_at_once() {
        let mut play = Play::new();
        play.good(2, 0.1);
        assert_eq!(play.bad(0, 0.2), 2);
    }

    #[test]
    fn one_or_two_failures_are_forgiven_but_three_in_a_row_are_not() {
        let mut play = Play::new();
        play.good(0, 0.0);
        play.good(1, 0.0);
        assert_eq!(play.bad(0, 0.2), 0);
        assert_eq!(play.bad(0, 0.4), 0);
        assert_eq!(play.good(0, 0.6), 0);
        play.bad(0, 0.8);
        play.bad(0, 1.0);
        assert_eq!(play.bad(0, 1.2), 1);
    }

    #[test]
    fn a_silent_source_is_replaced() {
        let mut play = Play::new();
        play.good(0, 0.0);
        assert_eq!(play.good(1, 5.0), 0);
        assert_eq!(play.good(1, 5.1), 1);
    }

    #[test]
    fn an_earlier_source_serves_again_only_after_it_was_good_for_a_while() {
        let mut play = Play::new();
        play.good(1, 0.0);
        assert_eq!(play.bad(0, 0.0), 1);
        assert_eq!(play.good(0, 1.0), 1);
        play.good(1, 4.0);
        assert_eq!(play.good(0, 4.0), 1);
        assert_eq!(play.bad(0, 5.0), 1, "its recovery starts over");
        assert_eq!(play.good(0, 6.0), 1);
        play.good(1, 8.0);
        assert_eq!(play.good(0, 9.0), 1);
        play.good(1, 10.0);
        assert_eq!(play.good(0, 11.0), 0);
    }

    #[test]
    fn an_old_answer_now_and_then_does_not_keep_a_source_from_serving_again() {
        let mut play = Play::new();
        play.good(1, 0.0);
        assert_eq!(play.bad(0, 0.0), 1);
        for second in 1..6 {
            let second = f64::from(second);
            assert_eq!(play.good(0, second), 1);
            play.good(1, second);
            play.failover
                .lagged(0, play.start + Duration::from_secs_f64(second + 0.5));
        }
        assert_eq!(play.good(0, 6.0), 0);
        for _ in 0..3 {
            play.failover.lagged(0, play.start + Duration::from_secs(7));
        }
        assert_eq!(
            play.failover.active(),
            1,
            "a source with only old answers is replaced"
        );
    }

    #[test]
    fn silence_interrupts_a_recovery() {
        let mut play = Play::new();
        play.bad(0, 0.0);
        play.good(1, 0.0);
        play.good(0, 1.0);
        play.good(1, 4.0);
        play.good(1, 8.0);
        assert_eq!(play.good(0, 8.5), 1);
    }

    #[test]
    fn without_a_healthy_source_the_choice_does_not_change() {
        let mut play = Play::new();
        play.good(0, 0.0);
        for second in 1..10 {
            for source in 0..3 {
                assert_eq!(play.bad(source, f64::from(second)), 0);
            }
        }
        assert_eq!(play.good(2, 10.0), 2);
    }
    #[test]
    fn sources_may_come_and_go() {
        let mut play = Play::new();
        play.good(1, 0.0);
        assert_eq!(play.bad(0, 0.1), 1);
        play.failover.remove(0);
        assert_eq!(play.failover.active(), 0, "the same source, now the first");
        play.failover.insert(0, Duration::from_secs(5));
        assert_eq!(play.failover.active(), 1, "the new one has no price yet");
        play.good(1, 5.0);
        assert_eq!(play.good(0, 5.0), 1);
        play.good(1, 9.0);
        assert_eq!(play.good(0, 10.0), 0);
        play.failover.remove(0);
        assert_eq!(play.good(0, 10.0), 0);
    }
}
