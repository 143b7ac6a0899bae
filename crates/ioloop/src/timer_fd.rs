//! The loop's precise timer: a `timerfd` among the polled sources, which ends the poll on time. mio
//! passes whole milliseconds to `epoll_wait`, rounded up, which is too coarse for a tick every 200
//! µs. Only Linux has it; elsewhere timers are as precise as mio.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

/// A timer that can be set repeatedly.
pub(crate) struct TimerFd {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
    /// The deadline it is set to; setting the same one again takes no system call.
    deadline: Option<Instant>,
}

#[cfg(target_os = "linux")]
impl TimerFd {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let mut source = mio::unix::SourceFd(&timer.as_raw_fd());
        mio::event::Source::register(&mut source, registry, token, mio::Interest::READABLE)?;
        Ok(Self {
            timer,
            deadline: None,
        })
    }

    /// Sets the timer to `deadline`, which is `wait` from now. It is never read: setting it again
    /// clears it, and every expiry is a new edge.
    pub(crate) fn set(&mut self, deadline: Instant, wait: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if self.deadline == Some(deadline) {
            return Ok(());
        }
        let it_interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let it_value = Timespec::try_from(wait).map_err(io::Error::other)?;
        let spec = Itimerspec {
            it_interval,
            it_value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        self.deadline = Some(deadline);
        Ok(())
    }
}

impl TimerFd {
    /// Notes that it has expired, so that even the same deadline has to be set again.
    pub(crate) fn on_expired(&mut self) {
        self.deadline = None;
    }
}

#[cfg(not(target_os = "linux"))]
impl TimerFd {
    pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set(&mut self, deadline: Instant, _: Duration) -> io::Result<()> {
        self.deadline = Some(deadline);
        Err(io::ErrorKind::Unsupported.into())
    }
}
