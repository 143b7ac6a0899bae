//! TLS for servers and clients: the cryptography, reading certificates, describing invalid ones,
//! and a server's [`Identity`]. The streams themselves are elsewhere.

mod identity;
mod pki;

pub use self::identity::Identity;
pub(crate) use self::pki::{certificates, fault, invalid, provider};
