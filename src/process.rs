//! What a process uses: CPU time, memory and descriptors, read from `/proc`.
//!
//! The scheduler's own account (`schedstat`) is exact to the nanosecond, but covers one thread;
//! `stat` counts in ticks of 10 ms, but sums all threads. So the former is used for processes with
//! a single thread, such as ours, and the latter for all others.

use std::time::Duration;
use std::{fs, io};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};

/// The CPU time that a process has used since it started, and its current memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a CPU.
    pub cpu: Duration,
    /// Time for which it was ready to run but had to wait for a CPU; zero if the kernel does not
    /// report it.
    pub waited: Duration,
    /// CPU time in the program itself, in coarse steps of 10 ms.
    pub user: Duration,
    /// CPU time in the kernel, in the same coarse steps.
    pub system: Duration,
    /// Memory in RAM (RSS).
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
}

impl Usage {
    /// The usage of this process.
    ///
    /// # Errors
    /// When `/proc` is missing or not as expected.
    pub fn of_self() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The usage of the process `pid`.
    ///
    /// # Errors
    /// When the process does not exist, or `/proc` is not as expected.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let stat = Stat::parse(&stat).ok_or_else(|| unexpected("stat"))?;
        let resident_pages = number(&statm, 1).ok_or_else(|| unexpected("statm"))?;
        let virtual_pages = number(&statm, 0).ok_or_else(|| unexpected("statm"))?;
        let coarse = stat.user + stat.system;
        // Kernels may be built without it, so its absence is not an error.
        let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat"))
            .ok()
            .filter(|_| stat.threads == 1);
        let exact = |index| {
            let schedstat = schedstat.as_deref()?;
            number(schedstat, index).map(Duration::from_nanos)
        };
        Ok(Self {
            cpu: exact(0).unwrap_or(coarse),
            waited: exact(1).unwrap_or_default(),
            user: stat.user,
            system: stat.system,
            resident_bytes: resident_pages * page_size() as u64,
            virtual_bytes: virtual_pages * page_size() as u64,
        })
    }

    /// The CPU time used since `earlier`, and the current memory.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            waited: self.waited.saturating_sub(earlier.waited),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            resident_bytes: self.resident_bytes,
            virtual_bytes: self.virtual_bytes,
        }
    }
}

/// The fields of `/proc/PID/stat` that we use.
struct Stat {
    user: Duration,
    system: Duration,
    threads: u64,
    /// When it started, since the system did.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only used on Linux")
    )]
    started: Duration,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, and may itself contain spaces and
        // parentheses; the last parenthesis ends it, and the third field follows (proc(5)).
        let (_, fields) = text.rsplit_once(')')?;
        let field = |index: usize| number(fields, index - 3);
        let ticks = |index| {
            Some(Duration::from_secs_f64(
                field(index)? as f64 / clock_hertz(),
            ))
        };
        Some(Self {
            user: ticks(14)?,
            system: ticks(15)?,
            threads: field(20)?,
            started: ticks(22)?,
        })
    }
}

/// How many descriptors this process has open.
///
/// # Errors
/// When `/proc` is missing.
pub fn open_descriptors() -> io::Result<u64> {
    // Reading the directory takes a descriptor itself.
    Ok((fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1))
}

/// The same without listing the descriptors, which would take milliseconds for ten thousand.
///
/// # Errors
/// When `/proc` is missing, or when there are too many descriptors to list and Linux, older than
/// 6.2, does not report their number.
pub fn open_descriptors_of_many() -> io::Result<u64> {
    let known = fs::metadata("/proc/self/fd")?.len();
    if known > 0 {
        return Ok(known);
    }
    let listed = fs::read_dir("/proc/self/fd")?.take(LISTED_MAX).count();
    if listed == LISTED_MAX {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok((listed as u64).saturating_sub(1))
}

/// The current limit on open descriptors; `None` if there is no limit.
pub fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// When this process started, as Unix time in seconds.
///
/// # Errors
/// When `/proc` is missing or not as expected, and on systems other than Linux.
#[cfg(not(target_os = "linux"))]
pub fn started() -> io::Result<f64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// When this process started, as Unix time in seconds.
///
/// # Errors
/// When `/proc` is missing or not as expected, and on systems other than Linux.
#[cfg(target_os = "linux")]
pub fn started() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let stat = Stat::parse(&stat).ok_or_else(|| unexpected("stat"))?;
    let seconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let up = seconds(ClockId::Boottime);
    Ok(seconds(ClockId::Realtime) - up + stat.started.as_secs_f64())
}

/// Raises the soft limit on open descriptors to the hard limit, and returns the new limit.
///
/// # Errors
/// When the system refuses to raise it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The most descriptors to list, as each takes about a microsecond.
const LISTED_MAX: usize = 1000;

fn clock_hertz() -> f64 {
    clock_ticks_per_second() as f64
}

/// The word at `index` of `text`, as a number.
fn number(text: &str, index: usize) -> Option<u64> {
    text.split_whitespace().nth(index)?.parse().ok()
}

fn unexpected(file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("/proc/PID/{file} has an unexpected format"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 250 75 0 0 20 0 3 0 99 1000 500";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.user.as_secs_f64(), 250.0 / clock_hertz());
        assert_eq!(stat.system.as_secs_f64(), 75.0 / clock_hertz());
        assert_eq!(stat.threads, 3);
        assert!(Stat::parse("42 (a) S 1").is_none());
    }

    #[test]
    fn work_shows_as_cpu_time_and_memory_is_reported() {
        let before = Usage::of_self().unwrap();
        // Work until enough CPU time is used; on a busy machine that takes a while.
        let began = Instant::now();
        let mut used = Usage::of_self().unwrap().since(&before);
        while used.cpu < Duration::from_millis(20) && began.elapsed() < Duration::from_secs(10) {
            used = Usage::of_self().unwrap().since(&before);
        }
        assert!(used.cpu >= Duration::from_millis(20), "{used:?}");
        assert!(used.resident_bytes > 100_000, "{used:?}");
    }

    #[test]
    fn an_unknown_process_is_not_found() {
        assert_eq!(Usage::of(0).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn open_descriptors_are_counted() {
        let before = open_descriptors().unwrap();
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null")).collect();
        // Other tests open and close some at the same time.
        assert!(open_descriptors().unwrap() + 20 > before + files.len() as u64);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_start_time_is_recent_and_descriptors_are_counted() {
        let now = crate::tick::unix_us() as f64 / 1e6;
        let started = started().unwrap();
        assert!(
            started < now && now - started < 600.0,
            "{started} and {now}"
        );
        assert!(open_descriptors_of_many().unwrap() > 2);
        assert!(descriptor_limit().is_none_or(|limit| limit > 2));
    }

    #[test]
    fn raising_the_limit_again_does_not_change_it() {
        let limit = raise_descriptor_limit().unwrap();
        assert_eq!(raise_descriptor_limit().unwrap(), limit);
        assert_eq!(
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            limit
        );
    }
}
