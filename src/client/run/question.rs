//! Runs a blocking query before a run (resolving the host, listing the symbols) in a fiber on a
//! loop of its own, so that signals are handled meanwhile.

use std::io;

use ioloop::fiber::STACK_SIZE;
use ioloop::{IoLoop, Ready, Registrar};
use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

/// The state of the loop.
struct Question<'a, T> {
    signals: Option<&'a mut Signals>,
    /// The result; `None` if a signal ended the query.
    found: Option<T>,
}

impl<T> Question<'_, T> {
    fn on_signal(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        let signals = self.signals.as_mut();
        if signals.is_some_and(|signals| signals.pending().next().is_some()) {
            io_loop.stop();
        }
    }
}

/// Runs `find` in a fiber; returns `None` if a signal ends it.
///
/// # Errors
/// When the system gives no poll descriptor or no stack.
pub(super) fn ask<T: 'static>(
    signals: Option<&mut Signals>,
    find: impl FnOnce(&Registrar) -> T + 'static,
) -> io::Result<Option<T>> {
    let mut io_loop = IoLoop::new()?;
    let mut question = Question {
        signals: None,
        found: None,
    };
    let mut token = None;
    if let Some(signals) = signals {
        token = Some(io_loop.add_handler(signals, Interest::READABLE, Question::on_signal)?);
        question.signals = Some(signals);
    }
    let registrar = io_loop.registrar().clone();
    io_loop.spawn(
        STACK_SIZE,
        move |emitter| emitter.emit(find(&registrar)).map_err(io::Error::other),
        |question: &mut Question<'_, T>, io_loop, found| {
            question.found = Some(found);
            io_loop.stop();
        },
        |_, io_loop, _| io_loop.stop(),
    )?;
    io_loop.start(&mut question)?;
    // The loop of the run takes the signals over.
    if let (Some(signals), Some(token)) = (question.signals, token) {
        io_loop.remove_handler(signals, token)?;
    }
    Ok(question.found)
}
