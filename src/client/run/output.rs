//! What a run puts out while it is under way: ticks, a progress line; and what it notes by the
//! second.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, PeriodicCallback};
use mio::Interest;
use mio::unix::SourceFd;

use crate::client::measure::recorder::Recorder;
use crate::client::run::tick_printer::{Printer, Written};
use crate::client::run::{Client, Phase, progress};

impl Client {
    /// Has ticks printed and progress shown from now on, as far as that is asked for.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub(in crate::client) fn begin_output(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        if self.progress.is_some() {
            let show = |client: &mut Self, _: &mut _| client.show_progress();
            PeriodicCallback::start(io_loop, progress::PERIOD, show);
        }
        if self.config.print {
            self.print_ticks(io_loop)?;
        }
        Ok(())
    }

    /// Notes the window from `began` on, interval by interval.
    pub(in crate::client) fn record_intervals(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        began: Instant,
    ) {
        let recorder = Recorder::new(began, self.config.duration, &self.statistics);
        io_loop.call_at(recorder.next(), Self::on_interval);
        self.recorder = Some(recorder);
    }

    /// Ends an interval and awaits the end of the next.
    fn on_interval(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Measuring {
            self.record_interval(Instant::now());
        }
        if let (Phase::Measuring, Some(recorder)) = (self.phase, &self.recorder) {
            io_loop.call_at(recorder.next(), Self::on_interval);
        }
    }

    /// Ends the present interval.
    pub(in crate::client) fn record_interval(&mut self, now: Instant) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(now, self.tally.open, &self.statistics);
        }
    }

    /// Notes the replies that came after the window to requests that were due in it.
    pub(in crate::client) fn record_late_replies(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note_late_replies(&self.statistics);
        }
    }

    fn print_ticks(&mut self, io_loop: &mut IoLoop<Self>) -> io::Result<()> {
        let printer = Printer::to_stdout()?;
        // A file cannot be watched, and is never blocked either.
        let stdout = printer.stream().as_raw_fd();
        let watched = io_loop.add_handler(
            &mut SourceFd(&stdout),
            Interest::WRITABLE,
            |client, io_loop, _, _| client.write_ticks(io_loop),
        );
        match watched {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => self.statistics.printer = Some(Box::new(printer)),
        }
        Ok(())
    }

    /// Writes ticks to stdout as far as it has room; its next event goes on.
    pub(in crate::client) fn write_ticks(&mut self, io_loop: &mut IoLoop<Self>) {
        match self.statistics.printer.as_mut().map(|it| it.write()) {
            Some(Written::Some) => io_loop.add_callback(Self::write_ticks),
            // Nobody is there to see the rest.
            Some(Written::Closed) => self.end(io_loop),
            Some(Written::All | Written::Blocked) | None => {}
        }
    }

    /// Leaves stdout and stderr to the report.
    pub(in crate::client) fn finish_output(&mut self) {
        if let Some(printer) = &mut self.statistics.printer {
            printer.finish(PRINT_TIMEOUT);
        }
        if let Some(progress) = &self.progress {
            progress.clear();
        }
    }
}

/// How long the reader of printed ticks may take for those that are left.
const PRINT_TIMEOUT: Duration = Duration::from_secs(1);
