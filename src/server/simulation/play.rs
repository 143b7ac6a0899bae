//! The dice: what happens next, to whom, and when all comes to rest.

use std::time::Duration;

use mio::Token;

use super::client::{BURST, Client, Kind};
use super::socket::{End, Nature, SimSocket};
use super::world::{Callback, STALE_AFTER, World};
use crate::feed::Watched;
use crate::io_loop::EVENTS_PER_TURN;
use crate::server::Config;
use crate::tick::{Price, Tick};

/// What one seed came to.
pub(super) struct Played {
    pub(super) world: World,
    pub(super) steps: u64,
    pub(super) hash: u64,
}

struct Play {
    rng: fastrand::Rng,
    world: World,
    names: Vec<String>,
    nature: Nature,
    clients_max: usize,
}

/// Plays a seed to its end.
pub(super) fn play(seed: u64, trace: bool) -> Played {
    let mut play = Play::new(seed);
    play.world.trace = trace;
    let steps = play.rng.u64(50..250);
    for _ in 0..play.clients_max / 2 {
        play.join();
    }
    for step in 0..steps {
        if trace {
            eprintln!("step {step}, {} ms", play.world.now);
        }
        play.step();
        play.world.check_counters();
    }
    play.end();
    let hash = play.world.finish();
    Played {
        world: play.world,
        steps,
        hash,
    }
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let names: Vec<_> = (0..rng.usize(1..=5))
            .map(|index| format!("S{index}/USD"))
            .collect();
        let ms = |range: std::ops::Range<u64>, rng: &mut fastrand::Rng| {
            Duration::from_millis(rng.u64(range))
        };
        let tape_size = rng.usize(1024..8192);
        let ping_interval = ms(200..3000, &mut rng);
        let config = Config {
            tape_size,
            tape_memory: tape_size / 2 * 5 * rng.usize(2..20),
            handshake_timeout: ms(300..5000, &mut rng),
            close_timeout: ms(100..2000, &mut rng),
            ping_interval,
            ping_timeout: ms(100..3000, &mut rng),
            message_burst: BURST,
            conflate_after: ms(20..1000, &mut rng),
            slow_timeout: ms(300..4000, &mut rng),
            ..Config::default()
        };
        let clients_max = match rng.u8(..100) {
            0 => rng.usize(1000..3000),
            1..8 => rng.usize(200..500),
            _ => rng.usize(2..60),
        };
        let nature = Nature {
            capacity: rng.usize(200..6000),
            cut: if rng.bool() { rng.u8(..60) } else { 0 },
            interrupt: if rng.u8(..4) == 0 { 5 } else { 0 },
            separate: rng.bool(),
        };
        let scratch = if rng.bool() {
            16 * 1024
        } else {
            rng.usize(16..600)
        };
        let mut world = World::new(seed, config, &names, scratch);
        for name in &names {
            let watched = Watched {
                symbol: name.clone(),
                market: name.clone(),
                stale_after: Duration::from_millis(STALE_AFTER),
            };
            world.board.watch(watched, world.instant());
        }
        world.events_per_turn = match rng.bool() {
            true => EVENTS_PER_TURN,
            false => rng.usize(1..EVENTS_PER_TURN),
        };
        world.call_later(world.config.ping_interval, Callback::Beat);
        world.call_later(world.config.slow_timeout / 8, Callback::Look);
        Self {
            rng,
            world,
            names,
            nature,
            clients_max,
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..32 => self.some_clients_act(),
            32..56 => self.turn(false),
            56..70 => self.print(),
            70..80 => self.pass(1..50),
            80 => {
                self.world.note("pause");
                self.pass(500..6000);
            }
            81 => self.jump(),
            82..88 => self.join(),
            88..92 => self.leave(),
            92..95 => self.look_for_silence(),
            95 => self.confirm(),
            96..99 => self.settle(),
            _ => {
                if self.rng.u8(..4) == 0 && !self.world.shutting_down {
                    self.world.shut_down();
                }
            }
        }
    }

    fn some_clients_act(&mut self) {
        let tokens: Vec<_> = self.world.clients.keys().copied().collect();
        let share = tokens.len() / 4 + 1;
        for _ in 0..share {
            if let Some(&token) = self.rng.choice(&tokens) {
                self.act(token, false);
            }
        }
    }

    /// A client takes some of what it was sent, answers, and sends some of what it has to say.
    fn act(&mut self, token: Token, at_rest: bool) {
        let (rng, world) = (&mut self.rng, &mut self.world);
        let Some(client) = world.clients.get_mut(&token) else {
            return;
        };
        let Some(connection) = world.connections.get_mut(token) else {
            return;
        };
        let socket = connection.socket();
        let most = match client.kind {
            Kind::Eager => usize::MAX,
            Kind::Slow => rng.usize(1..100),
            Kind::Fitful if rng.u8(..3) == 0 => usize::MAX,
            Kind::Fitful | Kind::Never => 0,
        };
        let was_blocked = socket.is_blocked();
        if most > 0 {
            client.taken += socket.take(most) as u64;
        }
        let unblocked = was_blocked && !socket.is_blocked();
        if client.place.is_some() {
            client.pong(rng);
            if !at_rest && rng.u8(..12) == 0 {
                client.speak(rng, &self.names);
            }
        }
        let length = match client.kind {
            Kind::Eager if at_rest || rng.bool() => client.outgoing.len(),
            _ => rng.usize(..=client.outgoing.len().min(200)),
        };
        socket.arrive(&client.arrive(length, world.now));
        if unblocked {
            client.freed = world.now;
            world.note("unblocked");
        }
    }

    /// One turn of the loop, in its order: callbacks, timeouts, events.
    fn turn(&mut self, whole: bool) {
        let world = &mut self.world;
        for _ in 0..world.callbacks.len() {
            if let Some(callback) = world.callbacks.pop_front() {
                world.run(callback);
            }
        }
        let later = world.timers.split_off(&(world.now + 1, 0));
        let due = std::mem::replace(&mut world.timers, later);
        for callback in due.into_values() {
            world.run(callback);
        }
        for token in self.poll(whole) {
            let world = &mut self.world;
            let connection = world.connections.get_mut(token);
            if let Some(ready) = connection.and_then(|it| it.socket().event()) {
                world.note(match (ready.readable, ready.writable) {
                    (true, true) => "edge for both",
                    (true, false) => "edge for reading",
                    _ => "edge for writing",
                });
                world.on_ready(token, ready);
            }
        }
    }

    /// Who has events: a turn's share in the order in which they came, or all.
    fn poll(&mut self, whole: bool) -> Vec<Token> {
        let world = &mut self.world;
        let ready = world.connections.iter_mut();
        let ready = ready.filter_map(|it| it.socket().has_event().then_some(it.token));
        let known = &world.is_ready;
        let mut new: Vec<_> = ready.filter(|token| !known.contains(token)).collect();
        self.rng.shuffle(&mut new);
        world.is_ready.extend(&new);
        world.ready.extend(new);
        let most = if whole {
            usize::MAX
        } else {
            world.events_per_turn
        };
        world.has_more_events = world.ready.len() >= most;
        let count = most.min(world.ready.len());
        let fetched: Vec<_> = world.ready.drain(..count).collect();
        for token in &fetched {
            world.is_ready.remove(token);
        }
        fetched
    }

    fn print(&mut self) {
        let burst = if self.rng.u8(..12) == 0 {
            self.rng.usize(1..80)
        } else {
            self.rng.usize(1..4)
        };
        for _ in 0..burst {
            let symbol = self.rng.usize(..self.names.len());
            let price = format!("{}.{:02}", self.rng.u32(..100_000), self.rng.u8(..100));
            let tick = Tick {
                symbol: self.names[symbol].clone(),
                price: Price::parse(&price).expect("a number"),
                timestamp: 7,
            };
            let world = &mut self.world;
            let printed = world.board.print(&tick, world.instant()).is_some();
            assert_eq!(printed, !world.shutting_down, "printed");
            world.counters.ticks += u64::from(printed);
            world.model.print(symbol, &price, (world.now, world.wall()));
            world.note("tick");
        }
        self.world.sweep_soon();
    }

    fn look_for_silence(&mut self) {
        let world = &mut self.world;
        let silent = world.board.print_stale(world.instant(), false);
        assert_eq!(
            silent.len(),
            world.model.print_stale(world.now),
            "silent symbols"
        );
        if !silent.is_empty() {
            world.note("stale");
            world.sweep_soon();
        }
        if self.rng.bool() {
            self.confirm();
        }
    }

    fn confirm(&mut self) {
        let symbol = self.rng.usize(..self.names.len());
        let world = &mut self.world;
        if world.board.confirm(&self.names[symbol], world.instant()) {
            world.note("live");
            world.sweep_soon();
        }
        world.model.hear(symbol, world.now);
    }

    fn pass(&mut self, ms: std::ops::Range<u64>) {
        let ms = self.rng.u64(ms);
        self.world.now += ms;
        self.world
            .set_wall(self.world.wall() + ms * 1000 + self.rng.u64(..1000));
    }

    fn jump(&mut self) {
        let by = self.rng.u64(..100_000_000);
        let wall = self.world.wall();
        self.world.set_wall(if self.rng.bool() {
            wall + by
        } else {
            wall - by
        });
        self.world.note("wall clock jump");
    }

    fn join(&mut self) {
        if self.world.clients.len() >= self.clients_max || self.world.shutting_down {
            return;
        }
        let kind = match self.rng.u8(..20) {
            0..10 => Kind::Eager,
            10..14 => Kind::Slow,
            14..18 => Kind::Fitful,
            _ => Kind::Never,
        };
        let mut client = Client::new(kind);
        client.ask(&mut self.rng, &self.names, self.world.board.last_stamp());
        if client.wish.1.is_some() {
            self.world.note("resume");
        }
        let socket = SimSocket::new(self.rng.fork(), self.nature);
        self.world.connect(socket, client);
        self.world.note("join");
    }

    fn leave(&mut self) {
        let tokens: Vec<_> = self.world.clients.keys().copied().collect();
        let Some(&token) = self.rng.choice(&tokens) else {
            return;
        };
        let Some(connection) = self.world.connections.get_mut(token) else {
            return;
        };
        let event = match self.rng.u8(..3) {
            0 => {
                connection.socket().end(End::Reset);
                if let Some(client) = self.world.clients.get_mut(&token) {
                    client.freed = self.world.now;
                }
                "reset"
            }
            1 => {
                connection.socket().end(End::Finished);
                "end of stream"
            }
            _ => {
                if let Some(client) = self.world.clients.get_mut(&token) {
                    client.say_goodbye(&mut self.rng);
                }
                "goodbye"
            }
        };
        self.world.note(event);
    }

    /// Lets everything come to rest that can, and looks whether anybody was forgotten.
    fn settle(&mut self) {
        self.world.note("rest");
        for _ in 0..RESTLESS_TURNS {
            let tokens: Vec<_> = self.world.clients.keys().copied().collect();
            for token in tokens {
                let eager = |client: &Client| client.kind == Kind::Eager;
                if self.world.clients.get(&token).is_some_and(eager) {
                    self.act(token, true);
                }
            }
            self.turn(true);
            let events = self.world.connections.iter_mut();
            let restless = { events }.any(|it| it.socket().has_event());
            if !restless && self.world.callbacks.is_empty() && !self.is_sweep_due() {
                self.world.check_quiet();
                return self.world.check_readers();
            }
            self.pass(1..3);
        }
        panic!("it does not come to rest");
    }

    fn is_sweep_due(&self) -> bool {
        let mut timers = self.world.timers.values();
        timers.any(|timer| matches!(timer, Callback::BeginSweep))
    }

    /// Everybody goes, and nothing is left.
    fn end(&mut self) {
        self.settle();
        if !self.world.shutting_down {
            self.world.shut_down();
        }
        self.settle();
        for _ in 0..RESTLESS_TURNS {
            self.pass(50..200);
            self.turn(true);
        }
        let world = &self.world;
        world.check_counters();
        world.check_readers();
        assert_eq!(world.counters.clients, 0, "clients at the end");
        assert_eq!(world.connections.len(), 0, "connections at the end");
    }
}

/// Turns within which everything that can come to rest must have: a message over the limit, read
/// sixteen bytes at a time, takes over 300.
const RESTLESS_TURNS: usize = 1000;
