//! tokio-tungstenite: a task per client forwards a channel to its socket.
//!
//! Ticks that arrived meanwhile are sent with one flush, which is the purpose of `SinkExt::feed`,
//! so that several may share a system call. The message is encoded into each client's buffer; its
//! text is shared.

use std::io;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tickertape_peers::{Orders, listen, requested, run, tick_forever};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

type Hub = tickertape_peers::Hub<Utf8Bytes>;

fn main() -> io::Result<()> {
    run(serve())
}

async fn serve() -> io::Result<()> {
    let orders = Orders::from_arguments()?;
    let listener = listen()?;
    let hub = Arc::new(Hub::new(orders.symbols()));
    tokio::spawn(accept(listener, Arc::clone(&hub)));
    tick_forever(orders, |symbol, tick| hub.publish(symbol, tick.into())).await;
    Ok(())
}

/// Ends when no more clients can be accepted; the present ones stay.
async fn accept(listener: TcpListener, hub: Arc<Hub>) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(serve_client(socket, Arc::clone(&hub)));
    }
}

/// Returns when the client has left, for whatever reason: the others are not affected.
async fn serve_client(socket: TcpStream, hub: Arc<Hub>) {
    // The default is 128 KiB for each client.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let mut list = None;
    #[allow(clippy::result_large_err, reason = "the library's own signature")]
    let read_list = |request: &Request, response| {
        list = requested(&request.uri().to_string());
        Ok(response)
    };
    if let Ok(client) = accept_hdr_async_with_config(socket, read_list, Some(config)).await {
        let _ = converse(client, &hub, list.as_deref()).await;
    }
}

async fn converse(
    client: WebSocketStream<TcpStream>,
    hub: &Hub,
    list: Option<&[usize]>,
) -> Result<(), Error> {
    let (mut sink, mut messages) = client.split();
    let (newest, mut ticks) = hub.join(list);
    for tick in newest {
        sink.feed(Message::Text(tick)).await?;
    }
    sink.flush().await?;
    loop {
        tokio::select! {
            tick = ticks.next() => {
                let Some(tick) = tick else { return Ok(()) };
                sink.feed(Message::Text(tick)).await?;
                while let Some(tick) = ticks.waiting() {
                    sink.feed(Message::Text(tick)).await?;
                }
                sink.flush().await?;
            }
            // Reading also answers a close frame; after that the stream ends.
            message = messages.next() => match message {
                Some(message) => drop(message?),
                None => return Ok(()),
            },
        }
    }
}
