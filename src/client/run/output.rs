//! The output of a run in progress: ticks, a progress line, and the intervals of the window.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, PeriodicCallback};
use mio::Interest;
use mio::unix::SourceFd;

use crate::client::measure::recorder::Recorder;
use crate::client::run::barrier::Standing;
use crate::client::run::phase::Phase;
use crate::client::run::progress::{self, View};
use crate::client::run::state::Run;
use crate::client::run::tick_printer::{TickPrinter, Written};

impl Run {
    /// Starts to print ticks and to show progress, as configured.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub(super) fn begin_output(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        if self.progress.is_some() {
            let show = |run: &mut Self, _: &mut _| run.show_progress();
            PeriodicCallback::start(io_loop, progress::PERIOD, show);
        }
        if self.barrier.is_some() {
            let stands = |run: &mut Self, _: &mut _| run.announce_standing();
            PeriodicCallback::start(io_loop, progress::PERIOD, stands);
        }
        if self.config.print {
            self.print_ticks(io_loop)?;
        }
        Ok(())
    }

    fn standing(&self) -> Standing {
        let measurement = &self.observer.measurement;
        Standing {
            joined: self.tally.joined,
            open: self.tally.open,
            ticks: measurement.counters.ticks,
            errors: measurement.errors.total(),
        }
    }

    fn announce_standing(&mut self) {
        let standing = self.standing();
        if let Some(barrier) = &mut self.barrier {
            barrier.stands(standing);
        }
    }

    /// Redraws the progress line.
    fn show_progress(&mut self) {
        let standing = self.standing();
        if let Some(progress) = &mut self.progress {
            progress.show(&View {
                phase: self.phase,
                times: &self.times,
                config: &self.config,
                standing,
                alive: self.tally.alive,
                delivery: Some(&self.observer.measurement.delivery),
            });
        }
    }

    /// Records the window, which began at `began`, interval by interval.
    pub(super) fn record_intervals(&mut self, io_loop: &mut IoLoop<Self>, began: Instant) {
        let recorder = Recorder::new(began, self.config.duration, &self.observer.measurement);
        io_loop.call_at(recorder.next(), Self::on_interval);
        self.recorder = Some(recorder);
    }

    /// Ends an interval and waits for the end of the next.
    fn on_interval(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Measuring {
            self.record_interval(Instant::now());
        }
        if let (Phase::Measuring, Some(recorder)) = (self.phase, &self.recorder) {
            io_loop.call_at(recorder.next(), Self::on_interval);
        }
    }

    /// Ends the current interval.
    pub(super) fn record_interval(&mut self, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(now, self.tally.open, &self.observer.measurement);
        }
    }

    /// Records the replies that arrived after the window to requests that were due in it.
    pub(super) fn record_late_replies(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note_late_replies(&self.observer.measurement);
        }
    }

    fn print_ticks(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        let printer = TickPrinter::to_stdout()?;
        // A regular file cannot be watched, and never blocks.
        let stdout = printer.stream().as_raw_fd();
        let watched = io_loop.add_handler(
            &mut SourceFd(&stdout),
            Interest::WRITABLE,
            |run, io_loop, _, _| run.write_ticks(io_loop),
        );
        match watched {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => self.printer = Some(Box::new(printer)),
        }
        Ok(())
    }

    /// Schedules the writing of printed ticks.
    pub(super) fn schedule_printing(&mut self, io_loop: &mut IoLoop<Self>) {
        let printer = self.printer.as_mut();
        if printer.is_some_and(|printer| printer.must_schedule()) {
            io_loop.add_callback(Self::write_ticks);
        }
    }

    /// Writes ticks to stdout until it blocks; its next event continues.
    fn write_ticks(&mut self, io_loop: &mut IoLoop<Self>) {
        match self.printer.as_mut().map(|printer| printer.write()) {
            Some(Written::Some) => io_loop.add_callback(Self::write_ticks),
            // There is no reader for the rest.
            Some(Written::Closed) => self.end(io_loop),
            Some(Written::All | Written::Blocked) | None => {}
        }
    }

    /// Clears stdout and stderr for the report.
    pub(super) fn finish_output(&mut self) {
        if let Some(printer) = &mut self.printer {
            printer.finish(PRINT_TIMEOUT);
        }
        if let Some(progress) = &self.progress {
            progress.clear();
        }
    }
}

/// How long the reader of printed ticks has to take the remaining ones.
const PRINT_TIMEOUT: Duration = Duration::from_secs(1);
