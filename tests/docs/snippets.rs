//! The snippets for browsers and for Python, each run against a real server whose only price comes
//! from a page of this test, and falls silent.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use testkit::{ServerProcess, TempDir, browser};

use crate::group::Group;
use crate::markdown::{Block, blocks_in};
use crate::{PATIENCE, has};

/// A website: the page of a snippet, a price, and where the page tells what it logs.
struct Website {
    address: SocketAddr,
    state: Arc<State>,
    said: Receiver<String>,
}

/// What it answers with.
#[derive(Default)]
struct State {
    page: Mutex<String>,
    is_silent: AtomicBool,
}

/// How the price is written; a float would lose the zero.
const PRICE: &str = "4242.10";

impl Website {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let (say, said) = channel();
        let answers = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (say, answers) = (say.clone(), Arc::clone(&answers));
                // A browser may connect ahead of time and ask later. One that leaves is no failure.
                thread::spawn(move || answer(&stream, &answers, &say));
            }
        });
        Self {
            address,
            state,
            said,
        }
    }

    /// A server whose price is this one's.
    fn server(&self) -> ServerProcess {
        let source = format!("http://{}/price.json", self.address);
        let origin = format!("http://{}", self.address);
        #[rustfmt::skip]
        let arguments = [
            "--source", &source, "--price", "/price", "--symbols", "BTC/USDT",
            "--stale-after", "1s", "--allow-origin", &origin,
        ];
        ServerProcess::start(env!("CARGO_BIN_EXE_server"), &arguments)
    }
}

fn answer(stream: &TcpStream, state: &State, say: &Sender<String>) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    let body = match target.split_once('?') {
        Some(("/say", words)) => {
            let words = format!("words={words}");
            for (_, words) in form_urlencoded::parse(words.as_bytes()) {
                // The test may be over.
                let _ = say.send(words.into_owned());
            }
            String::new()
        }
        _ if target == "/price.json" && state.is_silent.load(Ordering::Relaxed) => return Ok(()),
        _ if target == "/price.json" => format!("{{\"price\":{PRICE}}}"),
        _ => state.page.lock().unwrap().clone(),
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
    write!(
        &*stream,
        "{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Waits for the price, takes it away, and waits for the news of that.
fn check(block: &Block, website: &Website, said: &Receiver<String>) {
    let until = Instant::now() + PATIENCE;
    let mut lines = Vec::new();
    let mut wait_for = |what: &str, is_it: &dyn Fn(&str) -> bool| {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = said.recv_timeout(left) else {
                panic!("{}: it never said {what}: {lines:#?}", block.place);
            };
            if is_it(&line) {
                return;
            }
            lines.push(line);
        }
    };
    let price = PRICE.trim_end_matches('0');
    wait_for("the price", &|line| {
        line.contains(price) && line.contains("BTC/USDT")
    });
    website.state.is_silent.store(true, Ordering::Relaxed);
    if block.text.contains("stale") {
        let is_news = |line: &str| line.starts_with("stale ") || line.contains("no price");
        wait_for("that it is stale", &is_news);
    }
}

/// The snippet, for a server at another port.
fn adapted(block: &Block, server: &ServerProcess) -> String {
    block.text.replace("127.0.0.1:8888", &server.address)
}

#[test]
fn what_is_for_python_runs_in_python() {
    if !has("python3", &["-c", "import websockets.sync.client"]) {
        return;
    }
    for block in blocks_in("python") {
        let website = Website::start();
        let server = website.server();
        let folder = TempDir::new().unwrap();
        let script = folder.path().join("snippet.py");
        fs::write(&script, adapted(&block, &server)).unwrap();
        let mut command = Command::new("python3");
        command.arg("-u").arg(script).stdout(Stdio::piped());
        let mut python = Group::start(&mut command);
        let output = BufReader::new(python.stdout.take().unwrap());
        let (say, said) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        check(&block, &website, &said);
    }
}

#[test]
fn what_is_for_browsers_runs_in_a_browser() {
    let program = browser::program().unwrap_or("chromium");
    if !has(program, &["--version"]) {
        return;
    }
    for block in blocks_in("js") {
        let website = Website::start();
        let server = website.server();
        let page = format!(
            "<!doctype html><meta charset=utf-8><script>
             for (const name of ['log', 'warn', 'error'])
               console[name] = (...words) => fetch('/say?' + encodeURIComponent(words.join(' ')));
             addEventListener('error', ({{ message }}) => console.error(message));
             </script><script>{}</script>",
            adapted(&block, &server)
        );
        *website.state.page.lock().unwrap() = page;
        let folder = TempDir::new().unwrap();
        let mut command = browser::command(program, folder.path());
        command.arg(format!("http://{}/", website.address));
        let _browser = Group::start(&mut command);
        check(&block, &website, &website.said);
    }
}
