//! What a run has cost: this process, and the one under test.

use serde::Serialize;

/// This process in the measured window.
#[derive(Clone, Debug, Serialize)]
pub struct ClientUsage {
    /// CPU time by the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time.
    pub cpu_s: f64,
    /// That by the ticks.
    pub cpu_us_per_tick: Option<f64>,
    /// Time that it was ready to run and waited for a core, by the window's length.
    pub waited_percent: Option<f64>,
    /// Memory at the end.
    pub rss_bytes: u64,
    /// How late its loop was, looked at every 10 ms: 99 of 100 times no later.
    pub lateness_p99_us: u64,
    /// 999 of 1000 times no later.
    pub lateness_p999_us: u64,
    /// At its worst.
    pub lateness_max_us: u64,
    /// Reads that returned something.
    pub reads: u64,
    /// Reads that filled their buffer, so that there was more behind them.
    pub full_reads: u64,
    /// By how much its wall clock was set meanwhile.
    pub clock_step_us: u64,
}

/// The process under test.
#[derive(Clone, Debug, Serialize)]
pub struct ServerUsage {
    /// Its id.
    pub pid: u32,
    /// CPU time in the window by the window's length; one core is 100.
    pub cpu_percent: Option<f64>,
    /// CPU time in the window.
    pub cpu_s: f64,
    /// The part of it in the program itself.
    pub user_s: f64,
    /// The part of it in the kernel.
    pub system_s: f64,
    /// CPU time in the window by the ticks that arrived in it.
    pub cpu_us_per_tick: Option<f64>,
    /// The part of that in the program itself.
    pub user_us_per_tick: Option<f64>,
    /// CPU time while the clients joined.
    pub joining_cpu_s: f64,
    /// That by the clients that did.
    pub joining_cpu_us_per_client: Option<f64>,
    /// Memory when the window began.
    pub rss_bytes_before: u64,
    /// Memory when it ended.
    pub rss_bytes_after: u64,
}
