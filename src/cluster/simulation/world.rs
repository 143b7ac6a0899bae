//! Servers, their connections and what befalls them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::judge::{Paper, Wanderer};
use super::log::Log;
use crate::cluster::message::SymbolInfo;
use crate::cluster::node::{Command, Input, Node, OriginSettings, Request};
use crate::tick::{Price, Tick};

/// All servers and the log, on a simulated clock.
pub(super) struct World {
    rng: Rng,
    began: Instant,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
    log: Log,
    servers: Vec<Server>,
    wanderer: Wanderer,
    /// No more faults befall them.
    is_calm: bool,
    prices: u64,
    seed: u64,
}

struct Server {
    node: Node,
    paper: Paper,
    is_connected: bool,
    /// Grows with each connection and each start, so that what belongs to an old one is dropped.
    epoch: u64,
    /// Until when it stands still.
    paused_until: Duration,
    is_dead: bool,
}

enum Event {
    /// Something arrives at a server.
    Deliver(usize, u64, Input),
    /// A command arrives at the log.
    Ask(usize, u64, Command),
    Advance(usize),
    Connect(usize, u64),
    Price,
    Wander,
    Fault,
    Revive(usize),
    Elect,
}

thread_local! {
    static WALL_US: Cell<u64> = const { Cell::new(0) };
}

fn wall_us() -> u64 {
    WALL_US.get()
}

