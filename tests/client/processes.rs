//! Several processes that share the clients: one report, one exit status, and no process left
//! behind.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tickertape::tick::unix_us;
use tungstenite::Message;

use crate::server::{SOON, accept, bind, tick};

/// By how much a busy machine may delay a run that uses up its whole limit.
const BUSY: Duration = Duration::from_secs(2);

/// Serves every connection until `is_over`, and counts them; ticks every few milliseconds.
fn serve_all(listener: &TcpListener, (accepted, is_over): (&AtomicUsize, &AtomicBool)) {
    thread::scope(|scope| {
        while let stream = accept(listener)
            && !is_over.load(Ordering::SeqCst)
        {
            accepted.fetch_add(1, Ordering::SeqCst);
            scope.spawn(|| serve(stream));
        }
    });
}

/// Serves for as long as the client is there, however it leaves.
fn serve(stream: TcpStream) {
    let Ok(mut peer) = tungstenite::accept(stream) else {
        return;
    };
    let pause = Duration::from_millis(10);
    peer.get_ref().set_read_timeout(Some(pause)).unwrap();
    for seq in 1.. {
        if peer.can_write() && peer.send(Message::text(tick(seq, 0))).is_err() {
            return;
        }
        match peer.read() {
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(Message::Text(text)) if peer.can_write() => {
                let request: Value = serde_json::from_str(&text).unwrap();
                let (id, time) = (&request["id"], unix_us());
                let answer = format!(r#"{{"op":"pong","id":{id},"time":{time}}}"#);
                // If it has left, the next read reports that.
                let _ = peer.send(Message::text(answer));
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn command(address: SocketAddr, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command
        .arg(format!("--url=ws://{address}/"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program against a server; `meanwhile` gets its process id and the number of
/// connections.
fn run(arguments: &str, meanwhile: impl FnOnce(u32, &AtomicUsize)) -> (Output, Duration) {
    let (listener, address) = bind();
    let (accepted, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| serve_all(&listener, (&accepted, &is_over)));
        let began = Instant::now();
        let child = command(address, arguments).spawn().unwrap();
        meanwhile(child.id(), &accepted);
        let output = child.wait_with_output().unwrap();
        let lasted = began.elapsed();
        is_over.store(true, Ordering::SeqCst);
        TcpStream::connect(address).unwrap();
        (output, lasted)
    })
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The processes started by `pid`, once there are `count` with an open connection each.
fn children(pid: u32, count: usize) -> Vec<i32> {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < SOON, "they start");
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = fs::read_to_string(path).unwrap_or_default();
        let found: Vec<i32> = text
            .split(' ')
            .filter_map(|pid| pid.trim().parse().ok())
            .collect();
        let is_running = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.windows(8).any(|part| part == b"--share=")
        };
        if found.len() == count && found.iter().all(is_running) {
            return found;
        }
        thread::yield_now();
    }
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn is_alive(pid: i32) -> bool {
    // A zombie has an empty command line.
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn one_report_has_the_schedules_requests_and_clocks_of_all_processes() {
    let (output, _) = run(
        "--clients 4 --processes 2 --duration 1s --expect 10ms --sync --json --slow 1 --rate 20 \
         --request {\"op\":\"ping\"}",
        |_, _| {},
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    // Three of the four clients are not slow.
    let requests = &report["requests"];
    let sent = requests["sent"].as_u64().unwrap();
    assert!((50..=62).contains(&sent), "{requests}");
    assert_eq!(requests["replies"], sent, "{requests}");
    // A request that was due as the window ended may be unsent, but it was late all the same.
    let due = sent + requests["unsent"].as_u64().unwrap();
    assert_eq!(requests["latency_us"]["count"], due, "{requests}");
    assert_eq!(requests["uncorrected_us"]["count"], sent, "{requests}");
    let expected = report["schedule"]["lateness_us"]["count"].as_u64().unwrap();
    assert!((200..=400).contains(&expected), "{report}");
    // Each process compares the clocks for a second at most before it joins the others.
    let sync = &report["sync"];
    assert!(sync["answered"].as_u64().unwrap() >= 4, "{sync}");
    let (offset_us, error_us) = (&sync["offset_us"], &sync["error_us"]);
    let offset_us = offset_us.as_i64().unwrap().unsigned_abs();
    assert!(offset_us <= error_us.as_u64().unwrap(), "{sync}");
    // The losses of both processes' symbols, by name.
    let symbols = report["symbols"].as_array().unwrap();
    assert_eq!(symbols.len(), 1, "{symbols:?}");
    assert_eq!(symbols[0]["numbered"], report["numbered"], "{report}");
    assert_eq!(report["numbered"], report["ticks"], "{report}");
    assert_eq!(report["stamped"], report["ticks"], "{report}");
    // The same per second.
    let sum = |name: &str| -> u64 {
        let intervals = report["intervals"].as_array().unwrap();
        intervals
            .iter()
            .map(|interval| interval[name]["count"].as_u64().unwrap())
            .sum()
    };
    assert_eq!((sum("lateness_us"), sum("reply_us")), (expected, due));
}

#[test]
fn three_processes_make_one_report() {
    let arguments =
        "--clients 7 --processes 3 --duration 1500ms --slow 1 --churn 9 --ramp 100 --json";
    let (output, lasted) = run(arguments, |_, _| {});
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["clients"]["asked"], 7);
    assert_eq!(report["clients"]["connected"], 7);
    assert_eq!(report["response_s"]["count"], 6);
    assert_eq!(report["slow"]["connected"], 1);
    assert!(
        report["reconnects"]["churned"].as_u64().unwrap() > 3,
        "{report}"
    );
    assert_eq!(report["errors"]["total"], 0, "{report}");
    let ticks = report["ticks"].as_u64().unwrap();
    assert!(ticks > 6 * 10, "{report}");
    let deliveries = report["delivery_us"]["count"].as_u64().unwrap();
    assert!(deliveries > ticks / 2 && deliveries <= ticks, "{report}");
    let intervals = report["intervals"].as_array().unwrap();
    let sum = |name: &str| {
        intervals
            .iter()
            .map(|interval| interval[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(sum("ticks"), ticks, "each second has the ticks of all");
    let in_intervals = intervals
        .iter()
        .map(|interval| interval["delivery_us"]["count"].as_u64().unwrap());
    assert_eq!(in_intervals.sum::<u64>(), deliveries);
    let window = report["duration_s"].as_f64().unwrap();
    assert!((1.5..2.5).contains(&window), "{window}");
    assert!(report["client"]["cpu_s"].as_f64().unwrap() > 0.0);
    assert!(lasted < Duration::from_millis(1500) + Duration::from_secs(5));
}

#[test]
fn a_process_that_dies_is_named_and_the_others_are_reported() {
    let (output, lasted) = run(
        "--clients 2 --processes 2 --duration 1s --json",
        |pid, _| {
            signal(children(pid, 2)[1], Signal::KILL);
        },
    );
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(
        error.starts_with("error: client process 2 of 2 ("),
        "{error}"
    );
    assert!(error.ends_with(") was killed by signal 9\n"), "{error}");
    let report = report(&output);
    assert_eq!(report["errors"]["kinds"]["process lost"], 1);
    assert_eq!(report["clients"]["connected"], 1);
    assert_eq!(report["clients"]["failed"], 1);
    assert!(report["ticks"].as_u64().unwrap() > 0, "{report}");
    assert!(lasted < Duration::from_secs(1 + 5));
}

#[test]
fn every_dead_worker_is_named() {
    let arguments = "--clients 3 --processes 3 --duration 500ms --quiet";
    let (output, _) = run(arguments, |pid, _| {
        let all = children(pid, 3);
        signal(all[0], Signal::KILL);
        signal(all[2], Signal::KILL);
    });
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    for part in [
        "error: client process 1 of 3 (",
        "; client process 3 of 3 (",
        ") was killed by signal 9\n",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_signal_to_one_worker_is_ignored() {
    let arguments = "--clients 2 --processes 2 --duration 500ms --json";
    let (output, _) = run(arguments, |pid, accepted| {
        while accepted.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        let one = children(pid, 2)[0];
        signal(one, Signal::TERM);
        signal(one, Signal::INT);
    });
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["errors"]["total"], 0, "{report}");
    assert!(report["duration_s"].as_f64().unwrap() >= 0.5, "{report}");
}

#[test]
fn a_signal_does_not_wait_for_a_hanging_worker() {
    for signals in 1..=2 {
        let arguments = "--clients 2 --processes 2 --duration 1h --churn 100";
        let (output, lasted) = run(arguments, |pid, accepted| {
            while accepted.load(Ordering::SeqCst) < 2 + 20 {
                thread::yield_now();
            }
            signal(children(pid, 2)[0], Signal::STOP);
            let own = pid.try_into().unwrap();
            signal(own, Signal::INT);
            if signals == 2 {
                // Two equal signals in a row may be merged into one.
                signal(own, Signal::TERM);
            }
        });
        assert_eq!(output.status.code(), Some(1));
        let error = stderr(&output);
        assert!(
            error.ends_with(") did not end in time and was killed\n"),
            "{error}"
        );
        assert!(lasted < SOON, "{lasted:?}");
    }
}

#[test]
fn a_signal_ends_all_with_a_report() {
    let arguments = "--clients 4 --processes 2 --duration 1h --churn 100";
    let (output, _) = run(arguments, |pid, accepted| {
        // Connections are only replaced while all are measured.
        while accepted.load(Ordering::SeqCst) < 4 + 20 {
            thread::yield_now();
        }
        signal(pid.try_into().unwrap(), Signal::TERM);
    });
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("4 connected of 4 asked for"), "{text}");
}

#[test]
fn workers_end_with_their_coordinator() {
    let mut both = Vec::new();
    let (output, _) = run("--clients 2 --processes 2 --duration 1h", |pid, _| {
        both = children(pid, 2);
        signal(pid.try_into().unwrap(), Signal::KILL);
    });
    assert_eq!(output.status.code(), None);
    let began = Instant::now();
    while both.iter().any(|&pid| is_alive(pid)) {
        assert!(began.elapsed() < SOON, "they are left behind");
        thread::yield_now();
    }
}

#[test]
fn a_process_that_hangs_is_killed_in_time() {
    let (output, lasted) = run(
        "--clients 2 --processes 2 --duration 500ms --json",
        |pid, _| {
            signal(children(pid, 2)[0], Signal::STOP);
        },
    );
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("client process 1 of 2 ("), "{error}");
    assert!(
        error.ends_with(") did not end in time and was killed\n"),
        "{error}"
    );
    assert!(
        lasted < Duration::from_millis(500) + Duration::from_secs(5) + BUSY,
        "{lasted:?}"
    );
}

#[test]
fn one_refused_server_is_reported_once_for_all_workers() {
    let (listener, address) = bind();
    drop(listener);
    let output = command(address, "--clients 4 --processes 2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let sentence = format!(
        "error: cannot connect to {address}: connection refused (is the server running?)\n"
    );
    assert_eq!(stderr(&output), sentence);
}

#[test]
fn thresholds_apply_to_the_sum_of_all_processes() {
    let arguments = "--clients 4 --processes 2 --duration 500ms --min-throughput 1e9";
    let (output, _) = run(arguments, |_, _| {});
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn a_worker_without_a_coordinator_ends_at_once() {
    let (listener, address) = bind();
    let mut child = command(address, "--share 0/2 --clients 2 --duration 1h")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = accept(&listener);
    drop(child.stdin.take());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    stream.flush().unwrap();
    let _ = stream.read(&mut [0]);
}

#[test]
fn the_share_option_is_refused_outside_of_a_worker() {
    let (_, address) = bind();
    let output = command(address, "--share 0/2 --clients 2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error =
        "error: --share: reserved for the processes that --processes starts, try --processes 2\n";
    assert_eq!(stderr(&output), error);
    let output = command(address, "--share-addresses 127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// Sends `signal` to the program and all its children, like a terminal.
fn signal_all(pid: u32, signal: Signal) {
    let group = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process_group(group, signal).unwrap();
}

#[test]
fn stopping_and_continuing_all_processes_keeps_the_report_honest() {
    let arguments = "--clients 4 --processes 2 --duration 1500ms --churn 100 --json";
    let (output, lasted) = run(arguments, |pid, accepted| {
        while accepted.load(Ordering::SeqCst) < 4 + 2 {
            thread::yield_now();
        }
        // Ctrl-Z and fg without a shell. Enough time is left for ticks.
        signal_all(pid, Signal::STOP);
        // The stop is the subject of the test.
        thread::sleep(Duration::from_secs(1));
        signal_all(pid, Signal::CONT);
    });
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(lasted < Duration::from_millis(1_500 + 1_000) + Duration::from_secs(5));
    let report = report(&output);
    assert_eq!(report["errors"]["total"], 0, "{report}");
    let window = report["duration_s"].as_f64().unwrap();
    assert!(window >= 1.0, "the stop is part of it: {window}");
    let late = report["client"]["lateness_max_us"].as_u64().unwrap();
    assert!(late > 900_000, "{late}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("this client's own loop was"),
        "{warnings}"
    );
}

#[test]
fn a_signal_to_all_processes_ends_them_with_a_report() {
    let arguments = "--clients 4 --processes 2 --duration 1h --churn 100 --json";
    let (output, _) = run(arguments, |pid, accepted| {
        while accepted.load(Ordering::SeqCst) < 4 + 20 {
            thread::yield_now();
        }
        signal_all(pid, Signal::INT);
    });
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["errors"]["total"], 0, "{report}");
    assert!(report["ticks"].as_u64().unwrap() > 0, "{report}");
}
