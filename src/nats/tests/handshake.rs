//! Getting into a real server: with every kind of credentials, with and without TLS.

use testkit::{Authority, NatsServer};

use super::*;
use crate::nats::Credentials;
use crate::nats::nkey::testing::Pair;

/// The URL of a server with other words before the host.
fn with_user(server: &NatsServer, user: &str) -> String {
    format!("nats://{user}{}", server.address)
}

#[test]
fn a_server_without_accounts_lets_everybody_in() {
    let Some(server) = NatsServer::start("") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        assert_eq!(connection.server_name(), "n1");
        assert!(connection.version().starts_with('2'));
        assert!(connection.has_jetstream());
        assert_eq!(connection.max_payload(), 1 << 20);
        connection.ping();
        assert_eq!(connection.receive(soon()), Ok(Received::Pong));
    });
}

#[test]
fn messages_reach_their_subscribers() {
    let Some(server) = NatsServer::without_jetstream("max_payload: 1000\n") else {
        return;
    };
    let url = server.url("prices");
    in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        assert!(!connection.has_jetstream());
        assert_eq!(connection.max_payload(), 1000);
        connection.subscribe("a.*", 7);
        connection.publish("a.b", Some("r"), &[("X", "y")], b"hello");
        let Ok(Received::Message(message)) = connection.receive(soon()) else {
            panic!("no message");
        };
        assert_eq!((message.sid, message.subject.as_str()), (7, "a.b"));
        assert_eq!(message.reply.as_deref(), Some("r"));
        assert_eq!(message.headers.get("X"), Some("y"));
        assert_eq!(message.payload, b"hello");
        connection.unsubscribe(7);
        connection.publish("a.b", None, &[], b"again");
        connection.ping();
        assert_eq!(connection.receive(soon()), Ok(Received::Pong));
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(connection.receive(deadline), Ok(Received::TimedOut));
        connection.publish("a.b", None, &[], &[7; 1001]);
        let refused = connection.receive(soon()).unwrap_err().to_string();
        assert_eq!(refused, "refuses the connection: Maximum Payload Violation");
    });
}

#[test]
fn users_need_their_password() {
    let users = "authorization { users = [ { user: me, password: \"p@ss/word\" } ] }\n";
    let Some(server) = NatsServer::without_jetstream(users) else {
        return;
    };
    let url = with_user(&server, "me:p%40ss%2Fword@");
    in_fiber(move |http_client| drop(open(http_client, &url).unwrap()));
    for user in ["me:wrong@", "you:p%40ss%2Fword@", ""] {
        assert_eq!(
            refusal(&with_user(&server, user)),
            "refuses the connection: Authorization Violation \
             (check the user, password, token or credentials)"
        );
    }
}

#[test]
fn tokens_come_from_the_url_or_a_file() {
    let token = "authorization { token: s3cret }\n";
    let Some(server) = NatsServer::without_jetstream(token) else {
        return;
    };
    let url = with_user(&server, "s3cret@");
    in_fiber(move |http_client| drop(open(http_client, &url).unwrap()));
    let file = testkit::temp_file("s3cret\n");
    let mut settings = settings(&with_user(&server, "wrong@"));
    settings.credentials = Some(Credentials::from_token_file(file.path()).unwrap());
    in_fiber(move |http_client| {
        let opened = Connection::open(http_client, &settings, &settings.url.servers[0], soon());
        assert!(opened.is_ok(), "the file comes first");
    });
    let refused = refusal(&with_user(&server, "wrong@"));
    assert!(refused.contains("Authorization Violation"), "{refused}");
}

#[test]
fn missing_permissions_leave_the_connection_open() {
    let users = "authorization { users = [ { user: me, password: x, permissions: { publish: [\"ok\"], subscribe: [\"ok\"] } } ] }\n";
    let Some(server) = NatsServer::without_jetstream(users) else {
        return;
    };
    let url = with_user(&server, "me:x@");
    in_fiber(move |http_client| {
        let mut connection = open(http_client, &url).unwrap();
        connection.publish("forbidden", None, &[], b"");
        let Received::Denied(denial) = connection.receive(soon()).unwrap() else {
            panic!("it was allowed");
        };
        assert_eq!(denial.to_string(), "may not publish to forbidden");
        connection.subscribe("ok", 1);
        connection.publish("ok", None, &[], b"");
        assert!(matches!(
            connection.receive(soon()),
            Ok(Received::Message(_))
        ));
    });
}

#[test]
fn a_creds_file_is_signed_for() {
    let chain = Chain::new();
    let Some(server) = NatsServer::without_jetstream(&chain.server_config()) else {
        return;
    };
    let file = testkit::temp_file(chain.creds(&chain.user));
    let mut settings = settings(&with_user(&server, ""));
    settings.credentials = Some(Credentials::from_creds_file(file.path()).unwrap());
    let address = settings.url.servers[0].clone();
    let stranger = testkit::temp_file(chain.creds(&Pair::new('U', 9)));
    let mut wrong = settings.clone();
    wrong.credentials = Some(Credentials::from_creds_file(stranger.path()).unwrap());
    in_fiber(move |http_client| {
        let opened = Connection::open(http_client, &settings, &address, soon());
        assert_eq!(opened.err(), None);
        let refused = Connection::open(http_client, &wrong, &address, soon());
        let refused = refused.err().map(|why| why.to_string()).unwrap();
        assert!(refused.contains("Authorization Violation"), "{refused}");
    });
}

