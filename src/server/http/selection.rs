//! The symbols that a request names.

use tungstenite::http::StatusCode;

use crate::server::hub::{Hub, ListId, SelectError};
use crate::server::rejection::Rejection;

/// Takes the list of the symbols that a request names; `None` for all.
///
/// # Errors
/// The answer to a request for a list that cannot be had.
pub(crate) fn select(entries: Option<&[String]>, hub: &mut Hub) -> Result<ListId, Rejection> {
    let selected = match entries {
        None => hub.select_everything(),
        Some(entries) => hub.select(entries),
    };
    selected.map_err(|error| {
        let status = match error {
            SelectError::TooMuchMemory { .. } | SelectError::Closing => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Rejection::new(status, error.to_string())
    })
}
