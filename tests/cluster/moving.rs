//! The same tape everywhere.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::{PATIENCE, temp_file};

use crate::scene::{Client, Member, broker, common};

#[test]
fn every_server_prints_the_same_tape() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &["--fields", "bid,ask"]);
    let early = Member::edge(&url, &[]);
    let standby = Member::standby(&url, &["--fields", "bid,ask"]);
    leader.wait_for_ticks(200);
    let late = Member::edge(&url, &[]);
    late.wait_for_ticks(200);
    for other in [&early, &standby, &late] {
        leader.wait_for_common(other, 200);
    }
    assert!(leader.recording().last().unwrap().contains(r#""bid":"#));
    for member in [&leader, &early, &standby, &late] {
        let server = &member.server;
        assert_eq!(server.metric("tickertape_broker_disagreements_total"), 0);
        assert_eq!(server.metric("tickertape_broker_gaps_total"), 0);
        assert_eq!(server.footprint().threads, 1);
    }
}

#[test]
fn a_client_that_moves_from_server_to_server_misses_and_repeats_nothing() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let edges = [Member::edge(&url, &[]), Member::edge(&url, &[])];
    let mut client = Client::new();
    for turn in 0..12 {
        let member = match turn % 3 {
            0 => &leader,
            turn => &edges[turn - 1],
        };
        client.read_at(member, Duration::from_millis(150));
    }
    // This one was not there when the client's newest tick was printed.
    let fresh = Member::edge(&url, &[]);
    client.read_at(&fresh, Duration::from_millis(150));
    assert!(client.ticks > 150, "{}", client.ticks);
}

#[test]
fn a_server_that_starts_again_continues_its_recording() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let mut standby = Member::standby(&url, &[]);
    let mut edge = Member::edge(&url, &[]);
    for signal in [Signal::TERM, Signal::KILL] {
        for member in [&mut standby, &mut edge] {
            member.wait_for_ticks(50);
            member.restart(signal);
            member.wait_for_ticks(50);
            let lines = member.recording().len();
            leader.wait_for_common(member, lines);
        }
    }
    // Each time there was more to join with than was missing.
    assert!(edge.server.metric("tickertape_ticks_total") > 100);
}

#[test]
fn an_edge_serves_the_symbols_that_it_is_asked_to() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let leader = Member::leader(&url, &[]);
    let edge = Member::edge(&url, &["--symbols", "sim:A/USDT,*/EUR"]);
    let deadline = Instant::now() + PATIENCE;
    let is_selected = |line: &String| line.contains(r#""symbol":"sim:A/USDT""#);
    loop {
        let (mut tape, lines) = (leader.recording(), edge.recording());
        assert!(lines.iter().all(is_selected));
        tape.retain(is_selected);
        if common(&tape, &lines) >= 20 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", edge.server.log());
    }
}

#[test]
fn an_edge_reads_its_file_of_symbols_again() {
    let Some((_broker, url)) = broker() else {
        return;
    };
    let _leader = Member::leader(&url, &[]);
    let file = temp_file("sim:A/USDT\nsim:X/USDT\n");
    let list = format!("@{}", file.path().display());
    let mut edge = Member::edge(&url, &["--symbols", &list]);
    edge.server
        .wait_for("the log has no symbol that matches sim:X/USDT");
    edge.wait_for_ticks(5);
    fs::write(file.path(), "B/USDT # and no more\n").expect("room for a file");
    edge.server.signal(Signal::HUP);
    edge.server
        .wait_for("symbols of the log added: 1, removed: 1");
    edge.wait_for_ticks(20);
    let lines = edge.recording();
    let of =
        |line: &String, symbol: &str| line.contains(&format!(r#""symbol":"sim:{symbol}/USDT""#));
    let first = lines
        .iter()
        .position(|line| of(line, "B"))
        .expect("its price");
    assert!(lines[..first].iter().all(|line| of(line, "A")));
    assert!(lines[first..].iter().all(|line| of(line, "B")));
    fs::write(file.path(), "B/USDT/C\n").expect("room for a file");
    edge.server.signal(Signal::HUP);
    edge.server.wait_for("keeping the current symbols");
    edge.wait_for_ticks(5);
}
