//! Drives a server that is one of many: what the broker brings goes to the node, and what the node
//! says is done on the tape.

use std::time::Duration;

use ioloop::fiber::{Exit, STACK_SIZE};
use ioloop::{IoLoop, PeriodicCallback};

use crate::cluster::{
    Effect, Link, LinkEvent, Node, Note, OriginSettings, Outbox, Printed, Role, SymbolInfo,
};
use crate::feed::{Publish, Selection, Watched};
use crate::http_client::{HttpClient, NoProxy, TransportConfig};
use crate::server::Server;
use crate::server::hub::Stamp;
use crate::server::relay::{Member, Relay};
use crate::server::socket::Transport;
use crate::tick::unix_us;

impl<S: Transport> Server<S> {
    /// Makes this server one of many: it prints what their log has, and nothing else.
    ///
    /// # Errors
    /// When there is no memory for the fiber that keeps the connection, or no certificates to trust.
    pub fn join(&mut self, io_loop: &mut IoLoop<Self>, member: Member) -> std::io::Result<()> {
        let Member {
            role,
            broker,
            timeout,
            roots,
            selection,
            lists_later,
        } = member;
        let transport = TransportConfig {
            proxy: None,
            no_proxy: NoProxy::default(),
            timeout: broker.connect_timeout,
            roots,
        };
        let http_client = HttpClient::new(io_loop.registrar(), transport, None);
        let traffic = broker.traffic.clone();
        let url = broker.url.clone();
        let link = Link {
            http_client: http_client.map_err(std::io::Error::other)?,
            settings: broker,
            is_origin: role != Role::Edge,
            timeout,
            outbox: Outbox::default(),
        };
        let node = match role {
            Role::Edge => Node::edge(),
            Role::Origin { takeover_after } => {
                log::info!("publishing to the log {url}");
                Node::origin(OriginSettings {
                    id: name(),
                    takeover_after,
                    lists_later,
                    wall_us: unix_us,
                })
            }
        };
        let mut relay = Relay::new(node, link.outbox.clone(), selection, &url);
        relay.counters.traffic = traffic;
        let fiber = io_loop.spawn(
            STACK_SIZE,
            move |emitter| link.run(emitter),
            Self::on_link_event,
            |server: &mut Self, io_loop, exit| {
                if !matches!(exit, Exit::Cancelled) {
                    let why = "the connection to the broker ended for good".to_owned();
                    server.give_up(io_loop, why);
                }
            },
        )?;
        relay.fiber = Some(fiber);
        self.relay = Some(Box::new(relay));
        PeriodicCallback::start(io_loop, ADVANCE_EVERY, Self::advance_relay);
        Ok(())
    }

    /// Why this server cannot be one of many, if it cannot.
    pub fn failure(&self) -> Option<&str> {
        self.relay.as_ref()?.failure.as_deref()
    }

    fn on_link_event(&mut self, io_loop: &mut IoLoop<Self>, event: LinkEvent) {
        let now = io_loop.time();
        let Some(relay) = &mut self.relay else {
            return;
        };
        match event {
            LinkEvent::Input(input) => {
                relay.counters.count(&input, now);
                relay.node.take(input, now);
                self.advance_relay(io_loop);
            }
            LinkEvent::Up {
                server,
                version,
                after,
            } => relay.on_up(server, &version, after),
            LinkEvent::Down {
                server,
                why,
                reason,
            } => {
                relay.counters.reconnected(reason);
                relay.on_down(&server, &why, reason);
            }
            LinkEvent::Hopeless(why) => self.give_up(io_loop, format!("broker: {why}")),
            LinkEvent::Log(state) => relay.watch.take_state(state),
            LinkEvent::Denied(denial) => relay.watch.deny(denial),
            LinkEvent::Granted(denial) => relay.watch.grant(&denial),
            LinkEvent::Forged(why) => {
                let note = Note::Foreign(why);
                relay.counters.note(&note);
                log_note(&note);
            }
            LinkEvent::Complaint(text) => log::warn!("broker: {text}"),
        }
    }

