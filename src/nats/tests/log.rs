//! A log at a real server: messages that are stored on a condition, published again, and read one
//! by one.

use testkit::NatsServer;

use super::*;
use crate::nats::jetstream::{
    Api, EXPECTED_LAST_SEQUENCE, GetAnswer, NAME_IN_USE, StoreAnswer, StreamAnswer,
};

const KINDS: &[&str] = &["ticks", "key"];

/// A client that uses the log `prices`.
struct Log {
    client: Client,
    api: Api,
}

impl Log {
    fn open(http_client: &HttpClient, url: &str) -> Self {
        Self {
            client: Client::open(http_client, url),
            api: Api::new("prices", None, KINDS),
        }
    }

    fn create(&mut self, replicas: u8) -> StreamAnswer {
        let request = self.api.create_stream(replicas);
        StreamAnswer::read(&self.client.request(&request))
    }

    fn info(&mut self) -> StreamAnswer {
        let request = self.api.stream_info();
        StreamAnswer::read(&self.client.request(&request))
    }

    /// Stores a message if `last` is the number of the last one.
    fn store(&mut self, kind: &str, last: u64, payload: &str) -> StoreAnswer {
        let (subject, last) = (self.api.subject(kind), last.to_string());
        let headers = [(EXPECTED_LAST_SEQUENCE, last.as_str())];
        let payload = payload.as_bytes();
        let answer = self.client.request_with(&subject, &headers, payload);
        self.api.store_answer(&answer)
    }

    fn get(&mut self, request: &(String, String)) -> GetAnswer {
        GetAnswer::read(self.client.request(request))
    }
}

fn stored(seq: u64) -> StoreAnswer {
    StoreAnswer::Stored { seq }
}

fn found(seq: u64, kind: &str, payload: &str) -> GetAnswer {
    GetAnswer::Found {
        seq,
        subject: format!("prices.{kind}"),
        payload: payload.into(),
    }
}

#[test]
fn messages_are_stored_one_after_the_other_and_read_one_by_one() {
    let Some(server) = NatsServer::start("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut log = Log::open(http_client, &url);
        assert_eq!(log.info(), StreamAnswer::NotFound);
        assert_eq!(log.store("ticks", 0, "x"), StoreAnswer::NoLeader);
        assert!(matches!(log.create(1), StreamAnswer::Found(_)));
        assert_eq!(log.store("key", 0, "k1"), stored(1));
        assert_eq!(log.store("ticks", 1, "t2"), stored(2));
        let late = log.store("ticks", 1, "t2 again");
        assert!(
            matches!(
                late,
                StoreAnswer::WrongLastSequence {
                    last: None | Some(2)
                }
            ),
            "{late:?}"
        );
        assert_eq!(log.store("ticks", 2, "t3"), stored(3));

        let api = log.api.clone();
        assert_eq!(log.get(&api.get(2)), found(2, "ticks", "t2"));
        assert_eq!(log.get(&api.get_from(1)), found(1, "key", "k1"));
        assert_eq!(log.get(&api.get_last("prices.key")), found(1, "key", "k1"));
        assert_eq!(
            log.get(&api.get_last("prices.ticks")),
            found(3, "ticks", "t3")
        );
        for missing in [api.get(4), api.get_from(4), api.get_last("prices.other")] {
            assert_eq!(log.get(&missing), GetAnswer::NotFound, "{missing:?}");
        }
        let StreamAnswer::Found(stream) = log.info() else {
            panic!("no stream");
        };
        assert_eq!((stream.state.first_seq, stream.state.last_seq), (1, 3));
        assert_eq!((stream.state.messages, stream.replicas()), (3, 1));
        assert_eq!(api.differences(&stream), [""; 0]);
    });
}

#[test]
fn what_is_stored_appears_live_and_what_is_refused_does_not() {
    let Some(server) = NatsServer::start("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut log = Log::open(http_client, &url);
        log.create(1);
        let mut reader = Client::open(http_client, &url);
        let connection = &mut reader.connection;
        connection.subscribe(&log.api.live_filter(), 2);
        connection.ping();
        assert_eq!(connection.receive(soon()), Ok(Received::Pong));
        log.store("key", 0, "k1");
        log.store("key", 0, "refused");
        log.store("ticks", 1, "t2");
        for (seq, kind, payload) in [(1, "key", "k1"), (2, "ticks", "t2")] {
            let message = reader.message();
            assert_eq!(message.sid, 2);
            assert_eq!(message.subject, log.api.live_subject(kind));
            assert_eq!(message.payload, payload.as_bytes());
            assert_eq!(log.api.republished(&message), Ok(seq));
            // As a consumer would deliver it, which anybody could have made.
            let reply = Some("$JS.ACK.prices.c.1.1.1.1.0".to_owned());
            let delivered = Message { reply, ..message };
            assert!(log.api.republished(&delivered).is_err());
        }
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(reader.connection.receive(deadline), Ok(Received::TimedOut));
    });
}

