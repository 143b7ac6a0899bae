//! What clients see when parts of it stop, end or go away.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::{PATIENCE, ServerProcess};

use crate::scene::{Client, Member, broker};

/// Options of an origin that takes over soon.
const SOON: &[&str] = &["--takeover-after", "1500ms"];

#[test]
fn when_the_origin_dies_another_takes_over_and_nothing_is_lost() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, SOON);
    let mut standby = Member::standby(&url, SOON);
    let edge = Member::edge(&url, &[]);
    let mut client = Client::new();
    client.read_at(&edge, Duration::from_millis(200));
    leader.server.signal(Signal::KILL);
    client.read_until(&edge, |client| {
        client.longest_pause > Duration::from_millis(1_400)
    });
    standby.server.wait_for("this server is the leading origin");
    assert!(
        client.longest_pause < Duration::from_secs(8),
        "{:?}",
        client.longest_pause
    );
    client.read_at(&standby, Duration::from_millis(200));
    standby.wait_for_common(&edge, 50);
}

#[test]
fn an_origin_that_ends_hands_over_at_once() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    // Nobody would take over by itself during the test.
    let leader = Member::leader(&url, &["--takeover-after", "60s"]);
    let standby = Member::standby(&url, &["--takeover-after", "60s"]);
    let edge = Member::edge(&url, &[]);
    let mut client = Client::new();
    client.read_at(&edge, Duration::from_millis(200));
    leader.server.signal(Signal::TERM);
    let (status, log) = leader.server.wait();
    let before = client.ticks;
    client.read_until(&edge, |client| client.ticks >= before + 100);
    assert!(
        client.longest_pause < Duration::from_secs(5),
        "{:?}",
        client.longest_pause
    );
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("left the log"), "{log}");
    assert_eq!(standby.server.metric("tickertape_broker_leading"), 1);
}

#[test]
fn an_origin_that_stood_still_writes_nothing_behind_its_successor() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let mut first = Member::leader(&url, SOON);
    let mut second = Member::standby(&url, SOON);
    let edge = Member::edge(&url, &[]);
    first.server.signal(Signal::STOP);
    second.server.wait_for("this server is the leading origin");
    edge.wait_for_ticks(20);
    first.server.signal(Signal::CONT);
    first.server.wait_for("deposed");
    first.wait_for_ticks(20);
    second.wait_for_ticks(20);
    second.wait_for_common(&edge, 40);
    second.wait_for_common(&first, 40);
    assert_eq!(second.server.metric("tickertape_broker_leading"), 1);
    assert_eq!(first.server.metric("tickertape_broker_leading"), 0);
}

#[test]
fn a_broker_that_crashes_and_comes_back_costs_a_pause_and_nothing_else() {
    let Some((mut broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let edge = Member::edge(&url, &[]);
    let mut client = Client::new();
    client.read_at(&edge, Duration::from_millis(200));
    broker.kill();
    client.read_at(&edge, Duration::from_millis(300));
    broker.restart();
    client.read_at(&edge, Duration::from_millis(1_500));
    client.read_at(&leader, Duration::from_millis(200));
    leader.wait_for_common(&edge, 50);
    assert_eq!(edge.server.metric("tickertape_broker_gaps_total"), 0);
}

/// An origin with the prices of a script, which can be stale.
struct Script {
    server: ServerProcess,
    script: Child,
}

impl Script {
    fn start(url: &str) -> Self {
        let script = r#"while sleep 0.1; do echo '{"symbol":"A/USDT","price":1}'; done"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdout(Stdio::piped());
        let mut script = shell.spawn().expect("a shell");
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args(["--port", "0", "--source", "-", "--stale-after", "1s"]);
        command.args(["--takeover-after", "1500ms", "--publish", url]);
        let prices = script.stdout.take().expect("it is piped");
        let server = ServerProcess::spawn_with_input(&mut command, prices);
        Self { server, script }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.script.kill().expect("it runs");
        self.script.wait().expect("it was killed");
    }
}

#[test]
fn when_nobody_publishes_every_edge_says_that_prices_are_stale() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let mut origin = Script::start(&url);
    origin.server.wait_for("this server is the leading origin");
    let mut edge = Member::edge(&url, &[]);
    edge.wait_for_ticks(5);
    assert!(edge.server.get("/readyz").contains("ready"));
    let began = Instant::now();
    origin.server.signal(Signal::KILL);
    edge.server.wait_for("A/USDT is stale");
    let took = began.elapsed();
    // The newest tick came some time before the end.
    assert!(
        took > Duration::from_millis(500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert!(edge.server.get("/readyz").contains("503"));
    let mut again = Script::start(&url);
    again.server.wait_for("this server is the leading origin");
    edge.server.wait_for("all prices are current again");
}

#[test]
fn an_edge_is_not_ready_while_the_log_is_silent() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let edge = Member::edge(&url, &[]);
    edge.wait_for_ticks(1);
    assert!(edge.server.get("/readyz").contains("200 OK"));
    leader.server.signal(Signal::STOP);
    let stopped = Instant::now();
    let page = wait_for_page(&edge.server, "503");
    // Simulated prices never become stale, so it can only be the silence.
    assert!(page.contains("the log has been silent for 5."), "{page}");
    // The last message came up to a second before.
    assert!(stopped.elapsed() > Duration::from_secs(4));
    assert!(edge.server.get("/healthz").contains("200 OK"));
    leader.server.signal(Signal::CONT);
    wait_for_page(&edge.server, "200 OK");
}

/// Waits until `/readyz` has these words.
fn wait_for_page(server: &ServerProcess, words: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = server.get("/readyz");
        if page.contains(words) {
            return page;
        }
        assert!(Instant::now() < deadline, "{page}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_log_that_is_lost_is_begun_again() {
    let Some((mut broker, url)) = broker() else {
        return;
    };
    let mut leader = Member::leader(&url, &[]);
    let mut edge = Member::edge(&url, &[]);
    let mut client = Client::new();
    client.read_at(&edge, Duration::from_millis(200));
    broker.kill();
    broker.forget();
    broker.restart();
    leader.server.wait_for("the log was lost");
    edge.server.wait_for("the log was lost");
    client.read_at(&edge, Duration::from_millis(1_000));
    leader.wait_for_common(&edge, 50);
    for member in [&leader, &edge] {
        let server = &member.server;
        assert_eq!(server.metric("tickertape_broker_lost_logs_total"), 1);
    }
}
