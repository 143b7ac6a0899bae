//! The memory of another process.

use std::{fs, io};

use tickertape::process::Usage;

/// The resident memory, summed over the pages: the kernel's own sum is cheaper but may be off by a
/// few hundred KiB.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let exact = exact.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    });
    exact.map_or_else(|| Ok(Usage::of(pid)?.resident_bytes), Ok)
}
