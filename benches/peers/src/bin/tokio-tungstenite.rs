//! tokio-tungstenite: a task per client that forwards a broadcast channel to its socket.
//!
//! Ticks that came meanwhile go out with one flush, as `SinkExt::feed` is there for, so that
//! several may share a system call. The message is encoded into each client's buffer; its text is
//! shared.

use std::io;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tickertape_peers::{interval_from_arguments, listen, run, tick_forever};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

type Board = tickertape_peers::Board<Utf8Bytes>;

fn main() -> io::Result<()> {
    run(serve())
}

async fn serve() -> io::Result<()> {
    let interval = interval_from_arguments()?;
    let listener = listen()?;
    let board = Arc::new(Board::default());
    tokio::spawn(accept(listener, Arc::clone(&board)));
    tick_forever(interval, |tick| board.publish(tick.into())).await;
    Ok(())
}

/// Ends when there can be no more clients; those that there are stay.
async fn accept(listener: TcpListener, board: Arc<Board>) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(serve_client(socket, Arc::clone(&board)));
    }
}

/// Returns when the client has gone, in whatever way: the others do not mind.
async fn serve_client(socket: TcpStream, board: Arc<Board>) {
    // The default is 128 KiB for each client.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    if let Ok(client) = tokio_tungstenite::accept_async_with_config(socket, Some(config)).await {
        let _ = converse(client, &board).await;
    }
}

async fn converse(client: WebSocketStream<TcpStream>, board: &Board) -> Result<(), Error> {
    let (mut sink, mut messages) = client.split();
    let (newest, mut ticks) = board.join();
    sink.send(Message::Text(newest)).await?;
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
            // Reading answers a close frame too; then comes the end.
            message = messages.next() => match message {
                Some(message) => drop(message?),
                None => return Ok(()),
            },
        }
    }
}
