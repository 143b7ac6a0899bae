//! A whole cluster on this machine, and clients that hop between its edges: started, disturbed as
//! asked, watched and judged. `scripts/cluster.sh --help` explains it; that script is what to call.
//!
//! ```text
//! options ──▶ cluster: brokers, nodes ──▶ load: clients ──▶ report
//!                └── operator: kills ──────── readiness ─────┘
//! ```

mod brokers;
mod client;
mod cluster;
mod http;
mod kill;
mod load;
mod node;
mod operator;
mod options;
mod progress;
mod readiness;
mod report;
mod seen;
mod tapes;
mod time;
mod turns;
mod wire;

use std::fs;
use std::io;
use std::panic;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use pico_args::Arguments;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use testkit::TempDir;

use cluster::Cluster;
use load::Load;
use options::Options;
use report::Report;

fn main() -> ExitCode {
    let options = match Options::parse(Arguments::from_env()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}; see scripts/cluster.sh --help");
            return ExitCode::from(2);
        }
    };
    // The test kit says with a panic what a process did wrong.
    panic::set_hook(Box::new(|panic| {
        let words = panic.payload_as_str().unwrap_or("a failed assumption");
        eprintln!("error: {words}");
    }));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)) {
            eprintln!("error: cannot handle signals: {error}");
            return ExitCode::FAILURE;
        }
    }
    let judgement = panic::catch_unwind(|| run_in_folder(&options));
    match judgement {
        _ if is_interrupted() => ExitCode::from(130),
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) | Err(_) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a signal has asked for an early end.
fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Runs with a folder for recordings and logs, which goes afterwards unless it is to be kept. Returns
/// whether all was as it should be.
fn run_in_folder(options: &Options) -> Result<bool, String> {
    let text = |error: io::Error| error.to_string();
    if let Some(folder) = &options.keep {
        fs::create_dir_all(folder).map_err(text)?;
        if fs::read_dir(folder).map_err(text)?.next().is_some() {
            // Servers append to a recording that is there.
            let folder = folder.display();
            return Err(format!("invalid --keep: {folder} is not empty"));
        }
        return run(options, folder);
    }
    let folder = TempDir::new().map_err(text)?;
    run(options, folder.path())
}

fn run(options: &Options, folder: &Path) -> Result<bool, String> {
    let text = |error: io::Error| error.to_string();
    let mut cluster = Cluster::start(options, folder)?;
    let mut report = watch(options, &mut cluster)?;
    if is_interrupted() {
        return Ok(false);
    }
    report.figures = cluster.figures();
    let recordings = cluster.stop().map_err(text)?;
    report.tapes = tapes::compare(&recordings).map_err(text)?;
    print!("{}", report.text());
    let failures = report.failures();
    for failure in &failures {
        eprintln!("error: {failure}");
    }
    Ok(failures.is_empty())
}

/// Lets clients come, and things happen to the cluster.
fn watch<'a>(options: &'a Options, cluster: &mut Cluster) -> Result<Report<'a>, String> {
    let edges = cluster.edge_addresses();
    let single = cluster.single.as_ref().map(|node| vec![node.address]);
    let tapes = [edges.clone()].into_iter().chain(single).collect();
    let version = cluster.brokers.version()?;
    let first_ticks = cluster.first_ticks.clone();
    let begun = Instant::now();
    let load = Load::new(options, tapes, begun).map_err(|error| error.to_string())?;
    let (stop, stopped) = channel();
    let (stop_watching, stopped_watching) = channel();
    let (seen, outcomes, unready) = thread::scope(|scope| {
        let operator = scope.spawn(move || operator::operate(cluster, options, begun, &stopped));
        let readiness = scope.spawn(move || readiness::watch(&edges, &stopped_watching));
        let seen = load.run();
        drop((stop, stop_watching));
        (seen, operator.join(), readiness.join())
    });
    let failed = |_| "a thread failed".to_owned();
    Ok(Report {
        options,
        version,
        begun,
        length: begun.elapsed(),
        seen: seen.map_err(|error| error.to_string())?,
        outcomes: outcomes.map_err(failed)?,
        unready: unready.map_err(failed)?,
        figures: Vec::new(),
        first_ticks,
        tapes: tapes::Comparison::default(),
    })
}

/// Waits until something is so.
fn wait_until(what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        if is_interrupted() {
            return Err("interrupted".to_owned());
        }
        if Instant::now() > until {
            return Err(format!("{what} was awaited for {PATIENCE:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Longer than a broker takes to choose a leader.
const PATIENCE: Duration = Duration::from_secs(20);
