//! The dice: they decide what happens next, to which client, and when all comes to rest.

use std::time::Duration;

use ioloop::EVENTS_PER_TURN;

use crate::server::Config;
use crate::server::scaled::keep_shipped;
use crate::server::tests::simulation::client::{BURST, Client, Kind};
use crate::server::tests::simulation::judge::Judge;
use crate::server::tests::simulation::net::{End, Id, Nature};
use crate::server::tests::simulation::setting::Setting;
use crate::server::tests::simulation::world::World;

/// The result of one seed.
pub(super) struct Played {
    pub(super) world: World,
    pub(super) steps: u64,
    pub(super) hash: u64,
}

struct Play {
    rng: fastrand::Rng,
    world: World,
    /// Symbols that are listed at some time.
    names: Vec<String>,
    nature: Nature,
    clients_max: usize,
    /// Whether the tape holds more frames than are gathered at a time.
    is_deep: bool,
}

/// Plays a seed to its end.
pub(super) fn play(seed: u64, trace: bool) -> Played {
    let mut play = Play::new(seed);
    play.world.judge.trace = trace;
    let steps = play.rng.u64(50..250);
    for _ in 0..play.clients_max / 2 {
        play.join();
    }
    for step in 0..steps {
        if trace {
            eprintln!("step {step}, {} ms", play.world.judge.now / 1000);
        }
        play.step();
        play.world.check_counters();
    }
    play.end();
    let hash = play.world.judge.finish();
    Played {
        world: play.world,
        steps,
        hash,
    }
}

/// Short times and small buffers, so that every limit is reached within a run.
fn some_config(rng: &mut fastrand::Rng, is_deep: bool) -> Config {
    let ms = |range: std::ops::Range<u64>, rng: &mut fastrand::Rng| {
        Duration::from_millis(rng.u64(range))
    };
    let tape_size = if is_deep {
        400_000
    } else {
        rng.usize(1024..8192)
    };
    let ping_interval = ms(200..3000, rng);
    Config {
        tape_size,
        resume_wait: ms(20..1500, rng),
        max_batch: if is_deep { 300 } else { rng.usize(1..20) },
        handshake_timeout: ms(300..5000, rng),
        close_timeout: ms(100..2000, rng),
        ping_interval,
        ping_timeout: ms(100..3000, rng),
        message_burst: BURST,
        conflate_after: ms(20..1000, rng),
        slow_timeout: ms(300..4000, rng),
        drain: if rng.bool() {
            Duration::ZERO
        } else {
            ms(1..1500, rng)
        },
        ..Config::default()
    }
}

fn some_nature(rng: &mut fastrand::Rng) -> Nature {
    Nature {
        capacity: rng.usize(200..6000),
        cut: if rng.bool() { rng.u8(..60) } else { 0 },
        interrupt: if rng.u8(..4) == 0 { 5 } else { 0 },
        separate: rng.bool(),
        secure: false,
    }
}

impl Play {
    fn new(seed: u64) -> Self {
        keep_shipped(seed % SEEDS_PER_SHIPPED == SEEDS_PER_SHIPPED - 1);
        let mut rng = fastrand::Rng::with_seed(seed);
        let names = some_names(&mut rng);
        let at_first = rng.usize(1..=names.len());
        let is_deep = rng.u8(..50) == 0;
        let config = some_config(&mut rng, is_deep);
        // Handshakes are expensive, even more so without optimisation.
        let is_secure = seed % SEEDS_PER_TLS == SEEDS_PER_TLS - 1;
        let clients_max = match rng.u8(..100) {
            _ if is_secure => rng.usize(2..30),
            0 => rng.usize(1000..3000),
            1..8 => rng.usize(200..500),
            _ if is_deep => rng.usize(2..8),
            _ => rng.usize(2..60),
        };
        let config = Config {
            clients_max: (rng.u8(..4) == 0).then(|| rng.usize(1..=clients_max)),
            clients_per_address_max: (rng.u8(..4) == 0).then(|| rng.usize(1..=clients_max)),
            ..config
        };
        let nature = some_nature(&mut rng);
        let scratch = if rng.bool() {
            16 * 1024
        } else {
            rng.usize(16..600)
        };
        let setting = Setting {
            config,
            names: names[..at_first].to_vec(),
            scratch,
            events_per_turn: if rng.bool() {
                EVENTS_PER_TURN
            } else {
                rng.usize(1..EVENTS_PER_TURN)
            },
            accept: (rng.u8(..3), Duration::from_micros(rng.u64(..200))),
            is_secure,
        };
        let world = World::new(seed, setting);
        Self {
            rng,
            world,
            names,
            nature,
            clients_max,
            is_deep,
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..32 => self.some_clients_act(),
            32..56 => self.world.turn(false),
            56..70 => self.print(),
            70..80 => self.pass(1..50),
            80 => {
                self.world.judge.note("pause");
                self.pass(500..6000);
            }
            81 => self.jump(),
            82..88 => self.join(),
            88..92 => self.leave(),
            92..94 => self.confirm(),
            94..96 => self.list_or_delist(),
            96..99 => self.settle(),
            _ => {
                if self.rng.u8(..4) == 0 && !self.world.judge.shutting_down {
                    self.world.shut_down();
                }
            }
        }
    }

