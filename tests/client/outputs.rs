//! The results of a run: files, and an exit status for machines.

use std::path::PathBuf;
use std::thread;

use testkit::TempDir;
use tungstenite::Message;

use crate::program::{command, interrupt, run_program, text};
use crate::server::{accept, begin, bind, finish, send, serve_steadily, tick};

/// The columns that every run has. Scripts depend on them.
const HEADER: &str = "unix_s,time_s,length_s,connected,messages,ticks,bytes,deliveries,p50_us,\
                      p90_us,p99_us,max_us,errors,gaps,missed,repeats";

/// The name of a file that does not exist yet, in a temporary directory.
struct Temporary {
    _folder: TempDir,
    path: PathBuf,
}

impl Temporary {
    fn new(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        Self {
            _folder: folder,
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

#[test]
fn a_signal_leaves_all_files_complete() {
    let (csv, hdr, svg) = (
        Temporary::new("run.csv"),
        Temporary::new("run.hlog"),
        Temporary::new("run.svg"),
    );
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    let arguments = [
        ["--url", &url],
        ["--duration", "1h"],
        ["--csv", csv.name()],
        ["--hdr", hdr.name()],
        ["--plot", svg.name()],
    ];
    thread::scope(|scope| {
        let child = command(&arguments.concat()).spawn().unwrap();
        let id = child.id();
        scope.spawn(move || {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            for seq in 2..=4 {
                send(&mut peer, tick(seq, 1_000));
            }
            peer.send(Message::Ping("counted?".into())).unwrap();
            assert!(matches!(peer.read(), Ok(Message::Pong(_))));
            interrupt(id);
            finish(&mut peer);
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    });
    let csv = csv.read();
    let (header, row) = csv.split_once('\n').unwrap();
    assert_eq!(header, HEADER);
    let row: Vec<_> = row.trim_end().split(',').collect();
    let of = |name| row[HEADER.split(',').position(|column| column == name).unwrap()];
    assert_eq!(
        (of("ticks"), of("deliveries"), of("connected")),
        ("4", "3", "1")
    );
    assert!(of("p50_us").parse::<u64>().unwrap() >= 1_000, "{csv}");
    let hdr = hdr.read();
    let last = hdr.lines().last().unwrap();
    assert!(last.starts_with("Tag=delivery,0.000,0."), "{hdr}");
    assert!(svg.read().ends_with("</svg>\n"));
}

#[test]
fn intervals_of_a_second_add_up_to_the_report() {
    let arguments = ["--duration", "1200ms", "--json"];
    let output = run_program(&arguments, serve_steadily);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let intervals = report["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 2, "{intervals:?}");
    let sum = |name: &str| {
        intervals
            .iter()
            .map(|interval| interval[name].as_u64().unwrap())
            .sum()
    };
    let total: u64 = sum("ticks");
    assert_eq!(Some(total), report["ticks"].as_u64());
    let total: u64 = sum("bytes");
    assert_eq!(Some(total), report["bytes"].as_u64());
    let first = intervals[0]["length_s"].as_f64().unwrap();
    assert!(first >= 1.0, "{first}");
    let last = &report["delivery_curve"].as_array().unwrap().last().unwrap();
    assert_eq!(last["quantile"], 1.0);
    assert_eq!(last["us"], report["delivery_us"]["max"]);
}

#[test]
fn csv_on_stdout_moves_the_report_to_stderr() {
    let arguments = ["--duration", "100ms", "--csv", "-"];
    let output = run_program(&arguments, serve_steadily);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let csv = text(&output.stdout);
    assert_eq!(csv.lines().next(), Some(HEADER));
    assert_eq!(csv.lines().count(), 2, "{csv}");
    assert!(text(&output.stderr).contains("Throughput"));
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_run() {
    let name = Temporary::new("missing").path.join("run.csv");
    let name = name.to_str().unwrap();
    // No server listens there; if the run began, that would be the error.
    let arguments = ["--url", "ws://127.0.0.1:1/", "--csv", name];
    let output = command(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let sentence = format!("error: --csv: cannot write {name}: no such file or directory\n");
    assert_eq!(text(&output.stderr), sentence);
}

#[test]
fn a_run_that_fails_leaves_no_empty_file() {
    let file = Temporary::new("empty.hlog");
    let arguments = ["--url", "ws://no-such-host.invalid/", "--hdr", file.name()];
    let output = command(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!file.path.exists());
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    // Only some systems have this device.
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    for (option, what) in [("--json", "the report"), ("--csv=-", "the CSV")] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = thread::scope(|scope| {
            scope.spawn(|| serve_steadily(accept(&listener)));
            let mut command = command(&["--url", &url, "--duration", "100ms", option]);
            command.stdout(full.unwrap()).output().unwrap()
        });
        assert_eq!(output.status.code(), Some(1));
        let error = format!("error: cannot write {what}: no space left on device\n");
        assert!(text(&output.stderr).ends_with(&error), "{output:?}");
    }
}

#[test]
fn a_signal_ends_a_report_without_a_reader() {
    // Once the files are complete, only the report can be waiting.
    let csv = Temporary::new("unread.csv");
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    let (unread, mut stdout) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&stdout, true).unwrap();
    while std::io::Write::write(&mut stdout, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&stdout, false).unwrap();
    let arguments = ["--url", &url, "--duration", "100ms", "--csv", csv.name()];
    let mut child = command(&arguments).stdout(stdout).spawn().unwrap();
    serve_steadily(accept(&listener));
    let began = std::time::Instant::now();
    while !csv.path.exists() || csv.read().lines().count() < 2 {
        assert!(began.elapsed() < crate::server::SOON, "it is written");
        thread::yield_now();
    }
    assert_eq!(child.try_wait().unwrap(), None);
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), None);
    drop(unread);
}

#[test]
fn a_missed_threshold_is_named_and_has_its_own_exit_status() {
    let arguments = [
        ["--duration", "200ms"],
        ["--max-p99", "1h"],
        ["--max-errors", "0"],
        ["--min-throughput", "1e9"],
    ];
    let arguments = [&["--json"], &arguments.concat()[..]].concat();
    let output = run_program(&arguments, serve_steadily);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("missed: throughput in messages/s "),
        "{said}"
    );
    assert!(
        said.ends_with(" is under --min-throughput 1000000000\n"),
        "{said}"
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let met = |i: usize| report["thresholds"][i]["met"].as_bool().unwrap();
    assert_eq!((met(0), met(1), met(2)), (true, true, false));
}

#[test]
fn thresholds_that_are_met_do_not_change_the_exit_status() {
    let arguments = [
        "--duration",
        "100ms",
        "--max-p999",
        "1h",
        "--max-errors",
        "0",
    ];
    let output = run_program(&arguments, serve_steadily);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_missing_tick_takes_precedence_over_a_missed_threshold() {
    let arguments = ["--duration", "50ms", "--max-p99", "1h"];
    let output = run_program(&arguments, |stream| {
        finish(&mut tungstenite::accept(stream).unwrap());
    });
    assert_eq!(output.status.code(), Some(1));
    let said = "missed: delivery latency p99 could not be measured, --max-p99 3600000ms is not \
                kept\nerror: connected, but no tick arrived in 50ms (try a \
                longer --duration)\n";
    assert_eq!(text(&output.stderr), said);
}
