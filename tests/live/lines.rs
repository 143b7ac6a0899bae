//! Ticks that a script writes, over real pipes.

use std::fs::{File, OpenOptions};
use std::io::{PipeWriter, Write, pipe};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, mkfifoat};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use testkit::{ServerProcess, TempDir, temp_file};
use tungstenite::WebSocket;

use crate::client::next;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0"]).args(arguments);
    command
}

/// A server that reads what the test writes.
fn reading(arguments: &[&str]) -> (ServerProcess, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let mut command = command(&["--source", "-"]);
    let server = ServerProcess::spawn_with_input(command.args(arguments), reader);
    (server, writer)
}

fn join(server: &ServerProcess, query: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{}/{query}", server.address);
    tungstenite::client(url, server.connect()).unwrap().0
}

fn line(symbol: &str, price: &str) -> String {
    format!("{{\"symbol\":\"{symbol}\",\"price\":{price}}}\n")
}

fn bad_lines(server: &ServerProcess, name: &str, kind: &str) -> u64 {
    let labels = format!("{{source=\"{name}\",kind=\"{kind}\"}}");
    server.metric(&format!("tickertape_source_failures_total{labels}"))
}

fn wait_for_ticks(server: &ServerProcess, count: u64) {
    server.wait_for_metric("tickertape_ticks_total", |ticks| ticks == count);
}

fn fifo() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ticks.fifo");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    (folder, path)
}

