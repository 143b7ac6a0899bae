//! What a pause of the whole process must not do to clients. After a SIGSTOP, a suspended machine
//! or seconds without a CPU, limits are over before the loop has read what came in time, and would
//! end clients for a silence that was ours.

use std::time::{Duration, Instant};

use super::Server;
use crate::io_loop::{IoLoop, Timeout};

/// Has `judge` look, after `limit`, for what did not come in time. If that moment is missed by far,
/// clients are heard first.
pub(super) fn call_at_limit(
    io_loop: &mut IoLoop<Server>,
    limit: Duration,
    judge: impl FnOnce(&mut Server, &mut IoLoop<Server>) + 'static,
) -> Timeout {
    let due = Instant::now() + limit;
    io_loop.call_at(due, move |server, io_loop| {
        if due.elapsed() < MISSED {
            judge(server, io_loop);
        } else {
            io_loop.call_later(GRACE, judge);
        }
    })
}

/// No loop that runs is as late as that.
const MISSED: Duration = Duration::from_millis(100);

/// Time to read what has arrived meanwhile; ten thousand requests take half of it.
const GRACE: Duration = Duration::from_secs(1);
