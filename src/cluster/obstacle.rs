//! Why a server has no prices from the log, for its operator. Pure: it is told what the broker says
//! and what time it is, and says what to log.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::nats::{Denial, NatsUrl};

/// What the broker says of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogState {
    /// It is there, and set up as it has to be.
    Usable,
    /// The server has no JetStream.
    NoJetStream,
    /// There is no stream of this name.
    Missing,
    /// The stream of this name is set up in another way, which is this.
    Foreign(String),
    /// Nobody answers.
    Silent,
    /// The broker refuses to answer, and says why.
    Refused(String),
}

/// Looks why there are no prices.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The name of the log.
    name: String,
    is_origin: bool,
    state: Option<LogState>,
    /// Rights that are missing.
    denied: BTreeSet<Denial>,
    /// Since when there is something to look into.
    since: Option<Instant>,
    /// When the state was last asked for.
    asked: Option<Instant>,
    /// What the log of this server says, and since when.
    told: Option<(String, Instant)>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Ask the broker for the state of the log.
    Ask,
    /// Warn of this.
    Warn(String),
    /// Say that all is well again.
    Relieve,
}

impl Watch {
    pub(crate) fn new(url: &NatsUrl, is_origin: bool) -> Self {
        Self {
            name: url.name.clone(),
            is_origin,
            state: None,
            denied: BTreeSet::new(),
            since: None,
            asked: None,
            told: None,
        }
    }

    /// Begins to look, at a new connection.
    pub(crate) fn begin(&mut self) {
        self.denied.clear();
        (self.state, self.since, self.asked) = (None, None, None);
    }

    pub(crate) fn take_state(&mut self, state: LogState) {
        self.state = Some(state);
    }

    pub(crate) fn deny(&mut self, denial: Denial) {
        self.denied.insert(denial);
    }

    pub(crate) fn grant(&mut self, denial: &Denial) {
        self.denied.remove(denial);
    }

    /// Whether a right is missing.
    pub(crate) fn is_denied(&self) -> bool {
        !self.denied.is_empty()
    }

    /// Why there are no prices, as far as the broker has told.
    pub(crate) fn obstacle(&self) -> Option<String> {
        if !self.denied.is_empty() {
            let denied: Vec<_> = self.denied.iter().map(lacks).collect();
            return Some(denied.join("; "));
        }
        self.state.as_ref().map(|state| self.describe(state))
    }

    /// What is due on a connection. `has_prices` says that an origin writes.
    pub(crate) fn advance(&mut self, has_prices: bool, now: Instant) -> Option<Advice> {
        if has_prices && self.denied.is_empty() {
            self.since = None;
            self.state = None;
            return self.told.take().map(|_| Advice::Relieve);
        }
        let since = *self.since.get_or_insert(now);
        if !has_prices && now < since + PATIENCE && self.denied.is_empty() {
            return None;
        }
        let is_due = self.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
        if !has_prices && is_due {
            self.asked = Some(now);
            return Some(Advice::Ask);
        }
        self.warn(now)
    }

    /// Warns of what is new. Missing rights are worth a reminder, since prices may still come.
    fn warn(&mut self, now: Instant) -> Option<Advice> {
        let takes_over = self.is_origin && self.state == Some(LogState::Usable);
        let why = self
            .obstacle()
            .filter(|_| self.is_denied() || !takes_over)?;
        let is_known = self.told.as_ref().is_some_and(|(told, at)| {
            *told == why && !(self.is_denied() && now >= *at + REMIND_EVERY)
        });
        if is_known {
            return None;
        }
        self.told = Some((why.clone(), now));
        Some(Advice::Warn(why))
    }

    fn describe(&self, state: &LogState) -> String {
        let name = &self.name;
        match state {
            LogState::Usable => {
                format!("no origin writes to the log '{name}': start one with --publish")
            }
            LogState::NoJetStream => NO_JETSTREAM.to_owned(),
            LogState::Missing => format!(
                "there is no log '{name}': check the NAME at the end of the URL, or start an origin \
                 with --publish, which makes it"
            ),
            LogState::Foreign(differences) => foreign(name, differences),
            LogState::Silent => format!(
                "the log '{name}' does not answer: check whether the NATS server that leads its \
                 stream is up"
            ),
            LogState::Refused(text) => format!("NATS cannot use the log '{name}': {text}"),
        }
    }
}

