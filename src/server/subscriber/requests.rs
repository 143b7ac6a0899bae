//! The messages of an open client, and what they change.

use std::io::ErrorKind;

use tungstenite::{Error, Message};

use crate::frame;
use crate::server::close::CloseReason;
use crate::server::context::Context;
use crate::server::hub::{Hub, Reading};
use crate::server::outbox::{CodecStream, Outbox};
use crate::server::protocol::{self, Change, Delivery, Reply};
use crate::server::socket::{Deed, Socket};
use crate::server::subscriber::codec::Codec;
use crate::server::subscriber::{Progress, Subscriber};

impl Subscriber {
    /// Takes the bytes that arrived, and answers the messages in them.
    pub(crate) fn on_bytes<S: Socket>(
        &mut self,
        slot: usize,
        bytes: &[u8],
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        let mut codec = self
            .codec
            .take()
            .unwrap_or_else(|| Box::new(Codec::new(context.config)));
        let frames = codec.boundaries.advance(bytes);
        if !self.allowance.take(frames, context) {
            return Err(CloseReason::Flood);
        }
        self.read_messages(slot, codec, bytes, outbox, context)
    }

    /// Stops reading from the client until it takes its answers.
    pub(crate) fn hold(&mut self, context: &Context<'_>) {
        self.allowance.hold(context);
    }

    /// Everything that it sent has been read.
    pub(crate) fn release(&mut self) {
        self.allowance.release();
    }

    /// Whether there are messages that wait for room for the answers before them, or for a turn
    /// with less work.
    pub(crate) fn has_backlog(&self) -> bool {
        self.codec.as_ref().is_some_and(|codec| codec.halted)
    }

    /// Answers the messages that had to wait.
    pub(crate) fn on_backlog<S: Socket>(
        &mut self,
        slot: usize,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        let Some(mut codec) = self.codec.take() else {
            return Ok(Progress::Open);
        };
        let backlog = std::mem::take(&mut codec.backlog);
        self.read_messages(slot, codec, &backlog, outbox, context)
    }

    /// Answers messages one by one, as long as the client takes the answers and is not owed much,
    /// and this turn of the loop has room for the work.
    fn read_messages<S: Socket>(
        &mut self,
        slot: usize,
        mut codec: Box<Codec>,
        bytes: &[u8],
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        let mut stream = CodecStream {
            input: bytes,
            outbox,
            now: context.now,
        };
        codec.halted = loop {
            if self.is_owed_much() {
                break true;
            }
            match codec.websocket.read(&mut stream) {
                Ok(message) => {
                    let progress = self.on_message(slot, &message, stream.outbox, context)?;
                    if progress == Progress::Finished {
                        return Ok(progress);
                    }
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) => return Err(error.into()),
            }
            if stream.outbox.has_pending() || context.hub.is_overworked() {
                break true;
            }
        };
        if codec.halted {
            // Messages that wait for the server are not a flood when their turn comes.
            self.allowance.hold(context);
        }
        if codec.halted || !codec.boundaries.at_rest() {
            codec.backlog = stream.input.to_vec();
            self.codec = Some(codec);
        }
        Ok(Progress::Open)
    }

    /// Handles a whole message. Tungstenite answers pings and closes by itself.
    fn on_message<S: Socket>(
        &mut self,
        slot: usize,
        message: &Message,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        context.counters.messages += 1;
        outbox.socket().note(Deed::Read);
        match message {
            Message::Text(text) => self.on_request(slot, text, outbox, context),
            Message::Binary(_) => Err(CloseReason::Binary),
            Message::Pong(payload) => {
                self.on_pong(payload, context.heartbeat);
                Ok(Progress::Open)
            }
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => Ok(Progress::Open),
        }
    }