    fn give_up(&mut self, io_loop: &mut IoLoop<Self>, why: String) {
        if let Some(relay) = &mut self.relay {
            relay.failure = Some(why);
            io_loop.stop();
        }
    }

    /// Lets the node do what is due, in the next turn: what one turn brings goes into one message.
    pub(super) fn advance_relay_soon(&mut self, io_loop: &mut IoLoop<Self>) {
        if let Some(relay) = &mut self.relay
            && !std::mem::replace(&mut relay.is_due, true)
        {
            io_loop.add_callback(Self::advance_relay);
        }
    }

    pub(super) fn advance_relay(&mut self, io_loop: &mut IoLoop<Self>) {
        let now = io_loop.time();
        let Some(relay) = &mut self.relay else {
            return;
        };
        relay.is_due = false;
        let asks = relay.look_for_obstacles(now);
        let hub = &self.hub;
        let silence = |symbol: &str| {
            let silence = hub.stale_for(symbol, now)?;
            Some(silence.as_millis() as u64)
        };
        relay.node.advance(now, &silence);
        let commands = relay.node.take_commands();
        let has_something = asks || !commands.is_empty();
        if !commands.is_empty() {
            relay.counters.note_commands(&commands, now);
            relay.outbox.put(commands);
        }
        if has_something && let Some(fiber) = &relay.fiber {
            fiber.nudge(io_loop);
        }
        relay.effects.extend(relay.node.take_effects());
        if !relay.is_applying {
            self.apply_effects(io_loop);
        }
        self.resume_sources(io_loop);
    }

    /// Lets the sources go on that waited for room in the log.
    fn resume_sources(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.waiting_sources.is_empty() && self.has_room(io_loop) {
            for go_on in std::mem::take(&mut self.waiting_sources) {
                io_loop.add_callback(go_on);
            }
        }
    }

    /// Does what the log says on the tape, a turn's share at a time.
    fn apply_effects(&mut self, io_loop: &mut IoLoop<Self>) {
        for _ in 0..EFFECTS_PER_TURN {
            let effect = self
                .relay
                .as_mut()
                .and_then(|relay| relay.effects.pop_front());
            let Some(effect) = effect else {
                break;
            };
            self.apply_effect(io_loop, effect);
        }
        let Some(relay) = &mut self.relay else {
            return;
        };
        relay.is_applying = !relay.effects.is_empty();
        if relay.is_applying {
            io_loop.add_callback(Self::apply_effects);
        }
    }

    fn apply_effect(&mut self, io_loop: &mut IoLoop<Self>, effect: Effect) {
        let now = io_loop.time();
        match effect {
            Effect::Print(printed) => self.print(io_loop, &printed),
            Effect::Show { symbol, info } => self.show(io_loop, symbol, info),
            Effect::Hide(symbol) => self.delist_now(io_loop, &[symbol]),
            Effect::Stand(symbol) => {
                if self.hub.confirm(&symbol, now) {
                    self.broadcast_soon(io_loop);
                }
            }
            Effect::Beat(stale) => {
                if self.hub.confirm_all_but(&stale, now) {
                    self.broadcast_soon(io_loop);
                }
            }
            Effect::CompleteAfter(stamp) => self.hub.lacks_up_to(stamp),
            Effect::Ready => {
                log::info!("an origin writes the log: clients may come");
                if let Some(relay) = &self.relay {
                    relay.warn_of_unmatched();
                }
            }
            Effect::Note(note) => {
                if let Some(relay) = &mut self.relay {
                    relay.counters.note(&note);
                }
                log_note(&note);
                if matches!(note, Note::Left { .. }) {
                    self.on_removed(io_loop);
                }
            }
        }
    }

