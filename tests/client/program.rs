//! The client as a program: options, exit status, output, signals.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tickertape::client;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::{accept, begin, bind, finish, send, serve_steadily, tick};

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program against a server that handles one connection.
pub(crate) fn run_program(arguments: &[&str], serve: impl FnOnce(TcpStream) + Send) -> Output {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        scope.spawn(|| serve(accept(&listener)));
        let arguments = [&["--url", &url], arguments].concat();
        command(&arguments).output().unwrap()
    })
}

/// Sends the signal of Ctrl-C.
pub(crate) fn interrupt(id: u32) {
    let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// A terminal: the user's end, and the end that programs write to.
pub(crate) fn terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    // Other tests also start programs, which must not inherit it.
    fcntl_setfd(&master, FdFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = open(name, flags, Mode::empty()).unwrap();
    (master.into(), slave.into())
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_program_prints_one_json_object_and_succeeds() {
    let output = run_program(&["--duration", "200ms", "--json"], serve_steadily);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "no progress without a terminal");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["ticks"].as_u64().unwrap() > 0);
    assert_eq!(report["clients"]["connected"], 1);
    assert!(report["server"].is_null() && report["response_s"]["stdev"].is_null());
}

#[test]
fn the_program_fails_when_no_tick_came() {
    let output = run_program(&["--duration", "50ms"], |stream| {
        finish(&mut tungstenite::accept(stream).unwrap());
    });
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: connected, but no tick arrived in 50ms (try a longer --duration)\n"
    );
    assert!(text(&output.stdout).contains("no tick"));
}

#[test]
fn the_program_ends_early_on_a_signal_with_a_report() {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    thread::scope(|scope| {
        let child = command(&["--url", &url, "--duration", "1h"])
            .spawn()
            .unwrap();
        let id = child.id();
        scope.spawn(move || {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            begin(&mut peer);
            send(&mut peer, tick(2, 0));
            peer.send(Message::Ping("counted?".into())).unwrap();
            assert!(matches!(peer.read(), Ok(Message::Pong(_))));
            interrupt(id);
            assert_eq!(finish(&mut peer), CloseCode::Normal);
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("of which 2 are ticks"));
    });
}

#[test]
fn help_is_printed_and_invalid_options_are_refused() {
    let output = command(&["--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), client::config::options::HELP);
    let output = command(&["--clients", "5", "--version"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let version = concat!("tickertape ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(text(&output.stdout), version);
    let output = command(&["--clients", "many"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = "error: --clients: invalid count 'many': expected a whole number from 1\n";
    assert_eq!(text(&output.stderr), error);
    let output = command(&["--clients", "1000000000"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = command(&["--url", "ws://no-such-host.invalid/"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: cannot resolve no-such-host.invalid: "));
}

#[test]
fn memory_is_bounded_whatever_the_server_sends() {
    for (first, on) in [
        // One message in fragments, and one frame of a tebibyte.
        (&b"\x01\x7e\xff\xff"[..], &b"\x00\x7e\xff\xff"[..]),
        (b"\x81\x7f\0\0\x01\0\0\0\0\0", b""),
    ] {
        let output = run_program(&["--duration", "300ms", "--json"], |stream| {
            let mut peer = tungstenite::accept(stream).unwrap();
            begin(&mut peer);
            let stream = peer.get_mut();
            let mut written = stream.write_all(first);
            for _ in 0..1_000 {
                let rest = [&[b'x'; 0xffff][..], on].concat();
                written = written.and_then(|()| stream.write_all(&rest));
            }
        });
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["errors"]["kinds"]["protocol error"], 1, "{report}");
        let memory = report["client"]["rss_bytes"].as_u64().unwrap();
        assert!(memory < 40_000_000, "{memory}");
    }
}

#[test]
fn a_password_is_never_printed() {
    let (listener, address) = bind();
    let url = format!("ws://user:secret@{address}/");
    thread::scope(|scope| {
        scope.spawn(|| serve_steadily(accept(&listener)));
        let output = command(&["--url", &url, "--duration", "100ms"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(!text(&output.stdout).contains("secret"));
    });
    for arguments in [&["--url", "ws://u:secret@h/#a"][..], &["ws://u:secret@h/"]] {
        let output = command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            !text(&output.stderr).contains("secret"),
            "{}",
            text(&output.stderr)
        );
    }
}
