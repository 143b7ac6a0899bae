//! Scripts instead of dice, for situations that dice hardly ever hit. The judge checks each step as
//! in any other run.

use std::time::Duration;

use crate::server::tests::simulation::client::{Change, Client, Kind, Wish};
use crate::server::tests::simulation::net::{Id, Nature};
use crate::server::tests::simulation::setting::Setting;
use crate::server::tests::simulation::world::World;
use crate::server::{CLOSES_PER_TURN, Config};

/// A server and clients that follow a script.
struct Case {
    world: World,
    rng: fastrand::Rng,
}

impl Case {
    /// A server with this many symbols: `S0/USD`, `S1/USD` and so on.
    fn new(config: Config, symbols: usize) -> Self {
        let setting = Setting {
            config,
            names: (0..symbols).map(name).collect(),
            scratch: 16 * 1024,
            events_per_turn: 64,
            accept: (0, Duration::ZERO),
            is_secure: false,
        };
        Self {
            world: World::new(0, setting),
            rng: fastrand::Rng::with_seed(0),
        }
    }

    /// A client connects, sends its request and gets an answer.
    fn join(&mut self, wish: Wish) -> Id {
        let mut client = Client::new(Kind::Eager);
        client.ask_for(wish);
        let id = self.world.connect(1, NATURE, client).expect("it listens");
        self.deliver(id);
        self.turn();
        self.turn();
        assert!(self.world.judge.clients[&id].let_in, "{id} is let in");
        id
    }

    /// A client asks to read other symbols, or at another rate.
    fn ask_to_change(&mut self, id: Id, change: Change) {
        self.client(id, |client, rng| client.ask_to_change(change, rng));
        self.deliver(id);
    }

    /// Everything that a client has to say arrives.
    fn deliver(&mut self, id: Id) {
        let now = self.world.judge.now;
        let bytes = self.client(id, |client, _| {
            let length = client.sendable();
            client.arrive(length, now)
        });
        self.world.net.arrive(id, &bytes);
    }

    /// A client's socket takes no bytes until further notice, or takes all of them again.
    fn block(&mut self, id: Id, is_blocked: bool) {
        let room = if is_blocked { 0 } else { NATURE.capacity };
        self.world.net.set_room(id, |_| room);
    }

    fn client<T>(&mut self, id: Id, act: impl FnOnce(&mut Client, &mut fastrand::Rng) -> T) -> T {
        let client = self.world.judge.clients.get_mut(&id);
        act(client.expect("it is connected"), &mut self.rng)
    }

    /// A new price for each symbol.
    fn print(&mut self) {
        for symbol in 0..self.world.judge.model.symbols.len() {
            self.world.publish(symbol, "1.50");
        }
    }

    fn turn(&mut self) {
        self.world.turn(true);
    }

    fn pass(&mut self, ms: u64) {
        self.world.pass(Duration::from_millis(ms));
    }

    /// Clients take and say all they can until no work is left.
    fn settle(&mut self) {
        for _ in 0..100 {
            let ids: Vec<_> = self.world.judge.clients.keys().copied().collect();
            let mut has_taken = false;
            for id in ids {
                let taken = self.world.net.take(id, usize::MAX);
                has_taken |= taken.0 > 0;
                self.client(id, |client, rng| {
                    client.take(&taken);
                    client.pong(rng);
                });
                self.deliver(id);
            }
            self.turn();
            if !has_taken && self.world.is_at_rest() {
                return self.world.check_quiet();
            }
        }
        panic!("the world does not come to rest");
    }

    fn conflated(&self) -> u64 {
        self.world.server.counters.conflated
    }
}

fn name(symbol: usize) -> String {
    format!("S{symbol}/USD")
}

/// A socket with room for everything.
const NATURE: Nature = Nature {
    capacity: 1 << 20,
    cut: 0,
    interrupt: 0,
    separate: true,
    secure: false,
};

#[test]
fn a_returning_client_that_has_caught_up_is_conflated_like_any_other() {
    let config = Config {
        conflate_after: Duration::from_millis(100),
        ..Config::default()
    };
    let mut case = Case::new(config, 2);
    case.print();
    let seen = case.world.judge.model.last_stamp;
    case.print();
    case.pass(500);
    let id = case.join(Wish {
        since: Some(seen),
        ..Wish::default()
    });
    case.settle();
    assert_eq!(
        case.conflated(),
        0,
        "the missed frames were not too old for it"
    );
    case.block(id, true);
    for _ in 0..3 {
        case.print();
        case.turn();
        case.pass(200);
    }
    case.block(id, false);
    case.settle();
    assert_eq!(case.conflated(), 1);
}