/// The clock of the second origin is this much behind.
fn late_wall_us() -> u64 {
    WALL_US.get() - 2_000_000
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            began: Instant::now(),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            count: 0,
            log: Log::missing(seed % 2 == 1),
            servers: Vec::new(),
            wanderer: Wanderer::default(),
            is_calm: false,
            prices: 0,
            seed,
        };
        WALL_US.set(START_US);
        for index in 0..SERVERS {
            let server = world.server(index);
            world.servers.push(server);
            let later = world.within(2_000);
            world.schedule(later, Event::Connect(index, 0));
            world.schedule(Duration::ZERO, Event::Advance(index));
        }
        for event in [Event::Price, Event::Wander, Event::Fault] {
            world.schedule(Duration::from_millis(5), event);
        }
        world
    }

    /// A new server; the first ones are origins.
    fn server(&self, index: usize) -> Server {
        let node = if index < ORIGINS {
            let mut node = Node::origin(OriginSettings {
                id: origin_id(index),
                takeover_after: Duration::from_secs(3),
                lists_later: self.seed.is_multiple_of(3),
                // Nothing can be said of a log that was lost and is begun again by somebody who
                // knows nothing, and whose clock is behind.
                wall_us: if index == 1 && !self.log.was_lost {
                    late_wall_us
                } else {
                    wall_us
                },
            });
            node.add_symbols(SYMBOLS.map(|symbol| {
                let info = SymbolInfo {
                    market: symbol.to_owned(),
                    stale_after: Some(5_000),
                };
                (symbol.to_owned(), info)
            }));
            node
        } else {
            Node::edge()
        };
        Server {
            node,
            paper: Paper::default(),
            is_connected: false,
            epoch: 0,
            paused_until: Duration::ZERO,
            is_dead: false,
        }
    }

    /// Runs through faults and a calm time, and looks whether all is well then.
    pub(super) fn run(&mut self) -> Result<(), String> {
        while self.now < END {
            if self.now >= CALM && !self.is_calm {
                self.be_calm();
            }
            let Some(((at, count), event)) = self.events.pop_first() else {
                break;
            };
            self.now = at;
            if let Event::Deliver(index, ..) = event
                && self.servers[index].paused_until > at
            {
                // What arrives at a server that stands still keeps its order.
                let later = self.servers[index].paused_until;
                self.events.insert((later, count), event);
                continue;
            }
            if self.count > EVENTS_MAX {
                return Err(format!("at {at:?}: a storm of {} events", self.count));
            }
            WALL_US.set(START_US + at.as_micros() as u64);
            self.happen(event)
                .map_err(|why| format!("at {at:?}: {why}"))?;
        }
        self.judge()
    }

    fn judge(&self) -> Result<(), String> {
        let leaders = self.servers.iter().filter(|server| server.node.leads());
        let leaders = leaders.count();
        if leaders != 1 {
            return Err(format!("{leaders} lead in the end"));
        }
        let newest = self.log.truth.last().map(|printed| printed.sent);
        // The clock of one origin is two seconds behind.
        let quiet = START_US + END.as_micros() as u64 - 3_000_000;
        if newest.is_none_or(|newest| newest < quiet) {
            return Err(format!("the last tick is of {newest:?}"));
        }
        for (index, server) in self.servers.iter().enumerate() {
            let last = server.paper.printed.last().map(|printed| printed.sent);
            let is_late = last.is_none_or(|last| last < quiet);
            if is_late || !server.paper.is_ready {
                let state = server.node.summary();
                return Err(format!("server {index} printed last at {last:?}: {state}"));
            }
        }
        if self.wanderer.received == 0 {
            return Err(format!("the client got nothing in seed {}", self.seed));
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Deliver(index, epoch, input) => self.deliver(index, epoch, input),
            Event::Ask(index, epoch, command) => self.ask(index, epoch, command),
            Event::Advance(index) => {
                let later = self.now + Duration::from_millis(25);
                self.schedule(later, Event::Advance(index));
                if self.is_up(index) {
                    self.advance(index)?;
                }
                Ok(())
            }
            Event::Connect(index, epoch) => {
                let server = &mut self.servers[index];
                if !server.is_dead && server.epoch == epoch && !server.is_connected {
                    server.is_connected = true;
                    return self.deliver(index, epoch, Input::Connected);
                }
                Ok(())
            }
            Event::Price => self.price(),
            Event::Wander => {
                let later = self.now + self.within(400_000);
                self.schedule(later, Event::Wander);
                let index = self.rng.usize(..SERVERS);
                if self.is_up(index) {
                    let paper = &self.servers[index].paper;
                    return self.wanderer.read(paper, &self.log);
                }
                Ok(())
            }
            Event::Fault => self.fault(),
            Event::Revive(index) => {
                let server = self.server(index);
                let epoch = self.servers[index].epoch + 1;
                self.servers[index] = Server { epoch, ..server };
                self.connect_later(index);
                Ok(())
            }
            Event::Elect => {
                self.log.has_no_leader = false;
                Ok(())
            }
        }
    }

    fn is_up(&self, index: usize) -> bool {
        let server = &self.servers[index];
        !server.is_dead && server.paused_until <= self.now
    }

    fn deliver(&mut self, index: usize, epoch: u64, input: Input) -> Result<(), String> {
        let server = &mut self.servers[index];
        if server.is_dead || server.epoch != epoch {
            return Ok(());
        }
        if server.paused_until > self.now {
            let later = server.paused_until;
            self.schedule(later, Event::Deliver(index, epoch, input));
            return Ok(());
        }
        let now = self.began + self.now;
        server.node.take(input, now);
        self.advance(index)
    }

    /// Lets a server do what is due, and passes on what it wants.
    fn advance(&mut self, index: usize) -> Result<(), String> {
        let now = self.began + self.now;
        let server = &mut self.servers[index];
        server.node.advance(now, &|_| None);
        for effect in server.node.take_effects() {
            let taken = server.paper.take(effect);
            taken.map_err(|why| format!("server {index}: {why}"))?;
        }
        let (epoch, commands) = (server.epoch, server.node.take_commands());
        if !self.servers[index].is_connected {
            return Ok(());
        }
        for command in commands {
            let request = request(&command);
            if self.is_unlucky(100) {
                let later = self.now + ANSWER_TIMEOUT;
                let input = Input::Unanswered(request);
                self.schedule(later, Event::Deliver(index, epoch, input));
            } else {
                let later = self.now + self.within(1_500);
                self.schedule(later, Event::Ask(index, epoch, command));
            }
        }
        Ok(())
    }

    /// The log answers. The answer may be late, twice or lost.
    fn ask(&mut self, index: usize, epoch: u64, command: Command) -> Result<(), String> {
        let lag = if self.is_unlucky(20) {
            self.rng.u64(..4)
        } else {
            0
        };
        let request = request(&command);
        let (answer, was_appended) = self.log.answer(command, lag)?;
        if was_appended {
            let (seq, payload) = self.log.newest();
            self.tell_all(seq, &payload);
        }
        if self.is_unlucky(60) {
            let later = self.now + ANSWER_TIMEOUT;
            let input = Input::Unanswered(request);
            self.schedule(later, Event::Deliver(index, epoch, input));
            return Ok(());
        }
        for _ in 0..=usize::from(self.is_unlucky(50)) {
            let later = self.now + self.within(3_000);
            self.schedule(later, Event::Deliver(index, epoch, answer.clone()));
        }
        Ok(())
    }

    /// A message goes to all who listen; some miss it, or get it twice.
    fn tell_all(&mut self, seq: u64, payload: &[u8]) {
        for index in 0..SERVERS {
            let server = &self.servers[index];
            if !server.is_connected || self.is_unlucky(30) {
                continue;
            }
            let epoch = self.servers[index].epoch;
            for _ in 0..=usize::from(self.is_unlucky(50)) {
                let later = self.now + self.within(3_000);
                let payload = payload.to_vec();
                let input = Input::Live { seq, payload };
                self.schedule(later, Event::Deliver(index, epoch, input));
            }
        }
    }

    fn price(&mut self) -> Result<(), String> {
        let later = self.now + self.within(40_000);
        self.schedule(later, Event::Price);
        self.prices += 1;
        let symbol = SYMBOLS[self.rng.usize(..SYMBOLS.len())];
        let price = Price::parse(&self.prices.to_string()).map_err(|error| error.to_string())?;
        let timestamp = START_US / 1_000 + self.now.as_millis() as u64;
        let now = self.began + self.now;
        for index in 0..ORIGINS {
            if self.is_up(index) {
                let tick = Tick::new(symbol, price.clone(), timestamp);
                self.servers[index].node.publish(tick, now);
                self.advance(index)?;
            }
        }
        Ok(())
    }

    fn fault(&mut self) -> Result<(), String> {
        if self.is_calm {
            return Ok(());
        }
        let later = self.now + self.within(3_000_000);
        self.schedule(later, Event::Fault);
        let index = self.rng.usize(..SERVERS);
        match self.rng.u8(..8) {
            0 | 1 => self.disconnect(index)?,
            2 => self.kill(index),
            3 => {
                let until = self.now + self.within(8_000_000);
                let server = &mut self.servers[index];
                server.paused_until = server.paused_until.max(until);
            }
            4 => {
                self.log.has_no_leader = true;
                let later = self.now + self.within(6_000_000);
                self.schedule(later, Event::Elect);
            }
            5 if self.rng.u8(..3) == 0 => self.lose_log()?,
            5 => {
                let kept = self.rng.u64(1..200);
                self.log.shorten(kept);
            }
            6 => {
                let (seq, payload) = self.log.scribble();
                self.tell_all(seq, &payload);
            }
            _ => {
                let origin = index % ORIGINS;
                if self.is_up(origin) {
                    self.servers[origin].node.leave();
                    self.advance(origin)?;
                    let later = self.now + self.within(500_000);
                    self.schedule(later, Event::Revive(origin));
                }
            }
        }
        Ok(())
    }

    /// The log is lost, at a moment when its leader knows all of it but the message under way.
    fn lose_log(&mut self) -> Result<(), String> {
        let newest = self.log.position();
        let leaders = self.servers.iter().filter(|server| server.node.leads());
        let known = leaders.filter_map(|server| server.node.position());
        let mut known =
            known.filter(|&known| Some(known) == newest || Some(known.next()) == newest);
        let known = known.next();
        let knows_any = self.servers[1].node.position().is_some();
        if let Some(known) = known
            && knows_any
            && !self.log.has_no_leader
        {
            self.log.lose(known);
            for index in 0..SERVERS {
                self.disconnect(index)?;
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, index: usize) -> Result<(), String> {
        let server = &mut self.servers[index];
        if server.is_dead || !server.is_connected {
            return Ok(());
        }
        if server.paused_until > self.now {
            // It learns so when it goes on.
            let (later, epoch) = (server.paused_until, server.epoch + 1);
            server.epoch = epoch;
            let input = Input::Disconnected;
            self.schedule(later, Event::Deliver(index, epoch, input));
            self.servers[index].is_connected = false;
            let later = later + self.within(1_000_000);
            self.schedule(later, Event::Connect(index, epoch));
            return Ok(());
        }
        let epoch = self.servers[index].epoch;
        self.deliver(index, epoch, Input::Disconnected)?;
        self.connect_later(index);
        Ok(())
    }

    fn connect_later(&mut self, index: usize) {
        let server = &mut self.servers[index];
        server.is_connected = false;
        server.epoch += 1;
        let epoch = server.epoch;
        let later = self.now + self.within(1_000_000);
        self.schedule(later, Event::Connect(index, epoch));
    }

    fn kill(&mut self, index: usize) {
        let server = &mut self.servers[index];
        if !server.is_dead {
            server.is_dead = true;
            server.is_connected = false;
            self.log.forget(&origin_id(index));
            let later = self.now + self.within(3_000_000);
            self.schedule(later, Event::Revive(index));
        }
    }

    fn be_calm(&mut self) {
        self.is_calm = true;
        self.log.has_no_leader = false;
    }

    /// Whether something goes wrong that does so `often` in a thousand times; never in calm times.
    fn is_unlucky(&mut self, often: u64) -> bool {
        !self.is_calm && self.rng.u64(..1_000) < often
    }

    fn within(&mut self, us: u64) -> Duration {
        Duration::from_micros(self.rng.u64(..us))
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.insert((at.max(self.now), self.count), event);
    }
}

fn origin_id(index: usize) -> String {
    format!("origin {index}")
}

fn request(command: &Command) -> Request {
    match command {
        Command::Append { message, .. } => Request::Append { message: *message },
        Command::Get(seq) => Request::Get(*seq),
        &Command::GetLast { look, subject } => Request::GetLast { look, subject },
        Command::Inspect => Request::Inspect,
    }
}

const SYMBOLS: [&str; 4] = ["A/USDT", "B/USDT", "C/USDT", "D/USDT"];

/// How many servers there are, and how many of them are origins.
const SERVERS: usize = 5;
const ORIGINS: usize = 2;

/// More would be a storm: a minute takes less than a fifth of it.
const EVENTS_MAX: u64 = 200_000;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// When the faults end, and when everything ends.
const CALM: Duration = Duration::from_secs(40);
const END: Duration = Duration::from_secs(60);

/// The wall clock at the start.
const START_US: u64 = 1_732_270_000_000_000;
