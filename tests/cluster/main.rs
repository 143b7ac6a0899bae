//! Several servers with one log, on a real `nats-server`: what clients see while parts of it come and
//! go. Without `nats-server` these tests do nothing, except where `CI` is set.

mod errors;
mod faults;
mod forged;
mod metrics;
mod moving;
mod obstacles;
mod outsider;
mod rights;
mod scene;
mod waiting;