#[test]
fn lines_on_stdin_are_ticks_of_symbols_that_need_not_be_known_before() {
    let (server, mut script) = reading(&[]);
    let mut client = join(&server, "");
    script
        .write_all(line("BTC/USDT", "97123.4500").as_bytes())
        .unwrap();
    let timed = "{\"timestamp\":1732270000123,\"price\":\"-1.5e1\",\"symbol\":\"AAPL\"}\r\n";
    script.write_all(timed.as_bytes()).unwrap();
    let first = next(&mut client, "BTC/USDT");
    assert!(
        first.contains(r#""price":97123.4500,"timestamp":1"#),
        "{first}"
    );
    let second = next(&mut client, "AAPL");
    assert!(
        second.contains(r#""price":-15,"timestamp":1732270000123,"seq":1,"#),
        "{second}"
    );
    assert_eq!(
        server.metric("tickertape_source_answers_total{source=\"stdin\"}"),
        2
    );
}

#[test]
fn a_line_that_is_not_a_tick_is_named_by_its_number_and_the_next_is_read() {
    let (mut server, mut script) = reading(&[]);
    let long = format!("{}\n", "x".repeat(100_000));
    let good = line("A/B", "1");
    let lines = [
        &good,
        "\n",
        "{\"symbol\":\"A/B\"}\n",
        &long,
        "{\"symbol\":\"A/B\",\"pri\n",
        &good,
    ];
    script.write_all(lines.concat().as_bytes()).unwrap();
    wait_for_ticks(&server, 2);
    for words in [
        "warn: stdin, line 3: no \"price\"; expected {\"symbol\":\"BTC/USDT\",\"price\":97123.45}; it reads {\"symbol\":\"A/B\"}",
        "warn: stdin, line 4: longer than 16 KiB, so it is skipped",
        "warn: stdin, line 5: invalid JSON: EOF while parsing",
    ] {
        server.wait_for(words);
    }
    assert_eq!(bad_lines(&server, "stdin", "bad_line"), 2);
    assert_eq!(bad_lines(&server, "stdin", "long_line"), 1);
}

#[test]
fn after_the_end_the_server_serves_on_and_calls_its_prices_stale() {
    let (mut server, mut script) = reading(&["--stale-after", "200ms"]);
    let mut client = join(&server, "");
    let (whole, torn) = (line("A/B", "1"), "{\"symbol\":\"A/B\",\"pri");
    script
        .write_all(format!("{whole}{torn}").as_bytes())
        .unwrap();
    drop(script);
    server.wait_for(
        "warn: stdin, line 2: the input ends in the middle of it; it reads {\"symbol\":\"A/B\",\"pri",
    );
    server.wait_for("warn: stdin has ended after 1 tick; serving its last prices");
    next(&mut client, r#"{"event":"stale","symbol":"A/B""#);
    let mut late = join(&server, "?symbols=A/B");
    next(&mut late, r#""price":1,"#);
    assert_eq!(server.metric("tickertape_source_up{source=\"stdin\"}"), 0);
    assert!(server.get("/readyz").contains("stdin: failing (ended) for"));
}

#[test]
fn only_symbols_that_are_wanted_are_published_and_others_are_named_once() {
    let (mut server, mut script) = reading(&["--symbols", "GOLD/EUR,*/USD"]);
    let lines = ["BTC/EUR", "BTC/EUR", "BTC/USD", "GOLD/EUR", "x:ETH/USD"];
    let lines: String = lines.iter().map(|symbol| line(symbol, "1")).collect();
    script.write_all(lines.as_bytes()).unwrap();
    wait_for_ticks(&server, 3);
    server.wait_for("stdin, line 1: leaving out BTC/EUR, which --symbols does not name");
    assert_eq!(server.lines("leaving out"), 1);
    assert_eq!(bad_lines(&server, "stdin", "unwanted"), 2);
}

#[test]
fn a_script_that_writes_nothing_leaves_the_server_unready_and_is_warned_of() {
    let (mut server, mut script) = reading(&[]);
    let page = server.get("/readyz");
    assert!(page.starts_with("HTTP/1.1 503") && page.ends_with("there are no symbols yet\n"));
    server.wait_for("nothing from stdin for 5s: does its writer flush after each line?");
    script.write_all(line("A/B", "1").as_bytes()).unwrap();
    wait_for_ticks(&server, 1);
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_last_line_without_an_end_counts() {
    let (mut server, mut script) = reading(&[]);
    script
        .write_all(line("A/B", "1").trim_end().as_bytes())
        .unwrap();
    drop(script);
    server.wait_for("stdin has ended after 1 tick");
}

#[test]
fn an_input_that_is_empty_has_ended() {
    let mut server = ServerProcess::spawn(&mut command(&["--source", "-"]));
    server.wait_for("stdin has ended after 0 ticks");
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn writers_of_a_fifo_come_and_go() {
    let (_folder, path) = fifo();
    let source = format!("lines:{}", path.display());
    let server = ServerProcess::spawn(&mut command(&["--source", &source]));
    let mut client = join(&server, "");
    for price in ["1", "2", "3"] {
        let mut writer = File::create(&path).unwrap();
        writer.write_all(line("A/B", price).as_bytes()).unwrap();
        drop(writer);
        next(&mut client, &format!("\"price\":{price},"));
    }
    assert_eq!(
        server.metric(&format!(
            "tickertape_source_up{{source=\"{}\"}}",
            path.display()
        )),
        1
    );
}

#[test]
fn a_server_waits_for_the_first_writer_of_a_fifo_without_using_the_processor() {
    let (_folder, path) = fifo();
    let source = format!("lines:{}", path.display());
    let server = ServerProcess::spawn(&mut command(&["--source", &source]));
    let turns = || server.metric("tickertape_loop_turn_seconds_count");
    let before = turns();
    for _ in 0..10 {
        let _ = server.get("/healthz");
    }
    assert!(turns() - before < 200, "it polls in vain");
    // A writer that finds no reader would fail here.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut writer = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(&path)
        .unwrap();
    writer.write_all(line("A/B", "1").as_bytes()).unwrap();
    wait_for_ticks(&server, 1);
}

#[test]
fn a_file_is_read_to_its_end_while_clients_are_served() {
    const LINES: u64 = 20_000;
    let text: String = (0..LINES)
        .map(|n| line(&format!("S{}/X", n % 50), &n.to_string()))
        .collect();
    let file = temp_file(text.trim_end());
    let source = format!("lines:{}", file.path().display());
    let mut server = ServerProcess::spawn(&mut command(&["--source", &source]));
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"));
    server.wait_for(&format!("has ended after {LINES} ticks"));
    assert_eq!(server.metric("tickertape_ticks_total"), LINES);
    assert_eq!(server.metric("tickertape_symbols"), 50);
}

#[test]
fn only_the_symbols_that_are_asked_for_are_published() {
    let (server, mut script) = reading(&["--symbols", "A/B,C/D"]);
    // They can be asked for before the script has written of them.
    let mut client = join(&server, "?symbols=C/D");
    let lines = ["E/F", "A/B", "C/D"]
        .map(|symbol| line(symbol, "1"))
        .concat();
    script.write_all(lines.as_bytes()).unwrap();
    next(&mut client, r#""symbol":"C/D""#);
    assert_eq!(server.metric("tickertape_ticks_total"), 2);
    assert_eq!(server.metric("tickertape_symbols"), 2);
}

#[test]
fn an_unchanged_price_is_confirmed_if_only_changes_are_wanted() {
    let (server, mut script) = reading(&["--changes-only"]);
    let lines = ["1", "1", "1.0", "2", "2"]
        .map(|price| line("A/B", price))
        .concat();
    script.write_all(lines.as_bytes()).unwrap();
    server.wait_for_metric(
        "tickertape_source_answers_total{source=\"stdin\"}",
        |lines| lines == 5,
    );
    assert_eq!(server.metric("tickertape_ticks_total"), 3);
}

#[test]
fn the_fields_that_are_asked_for_are_published() {
    let (server, mut script) = reading(&["--fields", "bid,ask"]);
    let text = "{\"symbol\":\"A/B\",\"price\":1,\"ask\":\"1.20\",\"low\":0.5,\"bid\":0.90}\n";
    script.write_all(text.as_bytes()).unwrap();
    let tick = next(&mut join(&server, ""), "A/B");
    assert!(
        tick.contains(r#","bid":0.90,"ask":1.20,"seq":1,"#),
        "{tick}"
    );
}

#[test]
fn a_tick_is_published_without_its_bad_fields_which_are_counted_and_named() {
    let (mut server, mut script) = reading(&["--fields", "bid,ask,low"]);
    let text = r#"{"symbol":"A/B","price":1,"bid":"x","ask":[1],"low":0.5,"high":"unwanted"}"#;
    script.write_all(format!("{text}\n").as_bytes()).unwrap();
    let tick = next(&mut join(&server, ""), "A/B");
    assert!(tick.contains(r#","low":0.5,"seq":1,"#), "{tick}");
    server.wait_for(
        "warn: stdin, line 1: invalid bid \"x\": expected a number such as 97123.45; the tick is \
         published without it; it reads {\"symbol\":\"A/B\",\"price\":1,",
    );
    assert_eq!(bad_lines(&server, "stdin", "bad_field"), 2);
}

#[test]
fn a_pipe_that_others_share_still_blocks_for_them() {
    let (reader, mut script) = pipe().unwrap();
    let shared = reader.try_clone().unwrap();
    let server = ServerProcess::spawn_with_input(&mut command(&["--source", "-"]), reader);
    script.write_all(line("A/B", "1").as_bytes()).unwrap();
    wait_for_ticks(&server, 1);
    assert!(!fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn a_terminal_is_an_input_and_still_blocks_for_others() {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let keyboard = openpt(flags).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let terminal = ioctl_tiocgptpeer(&keyboard, flags).unwrap();
    let shared = terminal.try_clone().unwrap();
    let server = ServerProcess::spawn_with_input(&mut command(&["--source", "-"]), terminal);
    let mut keyboard = File::from(keyboard);
    keyboard.write_all(line("A/B", "1").as_bytes()).unwrap();
    wait_for_ticks(&server, 1);
    assert!(!fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));
}

#[test]
fn no_line_is_lost_and_the_loop_is_not_blocked_however_fast_a_script_writes() {
    const LINES: u64 = 10_000;
    let (server, mut script) = reading(&[]);
    let writer = thread::spawn(move || {
        for n in 0..LINES {
            let text = line(&format!("S{}/X", n % 100), &n.to_string());
            script.write_all(text.as_bytes()).unwrap();
        }
        script
    });
    let mut client = join(&server, "?symbols=*/X");
    // A full pipe makes the writer wait, so all of them arrive.
    wait_for_ticks(&server, LINES);
    let _script = writer.join().unwrap();
    next(&mut client, &format!("\"price\":{},", LINES - 1));
    // A turn reads for half a millisecond and leaves the rest in the pipe.
    let turns = testkit::metrics::value(&server.metrics(), "tickertape_loop_turn_seconds_count");
    assert!(turns.unwrap() > 20);
    assert_eq!(server.footprint().threads, 1);
}

#[test]
fn an_input_that_cannot_be_read_ends_the_server() {
    let refusal = |source: &str| {
        let output = command(&["--source", source]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        refusal("lines:/no/such.fifo"),
        "error: cannot read lines from /no/such.fifo: no such file or directory: make a FIFO with \
         mkfifo /no/such.fifo\n"
    );
    assert_eq!(
        refusal("lines:/"),
        "error: cannot read lines from /: it is a directory; expected a FIFO or a file\n"
    );
}
