//! A console session of a document, played in a shell.
//!
//! The shell stands in a folder of its own in which `./server` and `./client` are the programs under
//! test. So that sessions are quick, reach nothing but this machine, and can run beside others, they
//! are changed by the rules of [`Session::adapted`] and of the little programs in [`Session::start`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use pico_args::Arguments;
use socket2::{Domain, Socket, Type};
use testkit::TempDir;

use crate::PATIENCE;
use crate::fake_exchange;
use crate::group::Group;
use crate::markdown::{Block, root};
use crate::web;

/// A shell, and what it and its children have said. They end when it is dropped.
pub(crate) struct Session {
    _shell: Group,
    input: ChildStdin,
    output: Receiver<String>,
    /// What was said since the last command.
    said: Vec<String>,
    ports: Ports,
    exchanges: Vec<fake_exchange::Servers>,
    _folder: TempDir,
}

/// A command of a block, and the lines that the document shows below it.
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) shown: Vec<String>,
}

/// The steps of a console block: lines that begin with `$ `, each with its output. A command may go
/// on in lines that begin with `>`.
pub(crate) fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.text.lines() {
        if let Some(more) = line.strip_prefix('>')
            && let Some(step) = steps.last_mut()
        {
            step.go_on(more.strip_prefix(' ').unwrap_or(more));
            continue;
        }
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: without_comment(command).to_owned(),
                shown: Vec::new(),
            }),
            (None, Some(step)) => step.shown.push(line.to_owned()),
            (None, None) => panic!("{}: output without a command", block.place),
        }
    }
    steps
}

impl Step {
    /// Adds a line to the command.
    fn go_on(&mut self, more: &str) {
        match self.command.strip_suffix(" \\") {
            Some(command) => self.command = format!("{command} {}", more.trim_start()),
            None => self.command = format!("{}\n{more}", self.command),
        }
    }
}

/// Comments stand behind two blanks.
fn without_comment(command: &str) -> &str {
    command.split("  #").next().unwrap_or_default().trim_end()
}

impl Session {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut ports = Ports::default();
        write_programs(folder.path(), ports.instead_of("8888"));
        write_ccxt(folder.path());
        let (reader, writer) = std::io::pipe().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-s"])
            .current_dir(folder.path())
            .env("PATH", format!("{}/bin:{path}", folder.path().display()))
            .env("PYTHONPATH", folder.path().join("python"))
            // Of scripts/highload.sh.
            .env("DURATION", "1")
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        let mut shell = Group::start(&mut command);
        let (lines, output) = channel();
        thread::spawn(move || {
            let read = BufReader::new(reader).lines().map_while(Result::ok);
            for line in read {
                // The session may be over.
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            input: shell.stdin.take().unwrap(),
            _shell: shell,
            output,
            said: Vec::new(),
            ports,
            exchanges: Vec::new(),
            _folder: folder,
        }
    }

    /// Plays a step: its command has to succeed, a server has to listen, and what the document shows
    /// has to be said, whatever the numbers in it.
    pub(crate) fn play(&mut self, step: &Step) {
        let command = self.adapted(&step.command);
        self.said.clear();
        if let Some(arguments) = command.strip_prefix(FAKE_EXCHANGE) {
            let arguments = arguments.split_whitespace().map(OsString::from).collect();
            let servers = fake_exchange::start(Arguments::from_vec(arguments));
            self.exchanges.push(servers.unwrap());
        } else if is_broker(&command) {
            self.enter(&format!("{} </dev/null &", command.trim_end_matches('&')));
            self.wait_until(&command, |line| line.contains("Server is ready"));
        } else if serves(&command) {
            let command = command.trim_end_matches('&');
            let line = if command.contains("| ./server ") {
                // The script gets no input, and the server what the script writes.
                format!("{{ {command}; }} </dev/null &")
            } else {
                format!("{command} </dev/null &")
            };
            self.enter(&line);
            self.wait_until(command, |line| line.contains("listening on "));
        } else {
            self.enter(&format!(
                "{{ {command}\n}} </dev/null; echo; echo '{END}' $?"
            ));
            let end = self.wait_until(&command, |line| line.starts_with(END));
            assert!(end.ends_with(" 0"), "{command}: {:#?}", self.said);
        }
        for line in step.shown.iter().filter(|line| line.trim() != "…") {
            let shape = shape(line);
            self.wait_until(line, |said| self::shape(said) == shape);
        }
    }

    /// The command with what the rules make of it: other ports, one second, few clients.
    fn adapted(&mut self, command: &str) -> String {
        let words = command.split(' ').map(|word| self.ports.replaced(word));
        let words: Vec<_> = words.collect();
        let mut adapted: Vec<String> = Vec::new();
        for word in words {
            let option = adapted.last().map(String::as_str).unwrap_or_default();
            let word = match option {
                "--duration" => "1s".to_owned(),
                "--warmup" => "100ms".to_owned(),
                "--clients" => "20".to_owned(),
                _ if word.starts_with("DURATION=") => "DURATION=1".to_owned(),
                _ if option.ends_with("highload.sh") => "20".to_owned(),
                // A busy machine is no failure of the document.
                "--max-p99" => "60s".to_owned(),
                _ => word,
            };
            adapted.push(word);
        }
        if command.ends_with("highload.sh") {
            adapted.push("20".to_owned());
        }
        adapted.join(" ")
    }

    fn enter(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the shell is there");
    }

    /// Waits for a line, among those said since the last command; returns it.
    fn wait_until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        let mut seen = 0;
        loop {
            if let Some(line) = self.said[seen..].iter().find(|line| is_it(line)) {
                return line.clone();
            }
            seen = self.said.len();
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!("'{what}' was awaited, but: {:#?}", self.said),
            }
        }
    }
}

