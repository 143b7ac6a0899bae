//! The progress line, on a terminal.

use std::io::Read;
use std::process::Stdio;
use std::thread;

use crate::program::{command, terminal, text};
use crate::server::{accept, bind, serve_steadily};

/// The output of a run on a terminal, and its stdout.
fn run_on_terminal(arguments: &[&str]) -> (String, String) {
    let (master, slave) = terminal();
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        scope.spawn(move || serve_steadily(accept(&listener)));
        let reading = scope.spawn(move || {
            let mut shown = Vec::new();
            // The read fails with EIO once no process has the terminal open.
            let _ = (&master).read_to_end(&mut shown);
            String::from_utf8(shown).unwrap()
        });
        let arguments = [&["--url", &url, "--duration", "1s"], arguments].concat();
        let mut command = command(&arguments);
        command.env("TERM", "xterm").stderr(Stdio::from(slave));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        // The command holds the other end.
        drop(command);
        (reading.join().unwrap(), text(&output.stdout).to_owned())
    })
}

#[test]
fn a_terminal_shows_the_progress_of_the_run() {
    let (shown, printed) = run_on_terminal(&[]);
    let lines: Vec<_> = shown
        .split('\r')
        .filter(|line| line.contains("measuring"))
        .collect();
    assert!((1..=10).contains(&lines.len()), "{shown:?}");
    assert!(lines[0].contains("/1.0 s, 1 clients, "), "{shown:?}");
    assert!(
        lines.iter().all(|line| line.contains("0 errors")),
        "{shown:?}"
    );
    assert!(shown.ends_with("\x1b[2K"), "it is taken away: {shown:?}");
    assert!(printed.contains("Throughput") && !printed.contains("measuring"));
}

#[test]
fn quiet_shows_no_progress() {
    let (shown, printed) = run_on_terminal(&["--quiet"]);
    assert_eq!(shown, "");
    assert!(printed.contains("Throughput"));
}
