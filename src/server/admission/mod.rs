//! Decides whether a client may connect: by the origin of its page, by its token, and by the number
//! of connections that its address has.

pub(crate) mod addresses;
pub(crate) mod origin;
pub(crate) mod tokens;