    fn some_clients_act(&mut self) {
        let ids = self.ids();
        let share = ids.len() / 4 + 1;
        for _ in 0..share {
            if let Some(&id) = self.rng.choice(&ids) {
                self.act(id, false);
            }
        }
    }

    /// A client takes some of what it was sent, answers, and sends some of what it has to say.
    fn act(&mut self, id: Id, at_rest: bool) {
        let (rng, net, judge) = (&mut self.rng, &self.world.net, &mut self.world.judge);
        let Some(client) = judge.clients.get_mut(&id) else {
            return;
        };
        let most = match client.kind {
            Kind::Eager => usize::MAX,
            Kind::Slow => rng.usize(1..100),
            Kind::Fitful if rng.u8(..3) == 0 => usize::MAX,
            Kind::Fitful | Kind::Never => 0,
        };
        let is_blocked = || net.pipe(id, |pipe| pipe.blocked) == Some(true);
        let was_blocked = is_blocked();
        if most > 0 {
            client.take(&net.take(id, most));
        }
        let unblocked = was_blocked && !is_blocked();
        if client.place.is_some() {
            client.pong(rng);
            if !at_rest && rng.u8(..12) == 0 {
                client.speak(rng, &judge.model.symbols);
            }
        }
        let sendable = client.sendable();
        let has_ended = net.pipe(id, |pipe| pipe.ended.is_some()) == Some(true);
        let length = match client.kind {
            _ if has_ended => 0,
            Kind::Eager if at_rest || rng.bool() => sendable,
            _ => rng.usize(..=sendable.min(200)),
        };
        net.arrive(id, &client.arrive(length, judge.now));
        if unblocked {
            judge.note("unblocked");
        }
    }

    fn ids(&self) -> Vec<Id> {
        self.world.judge.clients.keys().copied().collect()
    }

    fn print(&mut self) {
        let burst = if self.rng.u8(..12) == 0 {
            self.rng.usize(1..80)
        } else {
            self.rng.usize(1..4)
        };
        let deep = (self.is_deep && self.rng.u8(..8) == 0).then_some(1500);
        let symbols = self.world.judge.model.symbols.len();
        for _ in 0..deep.unwrap_or(burst) {
            let symbol = self.rng.usize(..symbols);
            let price = format!("{}.{:02}", self.rng.u32(..100_000), self.rng.u8(..100));
            self.world.publish(symbol, &price);
        }
    }

    fn confirm(&mut self) {
        let symbols = self.world.judge.model.symbols.len();
        let symbol = self.rng.usize(..symbols);
        self.world.confirm(symbol);
        if self.world.tls.is_some() {
            self.world.reload();
        }
    }

    fn list_or_delist(&mut self) {
        let some = (0..self.rng.usize(1..4)).filter_map(|_| self.rng.choice(&self.names).cloned());
        let some: Vec<_> = some.collect();
        if self.rng.u8(..3) == 0 {
            self.world.delist(&some);
        } else {
            self.world.list(&some);
        }
    }

    fn pass(&mut self, ms: std::ops::Range<u64>) {
        let us = self.rng.u64(ms.start * 1000..ms.end * 1000);
        self.world.pass(Duration::from_micros(us));
        Judge::set_wall(Judge::wall() + self.rng.u64(..1000));
    }

