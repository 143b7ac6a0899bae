//! The web as far as the documents need it: a server that stands for the hosts whose prices they
//! show, by `--upstream`. Its answers have the shape of the real ones. It hangs up on whoever asks
//! for anything else.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

/// What is answered: the beginning of a URL without its scheme, the type of its answer, and that.
const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "api.frankfurter.dev/v1/latest?base=EUR&symbols=USD",
        "application/json",
        r#"{"amount":1.0,"base":"EUR","date":"2024-11-22","rates":{"USD":1.0412}}"#,
    ),
    (
        "api.gold-api.com/price/XAU",
        "application/json",
        r#"{"name":"Gold","price":2715.549805,"symbol":"XAU","updatedAt":"2024-11-22T21:59:58Z"}"#,
    ),
    (
        "api.gold-api.com/price/XAG",
        "application/json",
        r#"{"name":"Silver","price":31.309999,"symbol":"XAG","updatedAt":"2024-11-22T21:59:58Z"}"#,
    ),
    (
        "hermes.pyth.network/v2/updates/price/latest?",
        "application/json",
        PYTH,
    ),
    (
        "hermes.pyth.network/v2/updates/price/stream?",
        "text/event-stream",
        PYTH,
    ),
    (
        "query1.finance.yahoo.com/v8/finance/chart/AAPL",
        "application/json",
        r#"{"chart":{"result":[{"meta":{"currency":"USD","symbol":"AAPL",
        "regularMarketTime":1732309202,"regularMarketPrice":229.87}}],"error":null}}"#,
    ),
    (
        "fred.stlouisfed.org/graph/fredgraph.csv?id=DEXUSUK",
        "application/csv",
        "observation_date,DEXUSUK\n2024-11-20,1.2641\n2024-11-21,1.2590\n2024-11-22,.\n",
    ),
];

const PYTH: &str = r#"{"binary":{"encoding":"hex","data":["504e4155"]},"parsed":[{"id":
"e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43","price":{"price":"9897413000000",
"conf":"4412345678","expo":-8,"publish_time":1732309202},"ema_price":{"price":"9880000000000",
"conf":"4400000000","expo":-8,"publish_time":1732309202}}]}"#;

/// Where the server is. It lasts as long as the tests.
pub(crate) fn address() -> SocketAddr {
    static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(start);
    *ADDRESS
}

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Whoever hangs up is no failure.
            thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut is_browser = false;
    for line in lines {
        let line = line?.to_lowercase();
        is_browser |= line.starts_with("user-agent: mozilla/");
        if line.is_empty() {
            break;
        }
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    let target = target.trim_start_matches('/');
    let found = ANSWERS.iter().find(|(url, ..)| target.starts_with(url));
    let Some((_, kind, body)) = found else {
        return Ok(());
    };
    if target.contains("yahoo") && !is_browser {
        return write!(&*stream, "HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n");
    }
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nConnection: close");
    if *kind != "text/event-stream" {
        return write!(
            &*stream,
            "{head}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    write!(&*stream, "{head}\r\n\r\n")?;
    for _ in 0..600 {
        write!(
            &*stream,
            ": alive\n\ndata:{}\n\n",
            body.replace('\n', "\ndata:")
        )?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
