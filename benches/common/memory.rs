//! The memory of another process.

use std::{fs, io};

use tickertape::process::Usage;

/// The RSS, summed up from the pages themselves: the kernel's own sum, which costs it less, may be
/// off by some hundred KiB.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let exact = exact.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    });
    exact.map_or_else(|| Ok(Usage::of(pid)?.resident_bytes), Ok)
}