/// Whether a command runs until somebody ends it, and says when it is ready.
pub(crate) fn serves(command: &str) -> bool {
    let is_server = command.starts_with("./server ") || command.contains("| ./server ");
    is_server
        && !["--help", "--version", "--list-sources"]
            .iter()
            .any(|option| command.contains(option))
}

/// Whether a command starts a server of NATS.
pub(crate) fn is_broker(command: &str) -> bool {
    command.starts_with("nats-server ")
}

/// The program of that server, as other tests find it.
pub(crate) fn nats_server() -> String {
    std::env::var("NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned())
}

/// A line with `#` for each number, `s` for each unit of time, and one blank for several.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        shape.push_str(&rest[..start]);
        shape.push('#');
        rest = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit());
        while let Some(fraction) = rest.strip_prefix('.') {
            let end = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if end.len() == fraction.len() {
                break;
            }
            rest = end;
        }
    }
    shape.push_str(rest);
    for (unit, second) in [
        ("# µs", "# s"),
        ("# ms", "# s"),
        ("#µs", "#s"),
        ("#ms", "#s"),
    ] {
        shape = shape.replace(unit, second);
    }
    shape.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ports of this test's own for those that documents name. They are bound, so that nobody else gets
/// them, except by listening with SO_REUSEADDR, as our servers do.
#[derive(Default)]
struct Ports(BTreeMap<String, (u16, Option<Socket>)>);

impl Ports {
    fn instead_of(&mut self, port: &str) -> u16 {
        let reserved = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
            socket.bind(&any.into()).unwrap();
            let address = socket.local_addr().unwrap().as_socket().unwrap();
            (address.port(), Some(socket))
        };
        self.0.entry(port.to_owned()).or_insert_with(reserved).0
    }

    /// A word with other ports.
    fn replaced(&mut self, word: &str) -> String {
        let mut replaced = word.to_owned();
        for port in PORTS {
            if word.contains(port) {
                let instead = self.instead_of(port).to_string();
                replaced = replaced.replace(port, &instead);
            }
        }
        replaced
    }
}

