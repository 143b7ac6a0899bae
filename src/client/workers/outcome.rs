//! What a process has measured, as it tells it to the one that started it, and the sum of several:
//! counts are added, histograms merged exactly, times are those of the one that took longest.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::measure::catching_up::SlowCounts;
use crate::client::measure::observer::{Reads, Statistics};
use crate::client::measure::recorder::{Recorded, Recorder};
use crate::client::measure::tally::Tally;
use crate::client::report::figures::{ClockSync, Losses, SymbolLosses};
use crate::client::run::Client;
use crate::client::run::phases::Phase;
use crate::client::run::snapshot::Moment;
use crate::client::workers::encoded::{
    Encoded, EncodedReplies, EncodedReturns, EncodedSchedule, add,
};
use crate::usage::Usage;

/// What a process has measured.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::client) struct Outcome {
    messages: u64,
    answers: u64,
    ticks: u64,
    with_ticks: u64,
    lists: u64,
    binary: u64,
    no_json: u64,
    stamped: u64,
    bytes: u64,
    reads: Reads,
    delivery_us: Encoded,
    negative_latencies: u64,
    within_error: u64,
    untracked: u64,
    far_off_us: Option<i64>,
    losses: Losses,
    /// By name: each process has its own numbers for symbols.
    losses_by_symbol: Vec<SymbolLosses>,
    schedule: Option<EncodedSchedule>,
    requests: Option<EncodedReplies>,
    sync: Option<ClockSync>,
    responses: Vec<Duration>,
    failures: BTreeMap<String, (u64, String)>,
    slow: SlowCounts,
    returns: EncodedReturns,
    joined: usize,
    failed: usize,
    listened: Duration,
    /// The length of its window.
    window: Duration,
    cut_short: bool,
    all_lost: bool,
    cpu: Duration,
    waited: Duration,
    resident_bytes: u64,
    clock_step_us: u64,
    lateness_us: Encoded,
    intervals: Option<Recorded>,
}

impl Outcome {
    /// That of a run that has ended.
    pub(in crate::client) fn of(client: &Client) -> Self {
        let Client {
            statistics, tally, ..
        } = client;
        let ended = client.ended.as_ref().unwrap_or(&client.began);
        let window_began = client.window_began.as_ref().unwrap_or(ended);
        let used = ended.own.since(&window_began.own);
        Self {
            messages: statistics.messages,
            answers: statistics.answers,
            ticks: statistics.ticks,
            with_ticks: statistics.with_ticks,
            lists: statistics.lists,
            binary: statistics.binary,
            no_json: statistics.no_json,
            stamped: statistics.stamped,
            bytes: statistics.bytes,
            reads: statistics.reads,
            delivery_us: Encoded(statistics.delivery_us.clone()),
            negative_latencies: statistics.negative_latencies,
            within_error: statistics.within_error,
            untracked: statistics.untracked,
            far_off_us: statistics.far_off_us,
            losses: statistics.losses,
            losses_by_symbol: statistics.losses_by_name(),
            schedule: statistics.grid.as_ref().map(EncodedSchedule::of),
            requests: statistics.replies.as_ref().map(EncodedReplies::of),
            sync: statistics.sync.as_ref().map(ClockSync::of),
            responses: statistics.responses.clone(),
            failures: statistics.failures.clone(),
            slow: statistics.slow.clone(),
            returns: EncodedReturns::of(&statistics.returns),
            joined: tally.joined,
            failed: tally.failed,
            listened: tally.listened,
            window: ended.at - window_began.at,
            cut_short: client.cut_short,
            all_lost: client.all_lost,
            cpu: used.cpu,
            waited: used.waited,
            clock_step_us: client.steps.step_us(),
            resident_bytes: used.resident_bytes,
            lateness_us: Encoded(client.heartbeat.lateness_us.clone()),
            intervals: client.recorder.as_ref().map(Recorder::recorded),
        }
    }

    /// Makes `client`, which opened no connection itself, the one that has measured all of it.
    ///
    /// # Errors
    /// When histograms do not fit together: another program has sent them.
    pub(in crate::client) fn merge(outcomes: Vec<Self>, client: &mut Client) -> io::Result<()> {
        // What was shown until now.
        client.statistics = Statistics::new(&client.config);
        client.tally = Tally::default();
        let mut own = Usage::default();
        let mut window = Duration::ZERO;
        let mut recorded = Vec::new();
        client.all_lost = !outcomes.is_empty() && outcomes.iter().all(|it| it.all_lost);
        for outcome in outcomes {
            own.cpu += outcome.cpu;
            own.waited += outcome.waited;
            own.resident_bytes += outcome.resident_bytes;
            window = window.max(outcome.window);
            recorded.extend(outcome.add_to(client)?);
        }
        client.recorder = Recorder::merged(recorded)?;
        if window.is_zero() {
            // All of them ended before their windows.
            client.window_began = None;
        }
        if let (Some(began), Some(ended)) = (&mut client.window_began, &mut client.ended) {
            *began = Moment::with(began.at, Usage::default(), began.server);
            *ended = Moment::with(began.at + window, own, ended.server);
        }
        client.phase = Phase::Closing;
        Ok(())
    }

