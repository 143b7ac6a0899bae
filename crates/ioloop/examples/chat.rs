//! Tornado's chat demo, long polling over HTTP. Wait: `curl 127.0.0.1:8888/a/message/updates -d 0`,
//! and in another terminal: `curl 127.0.0.1:8888/a/message/new -d hello`.
use std::io::{self, BufRead, BufReader, Read, Write};

use ioloop::fiber::{Emitter, STACK_SIZE};
use ioloop::{Interest, IoLoop, Ready, Token, mio::net::TcpListener, net::FiberStream};
use serde_json::{Value, json};

/// The messages, and the clients that wait for the next one.
#[derive(Default)]
struct MessageBuffer {
    waiters: Vec<FiberStream>,
    cache: Vec<Value>,
}
type State = (TcpListener, MessageBuffer);
type Request = (String, String, FiberStream);

impl MessageBuffer {
    fn wait_for_messages(&mut self, cursor: u64, client: FiberStream) {
        let is_new = |message: &&Value| message["id"].as_u64() > Some(cursor);
        let messages: Vec<_> = self.cache.iter().filter(is_new).collect();
        if !messages.is_empty() {
            return write(client, &json!({ "messages": messages }));
        }
        self.waiters.retain(FiberStream::is_quiet); // Drops clients that hung up.
        self.waiters.push(client); // The next message is its answer.
    }

    fn new_message(&mut self, body: &str, client: FiberStream) {
        let last_id = self.cache.last().and_then(|last| last["id"].as_u64());
        let message = json!({ "id": last_id.unwrap_or(0) + 1, "body": body });
        let messages = json!({ "messages": [message] });
        let clients = self.waiters.drain(..).chain([client]);
        clients.for_each(|client| write(client, &messages));
        self.cache.push(message);
        self.cache.drain(..self.cache.len().saturating_sub(200));
    }
}

fn main() -> io::Result<()> {
    serve(TcpListener::bind(([127, 0, 0, 1], 8888).into())?)
}

pub(crate) fn serve(mut listener: TcpListener) -> io::Result<()> {
    let mut io_loop = IoLoop::new()?;
    io_loop.add_handler(&mut listener, Interest::READABLE, on_connection)?;
    io_loop.start(&mut (listener, MessageBuffer::default()))
}

fn on_connection((listener, _): &mut State, io_loop: &mut IoLoop<State>, _: Token, _: Ready) {
    while let Ok((socket, _)) = listener.accept() {
        let client = FiberStream::new(io_loop.registrar(), socket);
        let read = |emitter: &Emitter<Request>| Ok(emitter.emit(read_request(client?)?)?);
        drop(io_loop.spawn(STACK_SIZE, read, on_request, |_, _, _| {}));
    }
}

/// Reads in a fiber as if it blocked; the loop serves other clients meanwhile.
fn read_request(mut client: FiberStream) -> io::Result<Request> {
    let mut reader = BufReader::new(Read::by_ref(&mut client).take(16 * 1024));
    let mut head = String::new();
    while reader.read_line(&mut head)? > "\r\n".len() {}
    let rest = head.split("Content-Length: ").nth(1).unwrap_or("0");
    let length = rest.lines().next().and_then(|length| length.parse().ok());
    let body = reader.take(length.unwrap_or(0));
    Ok((head, io::read_to_string(body)?, client))
}

fn on_request((_, chat): &mut State, _: &mut IoLoop<State>, (head, body, client): Request) {
    match head.split(' ').nth(1).unwrap_or_default() {
        "/a/message/new" => chat.new_message(&body, client),
        "/a/message/updates" => chat.wait_for_messages(body.parse().unwrap_or(0), client),
        _ => write(client, &json!({ "error": "not found" })),
    }
}

fn write(mut client: FiberStream, body: &Value) {
    let _ = write!(client, "HTTP/1.0 200 OK\r\n\r\n{body}\n"); // The client may have hung up.
}
