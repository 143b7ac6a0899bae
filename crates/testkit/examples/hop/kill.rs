//! What to end, how, and when: `origin-pause@10` of the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::time::Time;

/// One of the things that may go wrong in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) target: Target,
    pub(crate) way: Way,
    /// After the beginning of the run.
    pub(crate) at: Duration,
}

/// Whom it happens to. Who that is shows only at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The origin that leads.
    Origin,
    /// An origin that follows.
    Standby,
    OriginAll,
    /// The first edge.
    Edge,
    /// A server of the broker that neither leads the stream nor has an edge.
    Broker,
    /// The server of the broker that the first edge is at.
    EdgeBroker,
    /// The server of the broker that leads the stream.
    BrokerLeader,
    BrokerAll,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// SIGKILL, as in a crash.
    Kill,
    /// SIGTERM, as in a planned restart.
    Term,
    /// SIGSTOP, and SIGCONT later.
    Pause,
}

impl Target {
    /// Whether it is a server of the broker.
    pub(crate) fn is_broker(self) -> bool {
        use Target::{Broker, BrokerAll, BrokerLeader, EdgeBroker};
        matches!(self, Broker | EdgeBroker | BrokerLeader | BrokerAll)
    }
}

impl Way {
    /// The signal that begins it.
    pub(crate) fn signal(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Term => "SIGTERM",
            Self::Pause => "SIGSTOP",
        }
    }
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, at) = text
            .split_once('@')
            .ok_or("expected WHAT@SECOND, such as origin@10")?;
        let Time(at) = at.parse()?;
        let (name, way) = WAYS
            .into_iter()
            .find_map(|(suffix, way)| Some((what.strip_suffix(suffix)?, way)))
            .unwrap_or((what, Way::Kill));
        let target = TARGETS.into_iter().find(|(known, _)| *known == name);
        match target {
            Some((_, target)) => Ok(Self { target, way, at }),
            None => {
                let known = TARGETS.map(|(name, _)| name).join(", ");
                Err(format!(
                    "'{what}' is none of {known}, with -term or -pause behind"
                ))
            }
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = TARGETS.iter().find(|(_, target)| *target == self.target);
        let way = WAYS.iter().find(|(_, way)| *way == self.way);
        let name = target.map_or("", |(name, _)| name);
        let suffix = way.map_or("", |(suffix, _)| suffix);
        write!(f, "{name}{suffix}@{}", self.at.as_secs_f64())
    }
}

const TARGETS: [(&str, Target); 8] = [
    ("origin", Target::Origin),
    ("standby", Target::Standby),
    ("origin-all", Target::OriginAll),
    ("edge", Target::Edge),
    ("broker", Target::Broker),
    ("edge-broker", Target::EdgeBroker),
    ("broker-leader", Target::BrokerLeader),
    ("broker-all", Target::BrokerAll),
];

const WAYS: [(&str, Way); 2] = [("-term", Way::Term), ("-pause", Way::Pause)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_has_a_target_a_way_and_a_time() {
        for (text, target, way, ms) in [
            ("origin@10", Target::Origin, Way::Kill, 10_000),
            ("origin-all-pause@2", Target::OriginAll, Way::Pause, 2_000),
            (
                "broker-leader-term@0.5",
                Target::BrokerLeader,
                Way::Term,
                500,
            ),
            ("edge-broker@3", Target::EdgeBroker, Way::Kill, 3_000),
        ] {
            let at = Duration::from_millis(ms);
            let kill = Kill { target, way, at };
            assert_eq!(text.parse(), Ok(kill));
            assert_eq!(kill.to_string(), text);
        }
    }

    #[test]
    fn an_unknown_target_is_answered_with_the_known_ones() {
        let error = "brokers@3".parse::<Kill>().unwrap_err();
        assert!(
            error.contains("'brokers' is none of origin, standby"),
            "{error}"
        );
        assert!("origin".parse::<Kill>().is_err());
        assert!("origin@soon".parse::<Kill>().is_err());
    }
}
