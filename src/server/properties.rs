//! What must hold for everything that clients send, see [`crate::fuzzing`].

mod head;
mod request;

pub use head::request_head;
pub use request::request;
