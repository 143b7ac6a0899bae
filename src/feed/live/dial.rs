//! Connects to the host of a WebSocket: with TLS if the URL asks for it, and through the proxy if
//! there is one.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tungstenite::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use crate::http_client::{HttpClient, Route, TransportError};

/// Connects to the host of a `ws://` or `wss://` URL.
pub(super) fn dial(
    http_client: &HttpClient,
    uri: &Uri,
    deadline: Instant,
) -> Result<Route, TransportError> {
    let host = uri.host();
    let host =
        host.ok_or_else(|| TransportError::Broken(format!("invalid URL '{uri}': it has no host")))?;
    let is_secure = uri.scheme_str() == Some("wss");
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let route = match http_client.proxy_for(uri) {
        None => Route::connect(http_client, (host, port), deadline)?,
        Some(proxy) => through(http_client, proxy, (host, port), deadline)
            .map_err(|error| error.through_proxy(proxy))?,
    };
    if is_secure {
        route.secure(http_client, host)
    } else {
        Ok(route)
    }
}

/// Asks an HTTP proxy for a tunnel to the host (RFC 9110, section 9.3.6).
fn through(
    http_client: &HttpClient,
    proxy: &Proxy,
    (host, port): (&str, u16),
    deadline: Instant,
) -> Result<Route, TransportError> {
    let mut route = Route::connect(http_client, (proxy.host(), proxy.port()), deadline)?;
    if proxy.protocol() == ProxyProtocol::Https {
        route = route.secure(http_client, proxy.host())?;
    }
    let credentials = credentials(proxy);
    let request =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{credentials}\r\n");
    let answered = route
        .write_all(request.as_bytes())
        .and_then(|()| route.flush())
        .and_then(|()| read_head(&mut route));
    let head = answered.map_err(|error| TransportError::from_io(&error))?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status.starts_with('2') {
        Ok(route)
    } else {
        Err(TransportError::Connect(format!("it answers {status}")))
    }
}

/// The header line with the credentials from the proxy's URL; empty if it has none.
fn credentials(proxy: &Proxy) -> String {
    if proxy.username().is_none() && proxy.password().is_none() {
        return String::new();
    }
    let name = proxy.username().unwrap_or_default();
    let password = proxy.password().unwrap_or_default();
    let encoded = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Proxy-Authorization: Basic {encoded}\r\n")
}

/// Reads byte by byte, since any bytes after the head belong to the host behind the proxy.
fn read_head(route: &mut Route) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_LENGTH_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "its answer does not end",
            ));
        }
        let mut byte = [0];
        route.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The longest answer of a proxy.
const HEAD_LENGTH_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use ioloop::IoLoop;
    use ioloop::fiber::STACK_SIZE;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use tungstenite::Message;

    use super::super::failure::Failure;
    use super::super::websocket::{Received, Socket};
    use super::*;
    use crate::http_client::{NoProxy, Roots, TransportConfig};

    /// A certificate for both the proxy and the host, and roots that trust it.
    fn certified() -> (Arc<ServerConfig>, Roots) {
        let names = ["127.0.0.1".to_owned(), "stream.invalid".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let roots = Roots::with_pem(made.cert.pem().as_bytes()).unwrap();
        (Arc::new(config), roots)
    }

    /// A proxy that plays the host behind it, too. Returns its port.
    fn proxy(serve: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        port
    }

    /// Reads the head of a CONNECT, and answers.
    fn answer(stream: &mut (impl Read + Write), status: &str) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        write!(stream, "HTTP/1.1 {status}\r\n\r\n").unwrap();
        stream.flush().unwrap();
        String::from_utf8(head).unwrap()
    }

    fn greet(stream: impl Read + Write) {
        let mut socket = tungstenite::accept(stream).ok().unwrap();
        socket.send(Message::text("hello")).unwrap();
        let _ = socket.read();
    }

    /// The first message from `url`, through a proxy.
    fn first_message(proxy: &str, url: &'static str, roots: Roots) -> Result<String, Failure> {
        let mut io_loop = IoLoop::<Option<Result<String, Failure>>>::new().unwrap();
        io_loop.call_later(Duration::from_secs(8), |_, _| panic!("the loop hangs"));
        let config = TransportConfig {
            proxy: Some(Proxy::new(proxy).unwrap()),
            no_proxy: NoProxy::default(),
            timeout: Duration::from_secs(5),
            roots,
        };
        let http_client = HttpClient::new(io_loop.registrar(), config, None).unwrap();
        let body = move |emitter: &ioloop::fiber::Emitter<Result<String, Failure>>| {
            let deadline = Instant::now() + Duration::from_secs(5);
            let opened = Socket::open(&http_client, url, deadline);
            let opened = opened.map_err(|refusal| refusal.failure);
            let got = opened.and_then(|mut socket| socket.receive(deadline));
            Ok(emitter.emit(got.map(|received| match received {
                Received::Message(text) => String::from_utf8(text).unwrap(),
                _ => String::new(),
            }))?)
        };
        let on_emit = |state: &mut Option<_>, io_loop: &mut IoLoop<_>, got| {
            *state = Some(got);
            io_loop.stop();
        };
        let spawned = io_loop.spawn(STACK_SIZE, body, on_emit, |_, _, _| {});
        spawned.unwrap();
        let mut state = None;
        io_loop.start(&mut state).unwrap();
        state.unwrap()
    }

    #[test]
    fn a_stream_goes_through_a_proxy_that_asks_for_credentials() {
        let port = proxy(|mut stream| {
            let head = answer(&mut stream, "200 Go on");
            assert!(head.starts_with("CONNECT stream.invalid:80 HTTP/1.1\r\n"));
            // me:secret
            assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"));
            greet(stream);
        });
        let proxy = format!("http://me:secret@127.0.0.1:{port}");
        let got = first_message(&proxy, "ws://stream.invalid/", Roots::default());
        assert_eq!(got, Ok("hello".to_owned()));
    }

    #[test]
    fn a_tls_stream_goes_through_a_proxy_that_speaks_tls_itself() {
        let (config, roots) = certified();
        let port = proxy(move |stream| {
            let tls = || ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut outer = StreamOwned::new(tls(), stream);
            answer(&mut outer, "200 Go on");
            greet(StreamOwned::new(tls(), outer));
        });
        let proxy = format!("https://127.0.0.1:{port}");
        let got = first_message(&proxy, "wss://stream.invalid/", roots);
        assert_eq!(got, Ok("hello".to_owned()));
    }

    #[test]
    fn the_error_names_a_proxy_that_refuses_or_is_unreachable() {
        let port = proxy(|mut stream| {
            answer(&mut stream, "407 Proxy Authentication Required");
        });
        let url = "wss://stream.invalid/";
        let refused = first_message(&format!("http://127.0.0.1:{port}"), url, Roots::default());
        let expected = format!("cannot be reached: proxy 127.0.0.1:{port}: it answers 407");
        assert_eq!(refused.unwrap_err().to_string(), expected);
        let gone = first_message("http://127.0.0.1:1", url, Roots::default());
        let text = gone.unwrap_err().to_string();
        assert_eq!(
            text,
            "cannot be reached: proxy 127.0.0.1:1: connection refused"
        );
    }
}
