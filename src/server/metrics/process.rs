//! What `/metrics` says about the process, under the names that all exporters use.

use std::cell::OnceCell;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::Format;
use super::writer::{Writer, family};
use crate::process::{self, Usage};

/// What of the process never changes.
#[derive(Default)]
pub(super) struct Process {
    /// Unix time in seconds; none where the system does not tell. Found out when first asked for, so
    /// that the clock's being set later makes no new process of it.
    started: OnceCell<Option<f64>>,
}

/// The numbers of one moment.
#[derive(Debug)]
pub(super) struct Sample {
    format: Format,
    started: Option<f64>,
    usage: Option<Usage>,
    open_descriptors: Option<u64>,
    descriptors_max: Option<u64>,
}

impl Process {
    pub(super) fn sample(&self, format: Format) -> Sample {
        Sample {
            format,
            started: *self.started.get_or_init(|| process::started().ok()),
            usage: Usage::of_self().ok(),
            open_descriptors: process::open_descriptors_of_many().ok(),
            descriptors_max: process::descriptor_limit(),
        }
    }
}

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer {
            format: self.format,
            encoder: &mut encoder,
        };
        if let Some(usage) = &self.usage {
            let cpu = family("process_cpu", "CPU time of the process, user and system");
            out.seconds(&cpu.in_unit(Unit::Seconds), usage.cpu.as_secs_f64())?;
            let memory = family("process_resident_memory", "Memory of the process in RAM");
            out.gauge(&memory.in_unit(Unit::Bytes), usage.resident_bytes as f64)?;
            let memory = family("process_virtual_memory", "Address space of the process");
            out.gauge(&memory.in_unit(Unit::Bytes), usage.virtual_bytes as f64)?;
        }
        if let Some(count) = self.open_descriptors {
            let open = family("process_open_fds", "Open file descriptors");
            out.gauge(&open, count as f64)?;
        }
        if let Some(limit) = self.descriptors_max {
            let most = family("process_max_fds", "Limit on open file descriptors");
            out.gauge(&most, limit as f64)?;
        }
        self.started.map_or(Ok(()), |started| {
            let start = family("process_start_time", "Start of the process in Unix time");
            out.gauge(&start.in_unit(Unit::Seconds), started)
        })
    }
}