#[test]
fn a_stream_that_is_set_up_in_another_way_is_told_apart() {
    let Some(server) = NatsServer::start("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut log = Log::open(http_client, &url);
        assert!(matches!(log.create(1), StreamAnswer::Found(_)));
        let again = log.create(1);
        assert!(matches!(again, StreamAnswer::Found(_)), "{again:?}");
        let three = log.create(3);
        assert!(matches!(three, StreamAnswer::Refused { .. }), "{three:?}");

        let other = Api::new("prices", None, &["key", "other"]);
        let request = other.create_stream(1);
        let refused = StreamAnswer::read(&log.client.request(&request));
        let StreamAnswer::Refused { code, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(code, NAME_IN_USE);
        let StreamAnswer::Found(stream) = log.info() else {
            panic!("no stream");
        };
        let differences = other.differences(&stream);
        assert_eq!(
            differences,
            ["subjects (expected prices.key and prices.other)"]
        );
    });
}

#[test]
fn without_jetstream_nobody_answers() {
    let Some(server) = NatsServer::without_jetstream("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut log = Log::open(http_client, &url);
        assert_eq!(log.create(1), StreamAnswer::Unavailable);
        assert_eq!(log.store("ticks", 0, "x"), StoreAnswer::NoLeader);
        let api = log.api.clone();
        assert_eq!(log.get(&api.get(1)), GetAnswer::Unavailable);
    });
}

#[test]
fn a_crashed_server_comes_back_with_all_that_it_had_stored() {
    let Some(mut server) = NatsServer::start("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut log = Log::open(http_client, &url);
        log.create(1);
        log.store("key", 0, "k1");
        server.kill();
        let why = log
            .client
            .connection
            .receive(soon())
            .unwrap_err()
            .to_string();
        assert!(why.starts_with("broken connection: "), "{why}");
        let refused = open(http_client, &url).err().map(|why| why.to_string());
        assert_eq!(
            refused.as_deref(),
            Some("cannot be reached: connection refused")
        );
        server.restart();
        let mut log = Log::open(http_client, &url);
        let api = log.api.clone();
        assert_eq!(log.get(&api.get_last("prices.key")), found(1, "key", "k1"));
        assert_eq!(log.store("ticks", 1, "t2"), stored(2));
    });
}

#[test]
fn a_server_that_stops_sends_its_clients_away_first() {
    let Some(server) = NatsServer::start("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        server.signal(rustix::process::Signal::USR2);
        assert_eq!(connection.receive(soon()), Ok(Received::Leaving));
        connection.ping();
        assert_eq!(
            connection.receive(soon()),
            Ok(Received::Pong),
            "once is enough"
        );
    });
}

#[test]
fn a_log_behind_a_leaf_node_is_reached_by_its_domain() {
    let hub = "leafnodes { listen: \"127.0.0.1:-1\" }\n";
    let Some(hub) = NatsServer::start_in_domain("hub", hub) else {
        return;
    };
    let port = hub.port_of("leafnode connections");
    let remote = format!("leafnodes {{ remotes: [ {{ url: \"nats://127.0.0.1:{port}\" }} ] }}\n");
    let Some(mut leaf) = NatsServer::without_jetstream(&remote) else {
        return;
    };
    leaf.wait_for("Leafnode connection created");
    let url = leaf.url("prices");
    in_fiber(move |http_client| {
        let mut log = Log::open(http_client, &url);
        assert!(!log.client.connection.has_jetstream());
        assert_eq!(log.info(), StreamAnswer::Unavailable, "without the domain");
        log.api = Api::new("prices", Some("hub"), KINDS);
        // The two may still be making friends.
        while log.info() == StreamAnswer::Unavailable {
            ioloop::fiber::sleep(Duration::from_millis(10)).unwrap();
        }
        assert!(matches!(log.create(1), StreamAnswer::Found(_)));
        assert_eq!(log.store("key", 0, "k1"), stored(1));
        let api = log.api.clone();
        assert_eq!(log.get(&api.get_last("prices.key")), found(1, "key", "k1"));
    });
}
