//! The metrics about the process, under the names that all exporters use.

use std::cell::OnceCell;

use crate::process::{self, Usage};
use crate::server::metrics::text::Text;

/// The constant facts about the process.
#[derive(Default)]
pub(super) struct Process {
    /// The start, as Unix time in seconds; `None` where the system does not tell. Determined at the
    /// first request and kept, because a later change of the clock must not look like a restart.
    started: OnceCell<Option<f64>>,
}

impl Process {
    pub(super) fn write(&self, out: &mut Text) {
        if let Ok(usage) = Usage::of_self() {
            out.counter(
                "process_cpu_seconds_total",
                "CPU time of the process, user and system",
                usage.cpu.as_secs_f64(),
            );
            out.gauge(
                "process_resident_memory_bytes",
                "Memory of the process in RAM",
                usage.resident_bytes as f64,
            );
            out.gauge(
                "process_virtual_memory_bytes",
                "Address space of the process",
                usage.virtual_bytes as f64,
            );
        }
        if let Ok(count) = process::open_descriptors_of_many() {
            out.gauge("process_open_fds", "Open file descriptors", count as f64);
        }
        if let Some(limit) = process::descriptor_limit() {
            out.gauge(
                "process_max_fds",
                "Limit on open file descriptors",
                limit as f64,
            );
        }
        if let Some(started) = *self.started.get_or_init(|| process::started().ok()) {
            out.gauge(
                "process_start_time_seconds",
                "Start of the process in Unix time",
                started,
            );
        }
    }
}