    fn add_to(self, client: &mut Client) -> io::Result<Option<Recorded>> {
        let Client {
            statistics, tally, ..
        } = client;
        statistics.messages += self.messages;
        statistics.answers += self.answers;
        statistics.ticks += self.ticks;
        statistics.with_ticks += self.with_ticks;
        statistics.lists += self.lists;
        statistics.binary += self.binary;
        statistics.no_json += self.no_json;
        statistics.stamped += self.stamped;
        statistics.bytes += self.bytes;
        statistics.reads.add(self.reads);
        add(&mut statistics.delivery_us, &self.delivery_us)?;
        statistics.negative_latencies += self.negative_latencies;
        statistics.within_error += self.within_error;
        statistics.untracked += self.untracked;
        statistics.far_off_us = statistics.far_off_us.or(self.far_off_us);
        statistics.losses.add(&self.losses);
        statistics.add_losses(&self.losses_by_symbol);
        if let (Some(sum), Some(one)) = (&mut statistics.grid, &self.schedule) {
            one.add_to(sum)?;
        }
        if let (Some(sum), Some(one)) = (&mut statistics.replies, &self.requests) {
            one.add_to(sum)?;
        }
        if let Some(sync) = self.sync {
            let so_far = statistics.sync_elsewhere.take();
            statistics.sync_elsewhere =
                Some(so_far.map_or_else(|| sync.clone(), |it| it.add(&sync)));
        }
        statistics.responses.extend(self.responses);
        for (kind, (count, sentence)) in self.failures {
            statistics.failures.entry(kind).or_insert((0, sentence)).0 += count;
        }
        add_slow(&mut statistics.slow, self.slow);
        self.returns.add_to(&mut statistics.returns)?;
        tally.joined += self.joined;
        tally.failed += self.failed;
        tally.listened += self.listened;
        client.cut_short |= self.cut_short;
        client.steps.note_step(self.clock_step_us);
        add(&mut client.heartbeat.lateness_us, &self.lateness_us)?;
        Ok(self.intervals)
    }
}

impl ClockSync {
    /// Both of them: the offset of the one that knows it better, the error bound of the other,
    /// since each corrected its latencies by its own. If one knows nothing, its latencies are
    /// uncorrected, and so nothing is said of all.
    fn add(self, other: &Self) -> Self {
        let answered = self.answered + other.answered;
        let uncorrected = self.uncorrected + other.uncorrected;
        let (Some(error), Some(other_error)) = (self.error_us, other.error_us) else {
            return Self {
                answered,
                offset_us: None,
                error_us: None,
                drift_us: 0,
                drift_error_us: 0,
                uncorrected,
            };
        };
        let better = if error <= other_error { &self } else { other };
        Self {
            answered,
            error_us: Some(error.max(other_error)),
            uncorrected,
            ..better.clone()
        }
    }
}

fn add_slow(sum: &mut SlowCounts, one: SlowCounts) {
    sum.joined += one.joined;
    sum.ticks += one.ticks;
    sum.bytes += one.bytes;
    sum.missed = sum.missed.saturating_add(one.missed);
    for (kind, count) in one.ended {
        *sum.ended.entry(kind).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_clocks_compared_by_each_the_best_offset_and_the_worst_error_count() {
        let clocks = |offset_us, error_us| ClockSync {
            answered: 16,
            offset_us,
            error_us,
            drift_us: 1,
            drift_error_us: 40,
            uncorrected: 2,
        };
        let (good, bad) = (clocks(Some(500), Some(20)), clocks(Some(480), Some(90)));
        for (one, other) in [(&good, &bad), (&bad, &good)] {
            let both = one.clone().add(other);
            assert_eq!((both.answered, both.offset_us), (32, Some(500)));
            assert_eq!((both.error_us, both.uncorrected), (Some(90), 4));
        }
        let none = clocks(None, None);
        for both in [good.clone().add(&none), none.add(&good)] {
            assert_eq!(
                (both.answered, both.offset_us, both.error_us),
                (32, None, None)
            );
        }
    }
}