#[test]
fn a_server_that_wants_no_signature_is_named() {
    let Some(server) = NatsServer::without_jetstream("") else {
        return;
    };
    let chain = Chain::new();
    let file = testkit::temp_file(chain.creds(&chain.user));
    let mut settings = settings(&with_user(&server, ""));
    settings.credentials = Some(Credentials::from_creds_file(file.path()).unwrap());
    in_fiber(move |http_client| {
        let opened = Connection::open(http_client, &settings, &settings.url.servers[0], soon());
        let why = opened.err().map(|why| why.to_string());
        let expected = "does not take the credentials of a .creds file";
        assert_eq!(why.as_deref(), Some(expected));
    });
}

/// Who vouches for whom: an operator, its account, and the account's user.
struct Chain {
    operator: Pair,
    account: Pair,
    user: Pair,
}

impl Chain {
    fn new() -> Self {
        Self {
            operator: Pair::new('O', 1),
            account: Pair::new('A', 2),
            user: Pair::new('U', 3),
        }
    }

    fn server_config(&self) -> String {
        let operator = jwt(
            &self.operator,
            &self.operator,
            r#"{"type":"operator","version":2}"#,
        );
        let limits = r#"{"limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1},"type":"account","version":2}"#;
        let account = jwt(&self.operator, &self.account, limits);
        let name = self.account.public();
        format!(
            "operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {name}: {account} }}\n"
        )
    }

    /// The credentials of our user, with the seed of `holder`.
    fn creds(&self, holder: &Pair) -> String {
        let limits =
            r#"{"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1,"type":"user","version":2}"#;
        let user = jwt(&self.account, &self.user, limits);
        let seed = holder.seed();
        format!(
            "-----BEGIN NATS USER JWT-----\n{user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// A statement of `issuer` on `subject`.
fn jwt(issuer: &Pair, subject: &Pair, limits: &str) -> String {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    let (issuer_name, subject) = (issuer.public(), subject.public());
    let claims = format!(
        r#"{{"jti":"test","iat":1700000000,"iss":"{issuer_name}","name":"test","sub":"{subject}","nats":{limits}}}"#
    );
    let header = BASE64.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let body = format!("{header}.{}", BASE64.encode(claims));
    let signature = BASE64.encode(issuer.sign(body.as_bytes()));
    format!("{body}.{signature}")
}

/// The configuration of a server with a certificate for `name`, and roots that trust it.
fn certified(name: &str, more: &str) -> (String, testkit::TempDir, Roots) {
    let authority = Authority::new(&[name]);
    let (certificate, key) = authority.pem_for(&[name]);
    let folder = testkit::TempDir::new().unwrap();
    let path = |file: &str| folder.path().join(file).display().to_string();
    std::fs::write(path("cert.pem"), certificate).unwrap();
    std::fs::write(path("key.pem"), key).unwrap();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let config = format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" {more} }}\n");
    let roots = Roots::with_pem(authority.pem.as_bytes()).unwrap();
    (config, folder, roots)
}

/// How opening ends, in a word or a sentence.
fn opened(roots: &Roots, url: String) -> String {
    in_fiber_with(roots.clone(), move |http_client| {
        match open(http_client, &url) {
            Ok(mut connection) => {
                connection.ping();
                assert_eq!(connection.receive(soon()), Ok(Received::Pong));
                "open".to_owned()
            }
            Err(why) => why.to_string(),
        }
    })
}

#[test]
fn tls_begins_after_the_servers_first_words() {
    let (config, _folder, roots) = certified("localhost", "");
    let Some(server) = NatsServer::without_jetstream(&config) else {
        return;
    };
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(opened(&roots, format!("tls://localhost:{port}")), "open");
    let demanded = opened(&roots, format!("nats://localhost:{port}"));
    assert_eq!(demanded, "open", "the server demands it");
    let wrong_name = opened(&roots, format!("tls://127.0.0.1:{port}"));
    assert!(
        wrong_name.starts_with("cannot be trusted: "),
        "{wrong_name}"
    );
    let unknown = opened(&Roots::default(), format!("tls://localhost:{port}"));
    assert!(unknown.starts_with("cannot be trusted: "), "{unknown}");
}

#[test]
fn tls_begins_at_once_if_so_configured() {
    if NatsServer::version().is_none_or(|version| version < HANDSHAKE_FIRST_SINCE) {
        return;
    }
    let (config, _folder, roots) = certified("localhost", ", handshake_first: true");
    let Some(server) = NatsServer::without_jetstream(&config) else {
        return;
    };
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    let url = format!("tls://localhost:{port}?handshake_first");
    assert_eq!(opened(&roots, url), "open");
}

/// Older servers do not know the setting.
const HANDSHAKE_FIRST_SINCE: [u32; 3] = [2, 10, 4];

#[test]
fn a_server_without_tls_does_not_do_for_a_tls_url() {
    let Some(server) = NatsServer::without_jetstream("") else {
        return;
    };
    let url = format!("tls://{}", server.address);
    assert_eq!(
        refusal(&url),
        "does not offer TLS, which a tls:// URL asks for"
    );
}

#[test]
fn large_messages_pass_through_tls_both_ways() {
    let (config, _folder, roots) = certified("localhost", "");
    let Some(server) = NatsServer::without_jetstream(&config) else {
        return;
    };
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    in_fiber_with(roots, move |http_client| {
        let mut connection = open(http_client, &format!("tls://localhost:{port}")).unwrap();
        connection.subscribe("a", 1);
        let payload: Vec<u8> = (0..1_000_000u32).map(|n| (n / 7) as u8).collect();
        for _ in 0..3 {
            connection.publish("a", None, &[], &payload);
        }
        for _ in 0..3 {
            let Ok(Received::Message(message)) = connection.receive(soon()) else {
                panic!("no message");
            };
            assert!(message.payload == payload, "it was changed on the way");
        }
    });
}
