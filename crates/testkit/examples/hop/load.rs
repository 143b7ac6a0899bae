//! All clients, on one thread: they read, hop from edge to edge, and come back when a connection is
//! lost. This counts what they see.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use serde_json::Value;

use crate::client::{Change, Client, now_us};
use crate::http;
use crate::is_interrupted;
use crate::options::Options;
use crate::seen::{LATENCY_MAX, Seen};
use crate::turns::{Moment, Turns};
use crate::wire::{TickText, split_frame, tick};

/// The servers that clients go to, by tape: the edges, and a single server to compare them with.
pub(crate) type Tapes = Vec<Vec<SocketAddr>>;

/// The clients of all tapes.
pub(crate) struct Load<'a> {
    options: &'a Options,
    poll: Poll,
    /// The clients of each tape, one after the other.
    clients: Vec<Client>,
    /// Where the clients of each tape begin.
    begins: Vec<usize>,
    tapes: Tapes,
    /// When clients have something to do by themselves. What is no longer due stays in here.
    agenda: BinaryHeap<Reverse<(Instant, usize)>>,
    symbols: HashMap<Vec<u8>, usize>,
    /// What there is to know of each symbol of the edges, for stale events.
    silences: Vec<Silence>,
    turns: Turns,
    /// The tape that is being measured, and what its servers had done by then.
    measured_from: Option<(usize, (u64, f64))>,
    seen: Vec<Seen>,
    begun: Instant,
}

/// When the newest tick of a symbol came first, its stamp, and which edges have called the symbol
/// stale since.
struct Silence {
    ticked: Instant,
    sent: u64,
    called: Vec<bool>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(options: &'a Options, tapes: Tapes, begun: Instant) -> io::Result<Self> {
        let mut clients = Vec::new();
        let mut begins = Vec::new();
        for (tape, servers) in tapes.iter().enumerate() {
            begins.push(clients.len());
            let servers: Rc<[SocketAddr]> = servers.as_slice().into();
            // A single server gets as many as one of the edges.
            let count = match tape {
                0 => options.clients,
                _ => options.clients / options.edges,
            };
            clients.extend((0..count).map(|number| {
                let symbol = options.symbols.get(number / 2 % options.symbols.len());
                let symbol = symbol.filter(|_| number % 2 == 1).cloned();
                // Both kinds of clients at each server.
                Client::new(&servers, number / 2, symbol)
            }));
        }
        let seen = tapes
            .iter()
            .map(|servers| Seen::new(servers.len(), options.kills.len()));
        Ok(Self {
            options,
            poll: Poll::new()?,
            clients,
            begins,
            agenda: BinaryHeap::new(),
            symbols: HashMap::new(),
            silences: Vec::new(),
            turns: Turns::new(tapes.len(), begun),
            measured_from: None,
            seen: seen.collect(),
            tapes,
            begun,
        })
    }

