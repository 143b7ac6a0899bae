//! `--print`: ticks on stdout, for readers that are fast, slow or gone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tungstenite::Message;

use crate::program::{command, interrupt, run_program, terminal, text};
use crate::server::{SOON, accept, begin, bind, finish, send, serve_steadily, tick};

#[test]
fn ticks_are_printed_unchanged_one_per_line() {
    let arguments = ["--print", "--duration", "200ms"];
    let (sender, receiver) = std::sync::mpsc::channel();
    let output = run_program(&arguments, |stream| {
        let mut peer = tungstenite::accept(stream).unwrap();
        begin(&mut peer);
        let ticks = [tick(2, 0), tick(3, 0).replace(',', ",\n ")];
        for tick in ticks {
            send(&mut peer, tick.clone());
            sender.send(tick).unwrap();
        }
        send(&mut peer, r#"{"event":"stale"}"#);
        finish(&mut peer);
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed: Vec<_> = text(&output.stdout).lines().collect();
    let sent: Vec<_> = receiver
        .try_iter()
        .map(|tick| tick.replace('\n', " "))
        .collect();
    assert_eq!(printed.len(), 3, "the first, two more, and no event");
    assert_eq!(printed[1..], sent);
    assert!(text(&output.stderr).contains("of which 3 are ticks"));
}

#[test]
fn the_run_ends_quietly_when_the_reader_of_its_output_leaves() {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        scope.spawn(move || serve_steadily(accept(&listener)));
        let arguments = ["--url", &url, "--print", "--duration", "1h"];
        let mut child = command(&arguments).spawn().unwrap();
        let began = Instant::now();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().starts_with("{\"symbol\""));
        drop(lines);
        let output = child.wait_with_output().unwrap();
        assert!(began.elapsed() < SOON);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(text(&output.stderr), "");
    });
}

#[test]
fn a_stopped_terminal_delays_neither_ticks_nor_progress() {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    for progress in [false, true] {
        let (mut master, mut slave) = terminal();
        fill(&mut slave);
        // There is room for part of a line: the terminal seems to accept what it cannot take.
        master.read_exact(&mut [0; 40]).unwrap();
        let mut command = command(&["--url", &url, "--duration", "400ms"]);
        command.env("TERM", "xterm");
        if progress {
            command.stderr(slave)
        } else {
            command.arg("--print").stdout(slave)
        };
        thread::scope(|scope| {
            scope.spawn(|| serve_steadily(accept(&listener)));
            let mut child = command.spawn().unwrap();
            let began = Instant::now();
            let status = loop {
                match child.try_wait().unwrap() {
                    Some(status) => break status,
                    None if began.elapsed() > SOON => child.kill().unwrap(),
                    None => thread::sleep(Duration::from_millis(10)),
                }
            };
            assert_eq!(status.code(), Some(0), "progress: {progress}");
        });
    }
}

/// Writes to `terminal` until it takes no more.
fn fill(terminal: &mut File) {
    let flags = fcntl_getfl(&*terminal).unwrap();
    fcntl_setfl(&*terminal, flags | OFlags::NONBLOCK).unwrap();
    while terminal.write(b"x").is_ok() {}
    fcntl_setfl(&*terminal, flags).unwrap();
}

/// More than the client keeps, in ticks of 100 kB.
const COUNT: u64 = 150;

#[test]
fn a_stalled_reader_costs_printed_ticks_but_neither_memory_nor_time() {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        let arguments = ["--url", &url, "--print", "--duration", "1h", "--json"];
        let mut child = command(&arguments).spawn().unwrap();
        let id = child.id();
        let began = Instant::now();
        scope.spawn(move || {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            let padding = format!(",\"padding\":\"{}\"}}", "x".repeat(100_000));
            for seq in 2..=COUNT {
                send(&mut peer, tick(seq, 0).replace('}', &padding));
            }
            peer.send(Message::Ping("counted?".into())).unwrap();
            assert!(matches!(peer.read(), Ok(Message::Pong(_))));
            interrupt(id);
            finish(&mut peer);
        });
        let mut report = Vec::new();
        // stdout stays open but is not read.
        child
            .stderr
            .take()
            .unwrap()
            .read_to_end(&mut report)
            .unwrap();
        let status = child.wait().unwrap();
        assert!(began.elapsed() < SOON);
        assert_eq!(status.code(), Some(0), "{}", text(&report));
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["ticks"], COUNT);
        let printed = report["printed"]["ticks"].as_u64().unwrap();
        let dropped = report["printed"]["dropped"].as_u64().unwrap();
        assert_eq!(printed + dropped, COUNT);
        assert!(printed < 5, "as many as the pipe holds: {printed}");
        let rss = report["client"]["rss_bytes"].as_u64().unwrap();
        assert!(rss < 60_000_000, "{rss}");
        let warning = report["warnings"].to_string();
        assert!(warning.contains("could not keep up"), "{warning}");
    });
}
