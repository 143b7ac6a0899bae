//! Ends and pauses processes when it is time to, and brings them back.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Whom};
use crate::kill::{Kill, Target, Way};
use crate::options::Options;

/// What came of a kill.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kill: Kill,
    /// The names of those it was about.
    pub(crate) names: String,
    pub(crate) ended: Option<Instant>,
    /// When those it was about were all back, and listened.
    pub(crate) back: Option<Instant>,
    /// Why it could not be done.
    pub(crate) failure: Option<String>,
    whom: Vec<Whom>,
}

/// Something to do for the kill with this number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Prepare,
    End,
    BringBack,
}

/// Does what the options ask for, until the sender of `stop` is gone.
pub(crate) fn operate(
    cluster: &mut Cluster,
    options: &Options,
    begun: Instant,
    stop: &Receiver<()>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = options
        .kills
        .iter()
        .map(|kill| Outcome::of(*kill))
        .collect();
    let mut agenda = Vec::new();
    for (index, kill) in options.kills.iter().enumerate() {
        agenda.push((kill.at.saturating_sub(PREPARATION), index, Step::Prepare));
        agenda.push((kill.at, index, Step::End));
        let away = options.away.unwrap_or_else(|| away(kill, options.brokers));
        agenda.push((kill.at + away, index, Step::BringBack));
    }
    agenda.sort_by_key(|(at, ..)| *at);
    for (at, index, step) in agenda {
        let wait = (begun + at).saturating_duration_since(Instant::now());
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        let outcome = &mut outcomes[index];
        if outcome.failure.is_none() {
            outcome.failure = outcome.go_on(step, cluster).err();
        }
    }
    outcomes
}

/// How long what was ended stays away: one of three servers so long that the others have to do
/// without it, and all else about as long as a supervisor takes to start it again.
fn away(kill: &Kill, brokers: usize) -> Duration {
    let seconds = match (kill.way, kill.target) {
        (Way::Pause, _) => 10.0,
        (_, Target::Origin | Target::Standby | Target::OriginAll) => 5.0,
        (_, target) if brokers > 1 && target.is_broker() && target != Target::BrokerAll => 15.0,
        _ => 0.5,
    };
    Duration::from_secs_f64(seconds)
}

impl Outcome {
    fn of(kill: Kill) -> Self {
        Self {
            kill,
            names: "-".to_owned(),
            ended: None,
            back: None,
            failure: None,
            whom: Vec::new(),
        }
    }

    fn go_on(&mut self, step: Step, cluster: &mut Cluster) -> Result<(), String> {
        let Kill { target, way, .. } = self.kill;
        match step {
            Step::Prepare => cluster.prepare(target),
            Step::End => {
                self.whom = cluster.find(target)?;
                let names: Vec<_> = self.whom.iter().map(|&whom| cluster.name(whom)).collect();
                self.names = names.join(", ");
                eprintln!(
                    "{:>6.1} s  {} to {}",
                    self.kill.at.as_secs_f64(),
                    way.signal(),
                    self.names
                );
                self.ended = Some(Instant::now());
                let mut whom = self.whom.iter();
                whom.try_for_each(|&whom| cluster.end(whom, way))
            }
            Step::BringBack => {
                let mut whom = self.whom.iter();
                whom.try_for_each(|&whom| cluster.bring_back(whom, way))?;
                self.back = Some(Instant::now());
                Ok(())
            }
        }
    }
}

/// How long before a kill things are arranged for it.
const PREPARATION: Duration = Duration::from_secs(3);