/// What to say about a missing right.
fn lacks(denial: &Denial) -> String {
    let Denial { right, subject } = denial;
    let right = right.name();
    format!(
        "this user {denial}: add {subject} to the user's {right} permissions at the NATS server"
    )
}

/// What to say of a server that lacks a right at the start, behind the server's name.
pub(super) fn refuses(denial: &Denial) -> String {
    format!("lacks a permission: {}", lacks(denial))
}

/// What to say of a stream that is set up in another way.
pub(super) fn foreign(name: &str, differences: &str) -> String {
    format!(
        "the stream '{name}' is not a log of tickertape, it differs in {differences}: name another \
         log in the URL, or remove that stream"
    )
}

pub(super) const NO_JETSTREAM: &str =
    "no JetStream here: start nats-server with --jetstream, or name servers that have it";

/// How long prices may be missing before that is looked into: as long as a change of servers takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the broker is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// How often a missing right is mentioned again.
const REMIND_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::Right;

    /// A watch, and a clock.
    struct Scene {
        watch: Watch,
        now: Instant,
    }

    impl Scene {
        fn new(is_origin: bool) -> Self {
            let url = "nats://h/prices".parse().unwrap();
            Self {
                watch: Watch::new(&url, is_origin),
                now: Instant::now(),
            }
        }

        /// Lets some seconds pass; the broker answers each question with `state`.
        fn pass(&mut self, seconds: u32, has_prices: bool, state: &LogState) -> Vec<Advice> {
            let mut all = Vec::new();
            for _ in 0..seconds * 10 {
                self.now += Duration::from_millis(100);
                match self.watch.advance(has_prices, self.now) {
                    Some(Advice::Ask) => self.watch.take_state(state.clone()),
                    advice => all.extend(advice),
                }
            }
            all
        }
    }

    fn warned(advice: &[Advice], words: &str) -> bool {
        matches!(advice, [Advice::Warn(why)] if why.contains(words))
    }

    #[test]
    fn each_reason_is_told_once_and_so_is_its_end() {
        let mut scene = Scene::new(false);
        assert_eq!(scene.pass(1, false, &LogState::Missing), []);
        let told = scene.pass(10, false, &LogState::Missing);
        assert!(warned(&told, "there is no log 'prices'"), "{told:?}");
        let told = scene.pass(600, false, &LogState::Usable);
        assert!(warned(&told, "no origin writes"), "{told:?}");
        let told = scene.pass(10, true, &LogState::Usable);
        assert_eq!(told, [Advice::Relieve]);
        assert_eq!(scene.watch.obstacle(), None);
    }

    #[test]
    fn a_short_wait_is_no_reason_to_warn() {
        let mut scene = Scene::new(false);
        for _ in 0..5 {
            assert_eq!(scene.pass(1, false, &LogState::Silent), []);
            assert_eq!(scene.pass(1, true, &LogState::Silent), []);
        }
    }

    #[test]
    fn an_origin_does_not_warn_that_it_has_not_begun() {
        let mut scene = Scene::new(true);
        assert_eq!(scene.pass(10, false, &LogState::Usable), []);
        let told = scene.pass(10, false, &LogState::NoJetStream);
        assert!(warned(&told, "no JetStream here"), "{told:?}");
    }

    #[test]
    fn missing_rights_are_told_at_once_and_again_at_a_low_rate() {
        let mut scene = Scene::new(false);
        let denial = Denial {
            right: Right::Subscribe,
            subject: "prices.live.>".to_owned(),
        };
        scene.watch.deny(denial.clone());
        let told = scene.pass(1, true, &LogState::Usable);
        assert!(
            warned(&told, "may not subscribe to prices.live.>"),
            "{told:?}"
        );
        assert_eq!(scene.pass(180, true, &LogState::Usable).len(), 3);
        scene.watch.grant(&denial);
        assert_eq!(scene.pass(1, true, &LogState::Usable), [Advice::Relieve]);
    }

    #[test]
    fn a_new_connection_may_have_another_reason() {
        let mut scene = Scene::new(false);
        scene.pass(5, false, &LogState::NoJetStream);
        scene.watch.begin();
        assert_eq!(scene.watch.obstacle(), None);
        assert_eq!(scene.pass(10, false, &LogState::NoJetStream), []);
    }
}