/// The programs that a session finds in place of the repository's.
fn write_programs(folder: &Path, port: u16) {
    let web = web::address();
    let (server, client) = (env!("CARGO_BIN_EXE_server"), env!("CARGO_BIN_EXE_client"));
    fs::create_dir(folder.join("bin")).unwrap();
    // It starts the programs beside its own folder.
    fs::create_dir(folder.join("scripts")).unwrap();
    let script = Path::new("scripts/highload.sh");
    install(&root().join(script), &folder.join(script));
    for (name, text) in [
        (
            // On the port that the documents call 8888. Instead of the web there is a small one.
            "server",
            format!(
                r#"echo $$ >server.pid
case " $* " in *" --port "*) ;; *) set -- "$@" --port {port} ;; esac
case " $* " in
    *" --upstream "* | *" --source http"* | *" --source sim"* | *" --source replay:"*) ;;
    *" --source nats:"* | *" --publish "*) ;;
    *" --source - "* | *" --source lines:"*) ;;
    *" --source "*) set -- "$@" --upstream http://{web} ;;
esac
exec '{server}' "$@""#
            ),
        ),
        (
            "client",
            format!(
                r#"case " $* " in *" --url "* | *" --help "*) ;; *) set -- "$@" --url ws://127.0.0.1:{port}/ ;; esac
exec '{client}' "$@""#
            ),
        ),
        // The machine may run other servers.
        ("bin/pgrep", "exec cat server.pid".to_owned()),
        ("bin/nats-server", nats_program()),
    ] {
        let path = folder.join(name);
        let written = path.with_extension("text");
        fs::write(&written, format!("#!/usr/bin/env bash\n{text}\n")).unwrap();
        install(&written, &path);
    }
}

/// Runs the server of NATS, wherever it is.
fn nats_program() -> String {
    match nats_server() {
        program if program.contains('/') => format!("exec '{program}' \"$@\""),
        // Not the one in the first folder, which is this one.
        program => format!("PATH=${{PATH#*:}} exec {program} \"$@\""),
    }
}

/// Makes a program of a file. Another process writes it: a child that another test starts at this
/// moment has every file open for a while that this process writes, and such a file cannot be run.
fn install(text: &Path, program: &Path) {
    let mut install = Command::new("install");
    let made = install.args(["-m", "755"]).args([text, program]).status();
    assert!(made.is_ok_and(|status| status.success()), "{program:?}");
}

/// The little of ccxt that a script in the documents needs.
fn write_ccxt(folder: &Path) {
    let ccxt = r#"import time

class kraken:
    def fetch_ticker(self, symbol):
        return {"symbol": symbol, "last": 94123.4, "timestamp": int(time.time() * 1000)}
"#;
    let folder = folder.join("python");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ccxt.py"), ccxt).unwrap();
}

/// How documents start the fake exchange.
const FAKE_EXCHANGE: &str = "cargo run --example fake_exchange -- ";

/// The ports that documents name.
const PORTS: [&str; 5] = ["8888", "8889", "9000", "9100", "4222"];

/// What the shell says behind a command, with its status.
const END: &str = "=end of command=";

#[test]
fn lines_are_alike_whatever_their_numbers() {
    for (one, other) in [
        ("  p50        97 µs", "  p50   3.5 ms"),
        (
            "no price for 1.0s, since 2026-11-30T13:20:00Z",
            "no price for 999.9ms, since 2027-01-02T03:04:05Z",
        ),
        (r#"{"price":4242.10,"seq":1}"#, r#"{"price":7,"seq":23}"#),
    ] {
        assert_eq!(shape(one), shape(other));
    }
    assert_ne!(shape("Errors 0"), shape("Errors none"));
    assert_ne!(shape("info: ready"), shape("info: ready now"));
}

#[test]
fn a_comment_is_no_part_of_a_command() {
    assert_eq!(
        without_comment("./server &    # the new version"),
        "./server &"
    );
    assert_eq!(without_comment("echo '#1' >file"), "echo '#1' >file");
}
