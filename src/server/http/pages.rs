//! Pages that need no state of the server: the live view of the prices, and the health page.

use tungstenite::http::StatusCode;

use crate::server::http::response::{HTML, Response};

/// `/`: shows the prices in a browser.
pub(crate) fn live() -> Response<'static> {
    Response {
        status: StatusCode::OK,
        content_type: HTML,
        body: include_bytes!("page.html"),
        tag: None,
    }
}

/// `/healthz` answers so as long as the loop runs, and `/check` to a query that it would accept.
pub(crate) fn ok() -> Response<'static> {
    Response::text(StatusCode::OK, "ok\n")
}

/// `/` for programs: what the server is, and where it has what.
pub(crate) fn info(symbols: usize, clients: u64) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{{"server":"tickertape","version":"{version}","symbols":{symbols},"clients":{clients},"links":{{"stream":"/","ticks":"/ticks{{/symbol}}{{?symbols,format}}","history":"/history{{/symbol}}{{?since,limit,format}}","symbols":"/symbols{{?symbols,format}}","check":"/check{{?symbols}}","health":"/healthz","ready":"/readyz"}}}}"#
    )
}