#[test]
fn a_client_is_not_sent_debts_of_symbols_it_gives_up() {
    let config = Config {
        max_batch: 1,
        ..Config::default()
    };
    let mut case = Case::new(config, 8);
    case.print();
    let id = case.join(Wish {
        batches: true,
        entries: Some((0..8).map(name).collect()),
        ..Wish::default()
    });
    case.ask_to_change(
        id,
        Change {
            subscribe: false,
            entries: (6..8).map(name).collect(),
            every: None,
            batches: None,
            id: 1,
        },
    );
    case.settle();
    let sent = case.world.server.counters.deliveries;
    assert_eq!(sent, 6, "the newest of each symbol that it kept");
}

#[test]
fn a_request_waiting_for_a_large_debt_is_answered_before_the_next_debt() {
    let config = Config {
        max_batch: 2,
        ..Config::default()
    };
    let mut case = Case::new(config, 40);
    let id = case.join(Wish {
        batches: true,
        every: Some(Duration::from_millis(10)),
        ..Wish::default()
    });
    case.settle();
    case.print();
    case.pass(10);
    case.turn();
    case.ask_to_change(
        id,
        Change {
            subscribe: false,
            entries: (2..40).map(name).collect(),
            every: None,
            batches: None,
            id: 1,
        },
    );
    // At each beat it is owed all of it again, and gets two frames.
    for _ in 0..60 {
        case.print();
        case.pass(10);
        case.turn();
    }
    let is_answered = case.client(id, |client, _| client.expects.is_empty());
    assert!(is_answered, "it gets no answer");
    case.settle();
}

#[test]
fn a_ping_waiting_behind_a_debt_is_sent_after_a_change_of_rate() {
    let config = Config {
        max_batch: 1,
        ping_interval: Duration::from_secs(60),
        ping_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let mut case = Case::new(config, 8);
    let every = |ms| Some(Duration::from_millis(ms));
    let id = case.join(Wish {
        batches: true,
        every: every(10),
        ..Wish::default()
    });
    case.settle();
    case.print();
    case.pass(10);
    case.turn();
    case.world.server.beat(&mut case.world.io_loop);
    case.world.judge.look(&mut case.world.server);
    case.ask_to_change(
        id,
        Change {
            subscribe: true,
            entries: Vec::new(),
            every: Some(every(50)),
            batches: None,
            id: 1,
        },
    );
    case.settle();
    assert_eq!(case.client(id, |client, _| client.ponged), 1);
    case.pass(400);
    case.settle();
    assert_eq!(case.world.server.counters.clients, 1, "it has answered");
}

#[test]
fn no_frame_follows_an_owed_closing_frame() {
    let config = Config {
        max_batch: 1,
        conflate_after: Duration::from_millis(100),
        slow_timeout: Duration::from_secs(1),
        drain: Duration::ZERO,
        shutdown_timeout: Duration::from_secs(10),
        ..Config::default()
    };
    let mut case = Case::new(config, 1);
    let id = case.join(Wish {
        batches: true,
        ..Wish::default()
    });
    case.settle();
    case.block(id, true);
    for _ in 0..2 {
        case.print();
        case.turn();
        case.pass(200);
    }
    case.world.shut_down();
    case.turn();
    case.block(id, false);
    case.world.net.take(id, 1);
    case.turn();
    // It was owed the newest tick, and has it; its socket takes a part of the closing frame.
    case.world.net.set_room(id, |_| 3);
    case.turn();
    assert_eq!(case.conflated(), 1);
    case.pass(2000);
    case.turn();
    case.turn();
    assert_eq!(case.world.server.counters.clients, 0, "it was told goodbye");
}

#[test]
fn every_client_is_told_goodbye_when_many_are_due_at_once() {
    let config = Config {
        drain: Duration::from_secs(1),
        ..Config::default()
    };
    let mut case = Case::new(config, 1);
    for _ in 0..2 * CLOSES_PER_TURN {
        case.join(Wish::default());
    }
    case.world.shut_down();
    case.pass(999);
    case.turn();
    case.turn();
    let server = &case.world.server;
    assert!(!server.hub.is_closed(), "the tape has no goodbye yet");
    assert_eq!(server.counters.clients, 0);
}