    /// Runs to the end, or until it is interrupted; returns what was seen of each tape.
    pub(crate) fn run(mut self) -> io::Result<Vec<Seen>> {
        let end = self.begun + self.options.length;
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; 64 << 10];
        loop {
            let now = Instant::now();
            if now >= end || is_interrupted() {
                return Ok(self.finish(now));
            }
            self.take_turns(now);
            self.keep_appointments(now);
            let next = self.agenda.peek().map_or(end, |Reverse((due, _))| *due);
            let until = next.min(end).min(self.turns.next().unwrap_or(end));
            let timeout = until.saturating_duration_since(now).min(TURN_MAX);
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                self.on_event(event.token().0, &mut scratch);
            }
        }
    }

    fn tape_of(&self, index: usize) -> usize {
        usize::from(self.begins.get(1).is_some_and(|begin| index >= *begin))
    }

    /// At the end of a turn, disconnects the clients of one tape and connects those of the next. Reads
    /// the CPU time of the servers at both ends of each turn.
    fn take_turns(&mut self, now: Instant) {
        while let Some((moment, tape)) = self.turns.take(now) {
            match moment {
                Moment::Come => self.come(tape, now),
                Moment::Measure => self.measured_from = Some((tape, self.usage(tape))),
                Moment::Go => {
                    self.measure();
                    self.go(tape);
                }
            }
        }
    }

    /// The ticks of a tape that came so far, and the CPU time of its servers.
    fn usage(&self, tape: usize) -> (u64, f64) {
        let cpu = self.tapes[tape]
            .iter()
            .filter_map(|&address| http::cpu(address));
        (self.seen[tape].ticks, cpu.sum())
    }

    /// Ends a measurement, if one has begun.
    fn measure(&mut self) {
        if let Some((tape, (ticks, cpu))) = self.measured_from.take() {
            let (ticks_now, cpu_now) = self.usage(tape);
            let measured = &mut self.seen[tape].measured;
            measured.0 += ticks_now - ticks;
            measured.1 += cpu_now - cpu;
        }
    }

    fn clients_of(&self, tape: usize) -> std::ops::Range<usize> {
        let end = self.begins.get(tape + 1).copied();
        self.begins[tape]..end.unwrap_or(self.clients.len())
    }

    fn come(&mut self, tape: usize, now: Instant) {
        let range = self.clients_of(tape);
        let (begin, count) = (range.start, range.len().max(1) as u32);
        for index in range {
            let client = &mut self.clients[index];
            client.heard = None;
            let hop = self.options.hop;
            client.next_hop = (!hop.is_zero()).then(|| {
                // Not all at once.
                now + hop + hop * (index - begin) as u32 / count
            });
            self.connect(index, now);
        }
    }

    fn go(&mut self, tape: usize) {
        for index in self.clients_of(tape) {
            self.clients[index].leave();
            self.clients[index].due = None;
        }
    }

    fn keep_appointments(&mut self, now: Instant) {
        while let Some(&Reverse((due, index))) = self.agenda.peek()
            && due <= now
        {
            self.agenda.pop();
            if self.clients[index].due == Some(due) {
                self.on_due(index, now);
            }
        }
    }

    fn on_due(&mut self, index: usize, now: Instant) {
        let client = &mut self.clients[index];
        if let Some(next) = &mut client.next_hop
            && client.due == Some(*next)
        {
            while *next <= now {
                *next += self.options.hop;
            }
            client.turn();
        } else if client.is_connecting() {
            // The server does not answer.
            client.turn();
        }
        self.connect(index, now);
    }

    fn connect(&mut self, index: usize, now: Instant) {
        let client = &mut self.clients[index];
        let connected = client.connect(self.poll.registry(), Token(index));
        let wait = if connected.is_ok() { ANSWER_MAX } else { RETRY };
        self.set_due(index, Some(now + wait));
    }

    fn set_due(&mut self, index: usize, due: Option<Instant>) {
        self.clients[index].due = due;
        if let Some(due) = due {
            self.agenda.push(Reverse((due, index)));
        }
    }

    fn on_event(&mut self, index: usize, scratch: &mut [u8]) {
        let tape = self.tape_of(index);
        let change = self.clients[index].advance(scratch);
        let seen = &mut self.seen[tape];
        match change {
            Change::None => {}
            Change::Opened => {
                seen.opened += 1;
                self.set_due(index, self.clients[index].next_hop);
            }
            Change::Refused => seen.refused += 1,
            Change::Lost => seen.lost += 1,
        }
        match change {
            Change::None | Change::Opened if self.clients[index].is_open() => {
                self.read_frames(tape, index);
            }
            Change::None | Change::Opened => {}
            Change::Refused | Change::Lost => self.go_elsewhere(index),
        }
    }

    /// Goes to the next server, soon.
    fn go_elsewhere(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.leave();
        client.turn();
        self.set_due(index, Some(Instant::now() + RETRY));
    }

    fn read_frames(&mut self, tape: usize, index: usize) {
        let (now, arrival) = (Instant::now(), now_us());
        let bytes = std::mem::take(&mut self.clients[index].bytes);
        let mut rest = bytes.as_slice();
        let mut is_open = true;
        while is_open && let Some((frame, behind)) = split_frame(rest) {
            rest = behind;
            match frame.first {
                0x81 => self.on_text(tape, index, frame.payload, (now, arrival)),
                0x89 => is_open = self.clients[index].pong(frame.payload).is_ok(),
                0x88 => is_open = false,
                _ => {}
            }
        }
        if is_open {
            let read = bytes.len() - rest.len();
            let client = &mut self.clients[index];
            client.bytes = bytes;
            client.bytes.drain(..read);
        } else {
            self.seen[tape].lost += 1;
            self.go_elsewhere(index);
        }
    }

    fn on_text(&mut self, tape: usize, index: usize, text: &[u8], moment: (Instant, u64)) {
        match tick(text) {
            Some(tick) => self.on_tick(tape, index, tick, moment),
            None if tape == 0 => self.on_event_text(index, text, moment.0),
            None => {}
        }
    }

    fn on_tick(
        &mut self,
        tape: usize,
        index: usize,
        tick: TickText<'_>,
        (now, arrival): (Instant, u64),
    ) {
        let symbol = self.symbol(tick.symbol, now);
        let (client, seen) = (&mut self.clients[index], &mut self.seen[tape]);
        let step = client.progress.take(symbol, tick.seq, tick.sent);
        seen.count(step, client.at());
        if tick.sent >= client.opened && self.turns.is_measuring() {
            let latency = arrival.saturating_sub(tick.sent);
            seen.latency
                .saturating_record(latency.clamp(1, LATENCY_MAX));
        }
        let silence = &mut self.silences[symbol];
        if tape == 0 && tick.sent > silence.sent {
            (silence.ticked, silence.sent) = (now, tick.sent);
            silence.called.fill(false);
        }
        self.end_pause(tape, index, now);
        self.clients[index].heard = Some(now);
    }

    /// Notes how long a client of all symbols got no tick.
    fn end_pause(&mut self, tape: usize, index: usize, now: Instant) {
        let client = &self.clients[index];
        let Some(heard) = client.heard.filter(|_| client.wants_all()) else {
            return;
        };
        let passed = now - self.begun;
        let kill = self.options.kills.partition_point(|kill| kill.at <= passed);
        let longest = &mut self.seen[tape].pauses[kill];
        *longest = (now - heard).max(*longest);
    }

    /// Ends what is being measured. What never came back is a pause up to now.
    fn finish(mut self, now: Instant) -> Vec<Seen> {
        self.measure();
        let tape = self.turns.tape();
        for index in self.clients_of(tape) {
            self.end_pause(tape, index, now);
        }
        self.seen
    }

    /// The number of a symbol.
    fn symbol(&mut self, name: &[u8], now: Instant) -> usize {
        if let Some(&number) = self.symbols.get(name) {
            return number;
        }
        let number = self.symbols.len();
        self.symbols.insert(name.to_vec(), number);
        self.silences.push(Silence {
            ticked: now,
            sent: 0,
            called: vec![false; self.tapes[0].len()],
        });
        number
    }

    /// Takes an event of an edge: a price has become stale, or is live again.
    fn on_event_text(&mut self, index: usize, text: &[u8], now: Instant) {
        let Ok(event) = serde_json::from_slice::<Value>(text) else {
            return;
        };
        let symbol = event["symbol"].as_str().unwrap_or_default();
        let number = self.symbol(symbol.as_bytes(), now);
        let edge = self.clients[index].at();
        let (silence, seen) = (&mut self.silences[number], &mut self.seen[0].at[edge]);
        match event["event"].as_str() {
            // Whoever joins later is told later.
            Some("stale") if !std::mem::replace(&mut silence.called[edge], true) => {
                seen.stale_events += 1;
                seen.silence = seen.silence.max(now - silence.ticked);
            }
            Some("live") => seen.live = Some(now),
            _ => {}
        }
    }
}

/// How long a client waits before it tries another server.
const RETRY: Duration = Duration::from_millis(20);

/// How long a server may take to answer a handshake.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How soon an interruption is noticed.
const TURN_MAX: Duration = Duration::from_millis(50);
