//! The server and its surroundings: a loop, a clock, a network and the judge.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ioloop::{Driver, IoLoop, ManualClock, Ready};
use mio::{Poll, Token};

use crate::feed::{Publish, Watched};
use crate::server::Server;
use crate::server::tests::simulation::client::Client;
use crate::server::tests::simulation::judge::Judge;
use crate::server::tests::simulation::net::{Id, Nature, Net};
use crate::server::tests::simulation::setting::{STALE_AFTER, Setting, SimServer};
use crate::server::tests::simulation::socket::SimListener;
use crate::server::tests::simulation::tls::Authority;
use crate::tick::{Price, Tick};

/// A whole simulation except the dice.
pub(super) struct World {
    pub(super) server: SimServer,
    pub(super) io_loop: IoLoop<SimServer>,
    pub(super) net: Net,
    pub(super) judge: Judge,
    pub(super) tls: Option<Authority>,
    clock: ManualClock,
    events_per_turn: usize,
}

/// Turns the loop: fetches events from the network, and lets the judge check each step.
struct Hand<'w> {
    net: &'w Net,
    judge: &'w mut Judge,
    most: usize,
}

impl World {
    pub(super) fn new(seed: u64, mut setting: Setting) -> Self {
        let tls = setting.is_secure.then(Authority::new);
        setting.config.tls = tls.as_ref().map(Authority::files);
        let clock = ManualClock::new(Instant::now());
        let net = Net::new(clock.clone(), !seed);
        net.set_accept(setting.accept.0, setting.accept.1);
        let io_loop = IoLoop::by_hand(clock.clone(), setting.events_per_turn);
        let mut io_loop = io_loop.expect("a poll descriptor");
        let judge = Judge::new(net.clone(), clock.clone(), &setting);
        let (config, names) = (setting.config, setting.names);
        let listener = SimListener::new(net.clone());
        let server = Server::accepting(&mut io_loop, listener, config, names.clone());
        let mut server = server.expect("the simulation registers with no system");
        server.scratch = vec![0; setting.scratch].into_boxed_slice();
        server.hub.set_wall_clock(Judge::wall);
        server.watch(
            &mut io_loop,
            names.iter().map(|name| watched(name)).collect(),
        );
        Self {
            server,
            io_loop,
            net,
            judge,
            tls,
            clock,
            events_per_turn: setting.events_per_turn,
        }
    }

    /// Turns the loop once, with a turn's share of events or with all of them.
    pub(super) fn turn(&mut self, whole: bool) {
        let judge = &mut self.judge;
        judge.limits.on_turn(judge.now, judge.clients.len());
        let mut hand = Hand {
            net: &self.net,
            judge: &mut self.judge,
            most: if whole {
                usize::MAX
            } else {
                self.events_per_turn
            },
        };
        let turned = self.io_loop.turn(&mut self.server, &mut hand);
        turned.expect("the network always answers");
    }

    /// Lets time pass on both clocks.
    pub(super) fn pass(&mut self, by: Duration) {
        self.clock.advance(by);
        self.judge.begin_step();
        Judge::set_wall(Judge::wall() + by.as_micros() as u64);
    }

    /// A client connects, if the server still listens.
    pub(super) fn connect(&mut self, host: u8, nature: Nature, client: Client) -> Option<Id> {
        let id = self.net.connect(host, nature)?;
        self.judge.note("join");
        self.judge.clients.insert(id, client);
        Some(id)
    }

    /// A feed publishes a price.
    pub(super) fn publish(&mut self, symbol: usize, price: &str) {
        let tick = Tick::new(
            &*self.judge.model.symbols[symbol].name,
            Price::parse(price).expect("a number"),
            7,
        );
        self.server.publish(&mut self.io_loop, tick);
        self.judge.on_published(symbol, price);
        self.judge.look(&mut self.server);
    }

    /// A feed confirms that a price has not changed.
    pub(super) fn confirm(&mut self, symbol: usize) {
        let name = self.judge.model.symbols[symbol].name.clone();
        self.server.confirm(&mut self.io_loop, &name);
        self.judge.on_confirmed(symbol);
        self.judge.look(&mut self.server);
    }

    /// A feed adds symbols or lists some again. It watches those without a source in their name.
    pub(super) fn list(&mut self, names: &[String]) {
        let mut to_watch = Vec::new();
        for name in names {
            let is_watched = !name.contains(':');
            if self.judge.on_listed(name, is_watched) && is_watched {
                to_watch.push(watched(name));
            }
        }
        self.server.list(&mut self.io_loop, names);
        self.server.watch(&mut self.io_loop, to_watch);
        self.judge.look(&mut self.server);
    }

    /// A feed delists symbols.
    pub(super) fn delist(&mut self, names: &[String]) {
        for name in names {
            self.judge.on_delisted(name);
        }
        self.server.delist(&mut self.io_loop, names);
        self.judge.look(&mut self.server);
    }

    /// The certificate is read again, and new clients are shown the new one.
    pub(super) fn reload(&mut self) {
        self.judge.note("reload");
        if let Some(tls) = &mut self.server.tls {
            tls.reload();
        }
    }

    /// The process is asked to stop.
    pub(super) fn shut_down(&mut self) {
        self.judge.note("shut down");
        self.judge.on_shut_down();
        self.server.shut_down(&mut self.io_loop);
        self.judge.look(&mut self.server);
    }
}

impl Driver<SimServer> for Hand<'_> {
    fn poll(
        &mut self,
        _: &mut Poll,
        _: Option<Duration>,
        ready: &mut VecDeque<(Token, Ready)>,
    ) -> io::Result<()> {
        self.judge.on_timeouts();
        let events = self.net.poll(self.most);
        self.judge.on_events(&events);
        ready.extend(events);
        Ok(())
    }

    fn after_each(&mut self, server: &mut SimServer, _: &mut IoLoop<SimServer>) {
        self.judge.look(server);
    }
}

fn watched(name: &str) -> Watched {
    Watched {
        symbol: name.to_owned(),
        market: name.to_owned(),
        stale_after: STALE_AFTER,
    }
}
