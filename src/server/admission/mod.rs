//! Whether a client may come in: the page that it comes from, its token, and how many connections
//! its address has already.

pub(crate) mod addresses;
pub(crate) mod origin;
pub(crate) mod tokens;
