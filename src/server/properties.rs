//! What must hold for everything that clients send, see [`crate::fuzzing`].

//SIM mod frames;
mod head;
mod request;

//SIM pub use frames::client_frames;
pub use head::request_head;
pub use request::request;