    fn on_request<S: Socket>(
        &mut self,
        slot: usize,
        text: &str,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        context.hub.worked(text.len() * SYMBOLS_PER_BYTE);
        let mut out = Vec::new();
        let Reply { text, change } =
            protocol::answer(text, context.hub, self.list, self.delivery(context.hub));
        if let Some(change) = change {
            // It still gets what it can of the old list. If that fails, it reads neither.
            if outbox.is_clear() {
                let pumped = self.pump(slot, outbox, context);
                if !matches!(pumped, Ok(Progress::Open)) {
                    context.hub.give_back(change.list);
                    return pumped;
                }
            }
            frame::text(&mut out, &text);
            let position = self.unread_from(context.hub);
            outbox.socket().note(Deed::Change(position));
            self.change(slot, change, context);
            let is_paid = self.pay(context);
            out.extend_from_slice(context.packing.end());
            self.is_behind = !is_paid || !self.is_at_head(context.hub);
            self.drop_special();
            context.hub.set_news(slot, self.is_behind);
        } else {
            frame::text(&mut out, &text);
        }
        let sent = outbox.send(&out, context.now);
        sent.map_err(CloseReason::Failed)?;
        Ok(Progress::Open)
    }

    fn on_pong(&mut self, payload: &[u8], heartbeat: u32) {
        // An unsolicited pong is allowed and has no meaning (RFC 6455 section 5.5.3).
        let number = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse().ok());
        self.ponged = number
            .filter(|&number| number <= heartbeat)
            .unwrap_or(0)
            .max(self.ponged);
    }

    /// Takes the symbols added since its list was made that its patterns match, or tells the client
    /// that there is no room for them.
    pub(crate) fn refresh(&mut self, slot: usize, context: &mut Context<'_>) {
        if self.is_owed_much() {
            self.special().must_refresh = true;
            return;
        }
        match context.hub.refresh(self.list) {
            Ok(None) => {}
            Ok(Some(list)) => {
                let delivery = self.delivery(context.hub);
                self.change(slot, Change { list, delivery }, context);
                context.hub.set_news(slot, true);
            }
            Err(error) => {
                let notice = protocol::notice(&error.to_string());
                self.special().notice = Some(notice.into());
                context.hub.set_news(slot, true);
            }
        }
    }

    /// Whether it has yet to take added symbols; the caller takes them now.
    pub(super) fn must_refresh(&mut self) -> bool {
        let special = self.special.as_mut();
        special.is_some_and(|special| std::mem::take(&mut special.must_refresh))
    }

    /// How it gets its messages.
    fn delivery(&self, hub: &Hub) -> Delivery {
        Delivery {
            every: self
                .reading()
                .period
                .map(|period| hub.period_length(period)),
            batches: self.batches(),
        }
    }

    /// Changes its list or its delivery. Its position stays: it is owed only what is new to it.
    fn change(&mut self, slot: usize, change: Change, context: &mut Context<'_>) {
        self.pin(context.hub);
        let from = self.reading();
        let mut debt = self.take_debt();
        context.hub.forgive(&mut debt, change.list);
        if self.awaited().is_none() {
            let lists = (self.list, change.list);
            context
                .hub
                .owe_for_changing(&mut debt, lists, self.position);
        }
        if from.period.is_some() {
            // What is new to it must not wait for a beat, so it gets now what the beat would bring.
            if self.awaited().is_none() {
                context
                    .hub
                    .owe_for_skipping(&mut debt, change.list, self.position);
            }
            self.position = context.hub.tape().head();
            if change.delivery.every.is_none() {
                // The skipped frames may include pings.
                self.ponged = context.heartbeat;
            }
        }
        let same = self.delivery(context.hub).every == change.delivery.every;
        let period = match change.delivery.every {
            Some(_) if same => from.period,
            every => every.map(|every| context.hub.take_period(slot, every)),
        };
        let list = change.list;
        context.hub.change(slot, from, Reading { list, period });
        self.list = list;
        if period != from.period || change.delivery.batches != self.batches() {
            self.set_delivery(period, change.delivery.batches, context.hub);
        }
        self.owe(debt);
    }
}

/// Reading a byte of a request costs about as much as looking at this many symbols.
const SYMBOLS_PER_BYTE: usize = 5;
