//! An audience for the tests of feeds.

use std::time::Duration;

use ioloop::IoLoop;

use super::*;
use crate::tick::Tick;

/// Keeps what a feed publishes, and stops the loop when it has enough ticks.
pub(super) struct Audience {
    pub(super) ticks: Vec<Tick>,
    enough: usize,
    /// How many more symbols can be added.
    room: usize,
    sources: Sources,
}

impl Audience {
    /// An audience that has room for `room` more symbols.
    pub(super) fn new(enough: usize, room: usize) -> Self {
        Self {
            ticks: Vec::new(),
            enough,
            room,
            sources: Sources::default(),
        }
    }
}

impl Publish for Audience {
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick) {
        self.ticks.push(tick);
        if self.ticks.len() == self.enough {
            io_loop.stop();
        }
    }

    fn confirm(&mut self, _: &mut IoLoop<Self>, _: &str) {}

    fn list(&mut self, _: &mut IoLoop<Self>, symbols: &[String]) -> usize {
        let added = symbols.len().min(self.room);
        self.room -= added;
        symbols.len() - added
    }

    fn watch(&mut self, _: &mut IoLoop<Self>, _: Vec<Watched>) {}

    fn delist(&mut self, _: &mut IoLoop<Self>, _: &[String]) {}
}

impl HasSources for Audience {
    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

/// The ticks of a feed, up to the end of the turn in which there were `enough` of them.
pub(super) fn listen(feed: impl Feed<Audience> + 'static, enough: usize) -> Vec<Tick> {
    let mut io_loop = IoLoop::new().expect("a poll descriptor");
    io_loop.call_later(Duration::from_secs(5), |_, _| panic!("the feed is silent"));
    let mut audience = Audience::new(enough, 0);
    Box::new(feed).start(&mut io_loop);
    io_loop.start(&mut audience).expect("polling works");
    audience.ticks
}
