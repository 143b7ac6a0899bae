//! fastwebsockets with hyper, upgraded and split as in its own examples: a task per client forwards
//! a channel to its socket.
//!
//! Ticks that arrived meanwhile are sent with one flush, which exists for buffering streams, so
//! that several may share a system call.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{Frame, OpCode, Payload, WebSocketError, WebSocketRead, WebSocketWrite};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tickertape_peers::{Orders, listen, requested, run, tick_forever};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::net::{TcpListener, TcpStream};

type Hub = tickertape_peers::Hub<Arc<str>>;

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

/// Returns when the request has been answered; the upgraded connection has a task of its own.
async fn serve_client(socket: TcpStream, hub: Arc<Hub>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&hub)));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    // A client that leaves before the answer does not affect the others.
    let _ = connection.with_upgrades().await;
}

async fn answer(
    mut request: Request<Incoming>,
    hub: Arc<Hub>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade(&mut request)?;
    let list = requested(&request.uri().to_string());
    tokio::spawn(async move { converse(upgraded, &hub, list).await });
    Ok(response)
}

async fn converse(
    upgraded: UpgradeFut,
    hub: &Hub,
    list: Option<Vec<usize>>,
) -> Result<(), WebSocketError> {
    let (incoming, mut client) = upgraded.await?.split(|stream| {
        let (read, write) = tokio::io::split(stream);
        (read, BufWriter::with_capacity(WRITE_BUFFER, write))
    });
    let mut closed = pin!(until_closed(incoming));
    let (newest, mut ticks) = hub.join(list.as_deref());
    for tick in newest {
        write(&mut client, &tick).await?;
    }
    client.flush().await?;
    loop {
        tokio::select! {
            tick = ticks.next() => {
                let Some(tick) = tick else { return Ok(()) };
                write(&mut client, &tick).await?;
                while let Some(tick) = ticks.waiting() {
                    write(&mut client, &tick).await?;
                }
                client.flush().await?;
            }
            end = &mut closed => {
                end?;
                client.write_frame(Frame::close(1000, b"")).await?;
                return client.flush().await;
            }
        }
    }
}

async fn write<S>(client: &mut WebSocketWrite<S>, tick: &str) -> Result<(), WebSocketError>
where
    S: AsyncWrite + Unpin,
{
    let frame = Frame::text(Payload::Borrowed(tick.as_bytes()));
    client.write_frame(frame).await
}

/// Reads frames of the client until a close frame.
async fn until_closed<S>(mut incoming: WebSocketRead<S>) -> Result<(), WebSocketError>
where
    S: AsyncRead + Unpin,
{
    // The other half answers it.
    incoming.set_auto_close(false);
    loop {
        let mut no_pong = |_: Frame<'_>| async { Ok::<_, WebSocketError>(()) };
        if incoming.read_frame(&mut no_pong).await?.opcode == OpCode::Close {
            return Ok(());
        }
    }
}

/// As many ticks as arrive in one turn under load; less is slower, more only takes memory.
const WRITE_BUFFER: usize = 4096;
