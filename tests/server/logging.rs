//! The log: what it reports, that floods are limited and counted, that it contains no secrets, and
//! that a blocked or closed stderr never delays a client.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use testkit::{PATIENCE, ServerProcess};
use tungstenite::{Message, WebSocket};

/// A server whose log is tested.
struct Server(ServerProcess);

impl Server {
    /// Starts a server that logs to `stderr`, and reads the log until it listens.
    fn start(
        command: &mut Command,
        stderr: impl Into<Stdio>,
        log: &mut impl BufRead,
    ) -> (Self, String) {
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn();
        let server = ServerProcess::listening(child.unwrap(), log);
        let said = server.log() + "\n";
        (Self(server), said)
    }

    fn open(&self) -> WebSocket<TcpStream> {
        let url = format!("ws://{}/", self.0.address);
        tungstenite::client(url, self.0.connect()).unwrap().0
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = self.0.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How many lines are missing for the reason `why`.
    fn missing(&self, why: &str) -> u64 {
        let page = self.0.metrics();
        let name = format!("tickertape_log_lines_missing_total{{why=\"{why}\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap().parse().unwrap()
    }

    /// Causes log lines until some are lost, and checks that ticks continue.
    fn lose_lines(&self) {
        let mut client = self.open();
        let deadline = Instant::now() + PATIENCE;
        while self.missing("blocked") < 10 {
            assert!(Instant::now() < deadline, "nothing is lost");
        }
        for _ in 0..50 {
            tick(&mut client);
        }
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command
        .args(["--port", "0", "--interval", "2ms"])
        .args(arguments);
    command
}

fn tick(client: &mut WebSocket<TcpStream>) {
    assert!(matches!(client.read().unwrap(), Message::Text(_)));
}

/// A server that logs to a pipe, its log so far, the pipe, and another handle of its other end.
fn piped(arguments: &[&str]) -> (Server, String, BufReader<PipeReader>, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let mut log = BufReader::new(reader);
    let stderr = writer.try_clone().unwrap();
    let (server, said) = Server::start(&mut command(arguments), stderr, &mut log);
    (server, said, log, writer)
}

/// Writes until the stream takes no more, then sets its `flags`.
fn fill(stream: &mut (impl Write + std::os::fd::AsFd), flags: OFlags) {
    fcntl_setfl(stream.as_fd(), flags | OFlags::NONBLOCK).unwrap();
    while stream.write(&[b'.'; 512]).is_ok() {}
    while stream.write(b".").is_ok() {}
    fcntl_setfl(stream.as_fd(), flags).unwrap();
}

/// Reads lines until one contains `words`, and returns it.
fn wait_for(log: &mut impl BufRead, words: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(
            log.read_line(&mut line).unwrap() > 0,
            "no line with {words}"
        );
        if line.contains(words) {
            return line;
        }
    }
}

fn number_before(line: &str, words: &str) -> u64 {
    let before = line.split(words).next().unwrap().trim_end();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_full_pipe_delays_no_client_and_lost_lines_are_counted() {
    let (server, _, mut log, mut hold) = piped(&["--log", "debug"]);
    fill(&mut hold, OFlags::empty());
    server.lose_lines();
    // The pipe is read again. The server logs few lines between two looks, and loses no more.
    let line = wait_for(&mut log, "log lines were lost because stderr was blocked");
    assert!(line.contains("warn: "), "{line}");
    let told = number_before(&line, "log lines");
    assert_eq!(told, server.missing("blocked"), "{line}");
}

#[test]
fn a_closed_pipe_delays_no_client() {
    let (server, _, log, hold) = piped(&["--log", "debug"]);
    drop((log, hold));
    server.lose_lines();
}

#[test]
fn a_stopped_or_slow_terminal_delays_no_client() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    fcntl_setfd(&master, FdFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = |flags| {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | flags;
        File::from(open(&*name, flags, Mode::empty()).unwrap())
    };
    let stderr = slave(OFlags::empty());
    // A separate open of the same terminal, so that the server's stays blocking.
    let mut other = slave(OFlags::NONBLOCK);
    let mut log = BufReader::new(File::from(master));
    let command = &mut command(&["--log", "debug"]);
    let (server, _) = Server::start(command, stderr, &mut log);
    fill(&mut other, OFlags::NONBLOCK);
    server.lose_lines();
    // Slower than the log grows: at times the room left is one byte short of a line.
    for _ in 0..200 {
        let mut few = [0; 60];
        log.read_exact(&mut few).unwrap();
        server.ask("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    tick(&mut server.open());
}

#[test]
fn a_flood_of_similar_lines_is_cut_and_counted() {
    let (server, mut said, mut log, hold) = piped(&["--max-clients", "1"]);
    drop(hold);
    let first = server.open();
    for _ in 0..200 {
        let refused = server.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    }
    drop(first);
    said += &wait_for(
        &mut log,
        "more lines like this were held back: the server is full",
    );
    let held = number_before(said.lines().last().unwrap(), "more lines");
    assert!((130..=140).contains(&held), "{said}");
    assert_eq!(server.missing("held_back"), held);
}

#[test]
fn debug_logs_the_peer_and_the_answer() {
    let (server, _, mut log, _hold) = piped(&["--log", "debug"]);
    let mut client = server.open();
    let address = client.get_ref().local_addr().unwrap().to_string();
    let of_client = wait_for(&mut log, &address);
    assert!(of_client.ends_with("): accepted\n"), "{of_client}");
    let joined = wait_for(&mut log, &address);
    assert!(
        joined.ends_with("): joined, watching 1 symbols\n"),
        "{joined}"
    );
    client.send(Message::binary("?")).unwrap();
    let closed = wait_for(&mut log, &address);
    let words = "a binary message: expected text; close code 1003\n";
    assert!(closed.ends_with(words), "{closed}");
    server.ask(
        "GET /?symbols=%0Aerror:+forged HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let refused = wait_for(&mut log, "refused: 400");
    assert!(
        refused.contains(r"unknown symbol '\nerror: forged'"),
        "{refused}"
    );
}

#[test]
fn secrets_are_neither_logged_nor_counted() {
    for source in [
        "binance",
        "https://me:sesame-1@localhost:1/price?apikey=sesame-2",
        "http://127.0.0.1:1/price?apikey=sesame-3",
    ] {
        let (reader, writer) = pipe().unwrap();
        let mut log = BufReader::new(reader);
        let mut command = command(&["--log", "trace", "--source", source, "--price", "/p"]);
        if source == "binance" {
            command = self::command(&["--log", "trace", "--source", source]);
        }
        let proxy = "http://me:sesame-4@127.0.0.1:1";
        command
            .env("HTTPS_PROXY", proxy)
            .env("HTTP_PROXY", proxy)
            .env("NO_PROXY", "");
        // Some sources are refused at once, which is just as good.
        let mut child = command.stdin(Stdio::null()).stderr(writer).spawn().unwrap();
        drop(command);
        let mut said = String::new();
        while log.read_line(&mut said).unwrap() > 0 && !said.contains("cannot be reached") {
            let Some((_, address)) = said.split_once("listening on ") else {
                continue;
            };
            let address = address.lines().next().unwrap();
            let mut stream = TcpStream::connect(address).unwrap();
            let request = "GET /metrics?token=sesame-5 HTTP/1.1\r\nHost: localhost\r\n\
                Authorization: Bearer sesame-6\r\n\r\n";
            stream.write_all(request.as_bytes()).unwrap();
            stream.read_to_string(&mut said).unwrap();
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(!said.contains("sesame"), "{source}: {said}");
        assert!(!said.is_empty());
    }
}
