//! Sources that can wait lose no price.

use std::io::{self, PipeReader, Write};
use std::process::Command;
use std::thread::{self, JoinHandle};

use rustix::process::Signal;
use testkit::{NatsServer, ServerProcess, temp_file};

use crate::scene::{Member, broker};

/// How many prices there are.
const COUNT: usize = 20_000;

const TICKS: &str = "tickertape_ticks_total";

/// A line of a script, or of a recording of 10 seconds.
fn line(number: usize) -> String {
    let symbol = number % 50;
    let sent = 1_732_270_000_000_000 + 500 * number;
    format!(
        r#"{{"symbol":"sim:S{symbol}","price":{number},"timestamp":{},"seq":1,"sent":{sent}}}"#,
        sent / 1_000
    ) + "\n"
}

/// A pipe with a script that writes these lines as fast as it can, and then keeps it open.
fn script(numbers: std::ops::Range<usize>) -> (PipeReader, JoinHandle<io::PipeWriter>) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let writer = thread::spawn(move || {
        let text: String = numbers.map(line).collect();
        writer.write_all(text.as_bytes()).expect("it is read");
        writer
    });
    (reader, writer)
}

/// An origin with the prices of a pipe.
fn origin(url: &str, prices: PipeReader) -> ServerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0", "--source", "-", "--publish", url]);
    command.args(["--takeover-after", "1500ms"]);
    ServerProcess::spawn_with_input(&mut command, prices)
}

/// Waits until the edge has recorded this many prices, which have to be all from the first one on.
fn check(edge: &Member, count: usize) {
    edge.server
        .wait_for_metric(TICKS, |ticks| ticks >= count as u64);
    edge.wait_for_lines(count);
    for (number, line) in edge.recording().iter().enumerate() {
        let price = format!(r#""price":{number},"#);
        assert!(line.contains(&price), "line {number}: {line}");
    }
}

fn check_nothing_conflated(origin: &ServerProcess) {
    assert_eq!(origin.metric("tickertape_broker_conflated_total"), 0);
}

/// Stops the broker until the origin has noticed.
fn pause(broker: &NatsServer, origin: &ServerProcess) {
    const UNANSWERED: &str = "tickertape_broker_unanswered_total";
    let before = origin.metric(UNANSWERED);
    broker.signal(Signal::STOP);
    origin.wait_for_metric(UNANSWERED, |count| count > before);
    broker.signal(Signal::CONT);
}

#[test]
fn all_lines_of_a_pipe_are_written_also_by_an_origin_that_has_to_wait_for_the_lead() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let edge = Member::waiting_edge(&url);
    let (prices, script_of_first) = script(0..COUNT);
    let first = origin(&url, prices);
    check(&edge, COUNT);
    check_nothing_conflated(&first);
    first.signal(Signal::KILL);
    drop(script_of_first.join());
    let (prices, _script) = script(COUNT..2 * COUNT);
    let second = origin(&url, prices);
    check(&edge, 2 * COUNT);
    check_nothing_conflated(&second);
    // The second one kept the symbols and their numbers.
    let last = edge.recording().pop().expect("many lines");
    let seq = format!(r#""seq":{}"#, 2 * COUNT / 50);
    assert!(last.contains(&seq), "{last}");
}

#[test]
fn a_pipe_waits_while_the_broker_stands_still() {
    let Some((broker, url)) = broker() else {
        return;
    };
    let edge = Member::waiting_edge(&url);
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let origin = origin(&url, reader);
    let lines = |numbers: std::ops::Range<usize>| numbers.map(line).collect::<String>();
    let half = COUNT / 2;
    writer
        .write_all(lines(0..half).as_bytes())
        .expect("it is read");
    check(&edge, half);
    let script = thread::spawn(move || {
        let text = lines(half..COUNT);
        writer.write_all(text.as_bytes()).expect("it is read");
        writer
    });
    pause(&broker, &origin);
    check(&edge, COUNT);
    check_nothing_conflated(&origin);
    drop(script.join());
}

#[test]
fn an_origin_that_ends_still_writes_what_waits() {
    const WAITING: &str = "tickertape_broker_waiting_ticks";
    const SENT: &str = r#"tickertape_broker_bytes_total{direction="out"}"#;
    let Some((broker, url)) = broker() else {
        return;
    };
    let edge = Member::waiting_edge(&url);
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let mut origin = origin(&url, reader);
    let lines = |numbers: std::ops::Range<usize>| numbers.map(line).collect::<String>();
    writer
        .write_all(lines(0..100).as_bytes())
        .expect("it is read");
    check(&edge, 100);
    let sent = origin.metric(SENT);
    broker.signal(Signal::STOP);
    // One message is under way, and what comes then has to wait.
    writer.write_all(line(100).as_bytes()).expect("it is read");
    origin.wait_for_metric(SENT, |bytes| bytes > sent + 100);
    writer
        .write_all(lines(101..400).as_bytes())
        .expect("it is read");
    origin.wait_for_metric(WAITING, |ticks| ticks > 0);
    let waiting = origin.metric(WAITING) as usize;
    origin.signal(Signal::TERM);
    origin.wait_for("shutting down");
    broker.signal(Signal::CONT);
    let (status, log) = origin.wait();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("left the log"), "{log}");
    check(&edge, 100 + waiting);
}

#[test]
fn a_recording_at_full_speed_is_written_whole() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let file = temp_file((0..COUNT).map(line).collect::<String>());
    let source = format!("replay:{}", file.path().display());
    let edge = Member::waiting_edge(&url);
    let program = env!("CARGO_BIN_EXE_server");
    let arguments = ["--source", &source, "--speed", "max", "--publish", &url];
    let origin = ServerProcess::start(program, &arguments);
    check(&edge, COUNT);
    check_nothing_conflated(&origin);
}

#[test]
fn a_recording_waits_while_the_broker_stands_still() {
    let Some((broker, url)) = broker() else {
        return;
    };
    let file = temp_file((0..COUNT).map(line).collect::<String>());
    let source = format!("replay:{}", file.path().display());
    let edge = Member::waiting_edge(&url);
    let program = env!("CARGO_BIN_EXE_server");
    let arguments = ["--source", &source, "--speed", "10", "--publish", &url];
    let origin = ServerProcess::start(program, &arguments);
    edge.server.wait_for_metric(TICKS, |ticks| ticks >= 2_000);
    pause(&broker, &origin);
    check(&edge, COUNT);
    check_nothing_conflated(&origin);
}