    fn jump(&mut self) {
        let by = self.rng.u64(..100_000_000);
        let wall = Judge::wall();
        Judge::set_wall(if self.rng.bool() {
            wall + by
        } else {
            wall - by
        });
        self.world.judge.note("wall clock jump");
    }

    fn join(&mut self) {
        if self.world.judge.clients.len() >= self.clients_max {
            return;
        }
        let kind = match self.rng.u8(..20) {
            0..10 => Kind::Eager,
            10..14 => Kind::Slow,
            14..18 => Kind::Fitful,
            _ => Kind::Never,
        };
        let mut client = Client::new(kind);
        let mut nature = self.nature;
        if let Some(tls) = &self.world.tls {
            nature.secure = true;
            match self.rng.u8(..20) {
                0 => nature.secure = false,
                1 => client.babble(),
                _ => client.tls = Some(Box::new(tls.peer(&mut self.rng))),
            }
        }
        if client.tls.is_some() == self.world.tls.is_some() {
            client.ask(&mut self.rng, &self.world.judge.model);
        } else if !nature.secure {
            client.ask_in_plain_text();
        }
        if client
            .wish
            .as_ref()
            .is_some_and(|wish| wish.since.is_some())
        {
            self.world.judge.note("resume");
        }
        let host = self.rng.u8(1..5);
        self.world.connect(host, nature, client);
    }

    fn leave(&mut self) {
        let ids = self.ids();
        let Some(&id) = self.rng.choice(&ids) else {
            return;
        };
        let event = match self.rng.u8(..3) {
            0 => {
                self.world.net.end(id, End::Reset);
                "reset"
            }
            1 => {
                self.world.net.end(id, End::Finished);
                "end of stream"
            }
            _ => {
                if let Some(client) = self.world.judge.clients.get_mut(&id) {
                    client.send_close(&mut self.rng);
                }
                "goodbye"
            }
        };
        self.world.judge.note(event);
    }

    /// Lets everything come to rest, and checks that no client was forgotten.
    fn settle(&mut self) {
        self.world.judge.note("rest");
        for _ in 0..RESTLESS_TURNS {
            for id in self.ids() {
                let eager = |client: &Client| client.kind == Kind::Eager;
                if self.world.judge.clients.get(&id).is_some_and(eager) {
                    self.act(id, true);
                }
            }
            self.world.turn(true);
            if self.world.is_at_rest() {
                self.world.check_quiet();
                return self.world.check_index();
            }
            self.pass(1..3);
        }
        panic!("the world does not come to rest");
    }

    /// Every client leaves, and the server must keep no trace of them.
    fn end(&mut self) {
        self.settle();
        if !self.world.judge.shutting_down {
            self.world.shut_down();
        }
        self.settle();
        for _ in 0..RESTLESS_TURNS {
            self.pass(50..200);
            self.world.turn(true);
        }
        self.world.check_counters();
        self.world.check_index();
        let server = &self.world.server;
        assert!(!self.world.io_loop.is_running(), "it goes on");
        assert_eq!(server.counters.clients, 0, "clients at the end");
        assert_eq!(server.connections.len(), 0, "connections at the end");
        self.world.check_empty();
    }
}

/// A few symbols, or many, from several sources; some names differ only in their source.
fn some_names(rng: &mut fastrand::Rng) -> Vec<String> {
    let mut names = Vec::new();
    for source in ["", "sim:", "rep:"] {
        for base in 0..5 {
            for quote in ["USD", "EUR", "USDT"] {
                names.push(format!("{source}B{base}/{quote}"));
            }
        }
    }
    rng.shuffle(&mut names);
    names.truncate(if rng.bool() {
        rng.usize(1..=6)
    } else {
        rng.usize(6..=40)
    });
    names
}

/// One in this many seeds has clients that speak TLS.
const SEEDS_PER_TLS: u64 = 8;

/// One in this many seeds is played with the limits of work that ship.
const SEEDS_PER_SHIPPED: u64 = 5;

/// Everything that can come to rest must do so within this many turns: a message over the limit,
/// read sixteen bytes at a time, takes over 300.
const RESTLESS_TURNS: usize = 1000;
