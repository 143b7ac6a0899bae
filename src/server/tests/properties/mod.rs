//! Properties that hold for everything that clients send, see [`crate::fuzzing`].

mod frames;
mod head;
mod request;

pub use frames::client_frames;
pub use head::request_head;
pub use request::request;
