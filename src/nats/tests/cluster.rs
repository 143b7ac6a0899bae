//! Three real servers: they tell of each other, and what one of them has stored survives it.

use testkit::NatsCluster;

use super::*;
use crate::nats::Servers;
use crate::nats::jetstream::{Api, GetAnswer, NO_PEERS, StoreAnswer, StreamAnswer};

#[test]
fn another_server_is_found_when_one_dies_and_has_the_log() {
    let Some(mut cluster) = NatsCluster::start("") else {
        return;
    };
    // The others are to be heard of.
    let url = cluster.servers[0].url("prices");
    in_fiber(move |http_client| {
        let mut client = Client::open(http_client, &url);
        let api = Api::new("prices", None, &["ticks", "key"]);
        let created =
            until_answered(
                &mut client,
                &api.create_stream(3),
                |message| match StreamAnswer::read(message) {
                    StreamAnswer::Found(stream) => Some(stream.replicas()),
                    StreamAnswer::Unavailable | StreamAnswer::Refused { code: NO_PEERS, .. } => {
                        None
                    }
                    other => panic!("{other:?}"),
                },
            );
        assert_eq!(created, 3);
        let store = (api.subject("key"), "k1".to_owned());
        until_answered(&mut client, &store, |message| {
            match api.store_answer(message) {
                StoreAnswer::Stored { seq } => Some(seq),
                StoreAnswer::NoLeader => None,
                other => panic!("{other:?}"),
            }
        });
        let parsed: NatsUrl = url.parse().unwrap();
        let mut servers = Servers::new(&parsed, fastrand::Rng::with_seed(1));
        assert!(servers.next(Instant::now()).1.is_zero());
        servers.set_heard_of(client.connection.servers_heard_of());

        cluster.servers[0].kill();
        assert!(client.connection.receive(soon()).is_err());
        let (next, pause) = servers.next(Instant::now());
        assert_ne!(next.to_string(), cluster.servers[0].address);
        assert_eq!(pause, Duration::ZERO, "the next one is tried at once");
        let connection = Connection::open(http_client, &settings(&url), &next, soon());
        let mut client = Client::new(connection.unwrap());
        // Another server may have to take over first.
        until_answered(
            &mut client,
            &api.get_last("prices.key"),
            |message| match GetAnswer::read(message.clone()) {
                GetAnswer::Found { payload, .. } => Some(payload),
                _ => None,
            },
        );
    });
}

/// Repeats a request until its answer is of use. A cluster that has just begun may not answer.
fn until_answered<T>(
    client: &mut Client,
    (subject, body): &(String, String),
    read: impl Fn(&Message) -> Option<T>,
) -> T {
    let until = soon() + LONG;
    while Instant::now() < until {
        let patience = Instant::now() + Duration::from_millis(500);
        let answer = client.answer(subject, &[], body.as_bytes(), patience);
        if let Some(answer) = answer.as_ref().and_then(&read) {
            return answer;
        }
        ioloop::fiber::sleep(Duration::from_millis(20)).unwrap();
    }
    panic!("no answer to {subject} {body}");
}
