//! Access: tokens, the limit of connections per address, and the admin port.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, TestServer, read_to_end};
use rustix::process::Signal;
use socket2::{Domain, SockRef, Socket, Type};
use testkit::frames::handshake;
use testkit::{NamedTempFile, temp_file};
use tickertape::server::Config;

/// A file of tokens, which is deleted after its test.
struct TokenFile(NamedTempFile);

impl TokenFile {
    fn new(text: &str) -> Self {
        Self(temp_file(text))
    }

    /// Replaces the text; only the owner may read it.
    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Requests `target` with an additional header, and returns the whole answer.
fn ask(address: &str, target: &str, header: &str) -> String {
    let mut stream = connect(address);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    read_to_end(&mut stream)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The status of the answer to a handshake.
fn upgrade(address: &str, target: &str, header: &str) -> u16 {
    let request = handshake(target).replacen("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"), 1);
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

fn server(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(arguments).output().unwrap()
}

#[test]
fn only_clients_with_a_token_are_admitted() {
    let file = TokenFile::new("# two\nsecret+1\n\n  secret-2\n");
    let server = crate::common::process(&["--token-file", file.path(), "--log", "debug"]);
    let address = &server.address;
    for (target, header, allowed) in [
        ("/", "Authorization: Bearer secret+1", true),
        ("/", "authorization: bEARER   secret-2", true),
        ("/?token=secret%2B1", "X: y", true),
        ("/?a=b&token=secret+1", "X: y", true),
        ("/?token=secret-2", "Authorization: Basic c2VjcmV0", true),
        ("/", "X: y", false),
        ("/", "Authorization: Bearer secret-3", false),
        ("/", "Authorization: Bearersecret-2", false),
        ("/", "Authorization: Basic secret-2", false),
        ("/", "Authorization: Bearer", false),
        ("/?token=", "X: y", false),
        ("/?Token=secret-2", "X: y", false),
        ("/?token=secret", "X: y", false),
    ] {
        let [open, page] = if allowed { [101, 200] } else { [401, 401] };
        assert_eq!(upgrade(address, target, header), open, "{target} {header}");
        let answer = ask(address, target, header);
        assert_eq!(status(&answer), page.to_string(), "{target} {header}");
        let challenge = answer.contains("\r\nWWW-Authenticate: Bearer");
        assert_eq!(challenge, !allowed, "{answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    for (target, expected) in [
        ("/healthz", "200"),
        ("/metrics", "401"),
        ("/nowhere", "401"),
        ("/?symbols=NO/SUCH", "401"),
        ("/metrics?token=secret-2", "200"),
        ("/nowhere?token=secret-2", "404"),
    ] {
        assert_eq!(status(&ask(address, target, "X: y")), expected, "{target}");
    }
    assert!(matches!(
        status(&ask(address, "/readyz", "X: y")),
        "200" | "503"
    ));
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("401") && !log.contains("secret"), "{log}");
}

#[test]
fn tokens_are_read_again_on_sighup() {
    let file = TokenFile::new("old\n");
    let mut server = crate::common::process(&["--token-file", file.path()]);
    let address = server.address.clone();
    let statuses = || ["/?token=old", "/?token=new"].map(|bytes| upgrade(&address, bytes, "X: y"));
    assert_eq!(statuses(), [101, 401]);
    let mut again = |text: &str, says: &str| {
        file.write(text);
        server.signal(Signal::HUP);
        server.wait_for(says);
    };
    again("old\nnew\n", "reloaded 2 tokens from ");
    assert_eq!(statuses(), [101, 101]);
    again("new\n", "reloaded 1 token from ");
    assert_eq!(statuses(), [401, 101]);
    again(
        "# none\n",
        "there are none: expected one per line; keeping the previous tokens",
    );
    assert_eq!(statuses(), [401, 101]);
    fs::set_permissions(&file.0, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file.0, "old").unwrap();
    server.signal(Signal::HUP);
    server.wait_for("any user of this machine can read the tokens in");
    server.wait_for("reloaded 1 token from ");
    assert_eq!(statuses(), [101, 401]);
}

#[test]
fn an_unusable_token_file_ends_the_server_with_one_line() {
    let file = TokenFile::new("# nothing yet\n");
    for (path, part) in [
        (file.path(), "there are none: expected one per line"),
        ("/nowhere/tokens", "no such file"),
    ] {
        let output = server(&["--port", "0", "--log", "error", "--token-file", path]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let expected = format!("error: cannot use the tokens in {path}: ");
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert!(
            stderr.contains(part) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[test]
fn the_client_can_send_its_token_in_a_header_or_the_query() {
    let file = TokenFile::new("secret\n");
    let server = crate::common::process(&["--token-file", file.path(), "--interval", "5ms"]);
    let url = format!("ws://{}/", server.address);
    let with_token = format!("{url}?token=secret");
    for (url, more, code) in [
        (&url, &["--header", "Authorization: Bearer secret"][..], 0),
        (&with_token, &[], 0),
        (&url, &[], 1),
        (&url, &["--header", "Authorization: Bearer wrong"], 1),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_client"))
            .args(["--url", url, "--duration", "100ms"])
            .args(more)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(
            !stdout.contains("secret") && !stderr.contains("secret"),
            "{stdout}"
        );
        let says_why = stderr.contains("refused the WebSocket handshake: 401 Unauthorized (");
        assert_eq!(says_why, code == 1, "{stderr}");
    }
}

#[test]
fn the_admin_port_serves_the_servers_state() {
    let server = crate::common::process(&["--admin", "127.0.0.1:0", "--max-clients", "1"]);
    let log = server.log();
    let admin = log.lines().find(|line| line.contains("/metrics on "));
    let admin = admin
        .and_then(|line| line.rsplit(' ').next())
        .unwrap()
        .to_owned();
    let mut client = connect(&server.address);
    client.write_all(handshake("/").as_bytes()).unwrap();
    // The client takes the only place for clients; the admin port has its own places.
    for (target, expected) in [("/metrics", "200"), ("/healthz", "200"), ("/", "404")] {
        assert_eq!(status(&ask(&admin, target, "X: y")), expected, "{target}");
    }
    assert_eq!(upgrade(&admin, "/", "X: y"), 404);
    let metrics = ask(&admin, "/metrics", "X: y");
    assert!(metrics.contains("\ntickertape_clients 1"), "{metrics}");
    assert_eq!(status(&ask(&server.address, "/healthz", "X: y")), "503");
    drop(client);
    let deadline = Instant::now() + PATIENCE;
    while status(&ask(&server.address, "/metrics", "X: y")) != "404" {
        assert!(Instant::now() < deadline, "the client has gone");
    }
    // Silent connections to it are limited, and do not affect clients.
    let silent: Vec<_> = (0..30).map(|_| connect(&admin)).collect();
    assert_eq!(status(&ask(&admin, "/healthz", "X: y")), "503");
    // The connection of the last request may have the only place for another moment.
    let deadline = Instant::now() + PATIENCE;
    while upgrade(&server.address, "/", "X: y") != 101 {
        assert!(Instant::now() < deadline, "there is a place for a client");
    }
    drop(silent);

    let output = self::server(&["--port", "0", "--log", "error", "--admin", &admin]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let expected = format!("error: cannot listen on {admin}: ");
    assert!(
        stderr.starts_with(&expected) && stderr.lines().count() == 1,
        "{stderr}"
    );
}

/// Connects from the address `own`.
#[cfg(target_os = "linux")]
fn connect_from(address: SocketAddr, own: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let own: SocketAddr = format!("{own}:0").parse().unwrap();
    socket.bind(&own.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_regains_its_share_however_its_connections_end() {
    let server = TestServer::start(Config {
        clients_per_address_max: Some(3),
        // Requests of others arrive in time on slow machines, too.
        handshake_timeout: Duration::from_millis(500),
        close_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    let other = || {
        let mut stream = connect_from(server.address, "127.0.0.2");
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        read_to_end(&mut stream)
    };
    let metric = |name: &str| {
        let page = other();
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap() as u64
    };
    let wait_for_connections = |wanted: u64| {
        let deadline = Instant::now() + PATIENCE;
        // Including the connection that asks.
        while metric("tickertape_connections") != wanted + 1 {
            assert!(Instant::now() < deadline, "{wanted} connections");
        }
    };
    for round in 0..3 {
        let mut clients: Vec<_> = (0..3).map(|_| server.open_raw()).collect();
        let answer = read_to_end(&mut server.connect());
        assert_eq!(status(&answer), "429", "{answer}");
        assert!(
            answer.ends_with("too many connections from your address\n"),
            "{answer}"
        );
        assert_eq!(status(&other()), "200", "others may");
        assert_eq!(
            metric("tickertape_refused_total{status=\"429\",cause=\"too_many\"}"),
            round + 1
        );
        // By a reset, by a protocol error, and without a close frame.
        let reset = clients.pop().unwrap();
        SockRef::from(&reset)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(reset);
        clients[0].write_all(&[0xff; 20]).unwrap();
        drop(clients.pop());
        read_to_end(&mut clients[0]);
        drop(clients);
        wait_for_connections(0);
        // A silent connection, an invalid request, and a refused one.
        let silent = server.connect();
        assert_eq!(status(&server.ask(b"\x16\x03\x01")), "400");
        assert_eq!(
            status(&server.ask(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")),
            "404"
        );
        wait_for_connections(0);
        drop(silent);
    }
}
