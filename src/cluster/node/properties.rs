//! Whatever comes from the broker, in whatever order: a node does not panic, and its tape has no
//! tick behind a later one. Some messages fit together by chance, others are noise.

use proptest::prelude::*;

use super::*;
use crate::cluster::message::NUMBER_END;
use crate::tick::{Price, Tick};

/// Something that befalls a node.
#[derive(Clone, Debug)]
enum Event {
    /// It comes without having been asked for, or too late.
    Input(Input),
    /// The answer to one of the commands that are due.
    Answer {
        command: prop::sample::Index,
        seq: u64,
        payload: Option<Vec<u8>>,
    },
    /// A price of an origin's source.
    Publish(u64),
    /// Time passes, in ms.
    Pass(u64),
    Leave,
}

/// A node, its clock, and what it wants answers to.
struct Scene {
    node: Node,
    now: Instant,
    commands: Vec<Command>,
    printed: u64,
}

impl Scene {
    fn new(is_origin: bool) -> Self {
        let node = if is_origin {
            Node::origin(OriginSettings {
                id: "a".to_owned(),
                takeover_after: Duration::from_millis(1_500),
                lists_later: false,
                wall_us: || 20,
            })
        } else {
            Node::edge()
        };
        Self {
            node,
            now: Instant::now(),
            commands: Vec::new(),
            printed: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input(input) => self.node.take(input, self.now),
            Event::Answer {
                command,
                seq,
                payload,
            } if !self.commands.is_empty() => {
                let index = command.index(self.commands.len());
                let command = self.commands.swap_remove(index);
                self.node.take(answer(&command, seq, payload), self.now);
            }
            Event::Answer { .. } => {}
            Event::Publish(price) => {
                let price = Price::parse(&price.to_string()).expect("a number");
                self.node.publish(Tick::new("A", price, 1), self.now);
            }
            Event::Pass(ms) => self.now += Duration::from_millis(ms),
            Event::Leave => self.node.leave(),
        }
        self.node.advance(self.now, &|_| None);
        self.commands.extend(self.node.take_commands());
        for effect in self.node.take_effects() {
            if let Effect::Print(printed) = effect {
                assert!(printed.sent > self.printed, "{printed:?} is out of order");
                self.printed = printed.sent;
            }
        }
    }
}

/// An answer to a command: a good one where there is a payload, and `seq` plays a part.
fn answer(command: &Command, seq: u64, payload: Option<Vec<u8>>) -> Input {
    match *command {
        Command::Append { message, .. } => match seq % 4 {
            0 => Input::Refused { message },
            1 => Input::NoLeader { message },
            2 => Input::NoLog,
            _ => Input::Stored { message },
        },
        Command::Get(seq) => Input::Got {
            seq,
            found: payload,
        },
        Command::GetLast { look, subject } => Input::GotLast {
            look,
            subject,
            found: payload.map(|payload| (seq, payload)),
        },
        Command::Inspect => Input::Inspected { last: seq },
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..12_u64, 1 => any::<u64>(), 1 => NUMBER_END - 2..NUMBER_END + 2]
}

fn position() -> impl Strategy<Value = Position> {
    (1..4_u64, 1..8_u64).prop_map(|(term, n)| Position { term, n })
}

fn ticks() -> impl Strategy<Value = Vec<Printed>> {
    let tick = ("[AB]", 1..6_u64, 1..40_u64).prop_map(|(symbol, seq, sent)| Printed {
        tick: Tick::new(&symbol, Price::parse("1").expect("a number"), 1),
        seq,
        sent,
    });
    prop::collection::vec(tick, 0..3)
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let key = (ticks(), 0..40_u64, 1..3_u32, prop::option::of(1..12_u64));
    let key = key.prop_map(|(ticks, sent, part, first)| {
        let symbols = ticks.iter().map(|printed| printed.tick.symbol.clone());
        let symbols = symbols.map(|symbol| (symbol.clone(), SymbolInfo::plain(&symbol)));
        Content::Key(Key {
            part: (part, 2),
            first,
            before: first,
            origin: "b".to_owned(),
            sent,
            symbols: symbols.collect(),
            stale: Silences::new(),
            ticks,
        })
    });
    let content = prop_oneof![
        4 => ticks().prop_map(|ticks| Content::Ticks { ticks, stale: None }),
        3 => key,
        1 => Just(Content::Leave),
    ];
    let message = (position(), prop::option::of(position()), content);
    message.prop_map(|(position, after, content)| {
        let message = Message {
            position,
            after,
            content,
        };
        message.to_bytes()
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![5 => message(), 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

fn input() -> impl Strategy<Value = Input> {
    let subject = prop::sample::select(vec![Subject::Ticks, Subject::Key]);
    let found = prop::option::of((number(), payload()));
    prop_oneof![
        2 => Just(Input::Connected),
        1 => Just(Input::Disconnected),
        8 => (number(), payload()).prop_map(|(seq, payload)| Input::Live { seq, payload }),
        1 => (number(), prop::option::of(payload()))
            .prop_map(|(seq, found)| Input::Got { seq, found }),
        1 => (0..5_u64, subject, found)
            .prop_map(|(look, subject, found)| Input::GotLast { look, subject, found }),
        1 => number().prop_map(|message| Input::Stored { message }),
        1 => number().prop_map(|message| Input::Refused { message }),
        1 => number().prop_map(|last| Input::Inspected { last }),
        1 => number().prop_map(|message| Input::NoLeader { message }),
        1 => number().prop_map(|seq| Input::Unanswered(Request::Get(seq))),
        1 => Just(Input::NoLog),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let answer = (
        any::<prop::sample::Index>(),
        number(),
        prop::option::weighted(0.8, payload()),
    );
    let answer = answer.prop_map(|(command, seq, payload)| Event::Answer {
        command,
        seq,
        payload,
    });
    prop_oneof![
        6 => input().prop_map(Event::Input),
        8 => answer,
        2 => (1..9_u64).prop_map(Event::Publish),
        3 => (0..2_500_u64).prop_map(Event::Pass),
        1 => Just(Event::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_comes_the_tape_is_in_order(
        is_origin in any::<bool>(), events in prop::collection::vec(event(), 0..60),
    ) {
        let mut scene = Scene::new(is_origin);
        scene.happen(Event::Input(Input::Connected));
        events.into_iter().for_each(|event| scene.happen(event));
    }
}
