//! Whether a source that can wait has to.
//!
//! A file and a pipe can wait, so none of their prices need ever make room for newer ones: their feeds
//! ask here before each price. Others, such as exchanges, cannot, and do not ask.

use std::time::Instant;

use super::{Duty, Node};
use crate::cluster::message::Message;
use crate::cluster::node::LOOK_AFTER;

impl Node {
    /// Whether a source that can wait may bring its next price. It has to wait while much is waiting to
    /// be written, and while nobody writes. While another origin writes, it goes on, so as to be
    /// near the place where this server may take over.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.origin.as_ref().is_none_or(|origin| match origin.duty {
            Duty::Leads => !origin.is_leaving && origin.waiting.has_room(),
            Duty::Follows => self.hears_other(now),
            Duty::Opens | Duty::Left => false,
        })
    }

    /// Whether another origin writes.
    pub(super) fn hears_other(&self, now: Instant) -> bool {
        self.origin.as_ref().is_some_and(|origin| {
            let is_recent = origin.led.is_some_and(|led| now < led + LOOK_AFTER);
            origin.duty == Duty::Follows && !origin.is_vacant && is_recent
        })
    }

    /// Notes that another origin writes, if the message that has just come is of one. What is fetched
    /// may be old, so it does not count.
    pub(in crate::cluster::node) fn note_other(&mut self, payload: &[u8], now: Instant) {
        if let Some(origin) = &mut self.origin
            && origin.duty == Duty::Follows
            && Message::term(payload).is_some()
        {
            origin.led = Some(now);
        }
    }

    /// Whoever wrote cannot be heard any more.
    pub(super) fn forget_other(&mut self) {
        if let Some(origin) = &mut self.origin {
            origin.led = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::Desk;
    use super::*;
    use crate::cluster::node::Input;

    #[test]
    fn a_source_that_waits_for_room_loses_no_price() {
        let mut desk = Desk::new(true);
        assert!(!desk.has_room());
        desk.lead();
        for _ in 0..3 {
            let mut published = 0;
            while desk.has_room() {
                desk.publish_silently("A");
                published += 1;
            }
            assert!(published > 100, "{published}");
            // The first ones are under way.
            desk.begin_to_write();
            assert!(desk.has_room());
            while desk.has_room() {
                desk.publish_silently("A");
            }
            desk.answer_all();
        }
        assert_eq!(desk.newest("A"), desk.published);
        assert_eq!(desk.node.waiting(), (0, 0));
    }

    #[test]
    fn what_waits_is_kept_when_the_log_is_lost() {
        let mut desk = Desk::new(true);
        desk.lead();
        for _ in 0..2 {
            while desk.has_room() {
                desk.publish_silently("A");
            }
            desk.begin_to_write();
        }
        desk.lose_log();
        desk.pass(Duration::from_secs(1));
        assert_eq!(desk.newest("A"), desk.published);
        assert_eq!(desk.node.waiting(), (0, 0));
    }

    #[test]
    fn a_source_goes_on_while_another_origin_writes_and_waits_when_nobody_does() {
        let mut first = Desk::new(true);
        first.lead();
        let mut second = first.successor(true);
        second.pass(Duration::from_millis(100));
        // What it has joined with may be old.
        assert!(!second.has_room());
        first.publish("A");
        second.hear(&first);
        assert!(second.has_room());
        second.pass(LOOK_AFTER);
        assert!(!second.has_room());
        first.publish("A");
        second.hear(&first);
        assert!(second.has_room());
        second.take(Input::Disconnected);
        assert!(!second.has_room());
    }

    #[test]
    fn prices_make_room_for_newer_ones_uncounted_only_while_another_origin_writes() {
        let mut first = Desk::new(true);
        first.lead();
        let mut second = first.successor(true);
        second.pass(Duration::from_millis(100));
        second.publish_silently("A");
        second.publish_silently("A");
        second.publish_silently("B");
        assert_eq!(second.node.waiting(), (0, 1));
        first.publish("A");
        second.hear(&first);
        second.publish_silently("A");
        assert_eq!(second.node.waiting(), (0, 1));
    }

    #[test]
    fn an_origin_that_leaves_reads_no_more_and_writes_what_waits() {
        let mut desk = Desk::new(true);
        desk.lead();
        desk.begin_to_write();
        while desk.has_room() {
            desk.publish_silently("A");
        }
        desk.node.leave();
        assert!(!desk.has_room());
        desk.pass(Duration::from_secs(1));
        assert!(desk.node.has_left() && !desk.has_room());
        assert_eq!(desk.newest("A"), desk.published);
    }
}