    /// Prints a tick of the log, if its symbol is served.
    fn print(&mut self, io_loop: &mut IoLoop<Self>, printed: &Printed) {
        let stamp = Stamp {
            seq: printed.seq,
            sent: printed.sent,
        };
        let Some(json) = self.hub.print_as(&printed.tick, stamp, io_loop.time()) else {
            return;
        };
        self.counters.ticks += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.record_new(json, printed.sent);
        }
        if let Some(relay) = &mut self.relay
            && relay.node.is_ready()
        {
            let lag = self.hub.wall_us().saturating_sub(printed.sent);
            relay.counters.lag.record(Duration::from_micros(lag));
        }
        self.broadcast_soon(io_loop);
    }

    fn show(&mut self, io_loop: &mut IoLoop<Self>, symbol: String, info: SymbolInfo) {
        let is_selected = self
            .relay
            .as_ref()
            .is_some_and(|relay| relay.selection.has(&symbol));
        if !is_selected {
            return;
        }
        if self.list_now(io_loop, std::slice::from_ref(&symbol)) > 0 {
            log::warn!("cannot serve {symbol}: no room for more symbols");
            return;
        }
        if let Some(stale_after) = info.stale_after {
            let watched = Watched {
                symbol,
                market: info.market,
                stale_after: Duration::from_millis(stale_after),
            };
            self.watch_now(io_loop, vec![watched]);
        }
    }

    /// Serves other symbols of the log from now on. Clients get the price of a new one with its next
    /// tick, since the tape is as the log is. Nobody resumes before now, because the tape lacks the
    /// ticks that the new ones had meanwhile.
    pub(super) fn select(&mut self, io_loop: &mut IoLoop<Self>, entries: &[String]) {
        let Some(relay) = &mut self.relay else {
            return;
        };
        let selection = match Selection::parse(entries) {
            Ok(selection) => selection,
            Err(error) => return log::warn!("{error}; keeping the current symbols"),
        };
        let (added, gone) = relay.select(selection);
        relay.warn_of_unmatched();
        log::info!(
            "symbols of the log added: {}, removed: {}",
            added.len(),
            gone.len()
        );
        if !added.is_empty() {
            self.hub.lacks_up_to(self.hub.last_stamp());
        }
        for (symbol, info) in added {
            self.show(io_loop, symbol, info);
        }
        self.delist_now(io_loop, &gone);
    }

    /// Hands over, before this server ends.
    pub(super) fn leave_relay(&mut self, io_loop: &mut IoLoop<Self>) {
        if let Some(relay) = &mut self.relay {
            relay.node.leave();
            self.advance_relay(io_loop);
        }
    }
}

/// The name of this server in the log: unlike that of any other process. In containers the number of
/// a process tells little.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let process = std::process::id();
    format!("{}-{process}-{:06x}", host.trim(), fastrand::u32(..1 << 24))
}

fn log_note(note: &Note) {
    match note {
        Note::Follows { origin } => log::info!("reading what the origin {origin} writes"),
        Note::Leads => log::info!("this server is the leading origin: it writes the log"),
        Note::Deposed => log::warn!("deposed: another origin writes the log now"),
        Note::Left { led: true } => log::info!("left the log: the next origin need not wait"),
        Note::Left { led: false } => log::info!("no longer standing by"),
        Note::Gap { missed } => log::warn!("lost {} of the log", counted(*missed, "tick")),
        Note::LogLost => log::warn!("the log was lost, and a new one began"),
        Note::Foreign(why) => log::warn!("skipped a message of another program: {why}"),
        Note::Disagrees(symbol) => log::error!("the log contradicts itself about {symbol}"),
        Note::Fetched(count) => log::info!("fetched {}", counted(*count, "missing message")),
        Note::NoOrigin => log::debug!("the log has no message of an origin yet"),
    }
}

/// `1 tick`, `2 ticks`.
fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// How often the node looks whether something is due.
const ADVANCE_EVERY: Duration = Duration::from_millis(25);

/// How much is done on the tape in one turn: less than a millisecond's work.
const EFFECTS_PER_TURN: usize = 500;
