//! A client of the broker that is none of ours, on a bare socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use testkit::{NatsServer, PATIENCE};

/// A connection without a name or a password.
pub(crate) struct Outsider(BufReader<TcpStream>);

impl Outsider {
    pub(crate) fn connect(broker: &NatsServer) -> Self {
        let stream = TcpStream::connect(&broker.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut outsider = Self(BufReader::new(stream));
        outsider.say("CONNECT {\"verbose\":false,\"headers\":true}\r\n");
        outsider.settle();
        outsider
    }

    /// Publishes a message, and waits until the broker has passed it on.
    pub(crate) fn publish(&mut self, subject: &str, headers: &[(&str, &str)], payload: &str) {
        let mut block = "NATS/1.0\r\n".to_owned();
        for (name, value) in headers {
            block.push_str(&format!("{name}: {value}\r\n"));
        }
        block.push_str("\r\n");
        let (head, whole) = (block.len(), block.len() + payload.len());
        self.say(&format!(
            "HPUB {subject} {head} {whole}\r\n{block}{payload}\r\n"
        ));
        self.settle();
    }

    /// Makes a stream that is set up in another way than ours.
    pub(crate) fn make_foreign_stream(&mut self, name: &str) {
        let body = format!(r#"{{"name":"{name}","subjects":["{name}.other"],"storage":"memory"}}"#);
        let answer = self.request(&format!("$JS.API.STREAM.CREATE.{name}"), &body);
        assert!(!answer.contains("error"), "{answer}");
    }

    /// The answer to a request.
    fn request(&mut self, subject: &str, body: &str) -> String {
        let length = body.len();
        self.say(&format!(
            "SUB answers 1\r\nPUB {subject} answers {length}\r\n{body}\r\n"
        ));
        let head = self.wait_for("MSG answers ");
        let length = head.trim_end().rsplit(' ').next().expect("a length");
        let mut answer = vec![0; length.parse().expect("a number")];
        self.0.read_exact(&mut answer).expect("an answer");
        String::from_utf8(answer).expect("JSON")
    }

    /// Waits until the broker has seen all that was said.
    fn settle(&mut self) {
        self.say("PING\r\n");
        self.wait_for("PONG");
    }

    fn say(&mut self, words: &str) {
        self.0
            .get_mut()
            .write_all(words.as_bytes())
            .expect("it is taken");
    }

    fn wait_for(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            let length = self.0.read_line(&mut line).expect("a line");
            assert!(length > 0 && !line.starts_with("-ERR"), "{line}");
            if line.starts_with(begin) {
                return line;
            }
        }
    }
}
