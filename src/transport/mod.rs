//! Reaching backends: dialing, the connections of one worker, bodies on their way, one-off probes and calls.
//! Which backend is reached is decided elsewhere.

mod arriving;
pub mod call;
mod dial;
mod dialing;
pub mod exchange;
mod grpc;
mod introduction;
pub mod io;
mod link;
mod outgoing;
pub mod probe;
mod shared;
mod stream;
mod unverified;
mod upload;
mod wire;

pub use arriving::{Arriving, BrokenOff};
pub use dial::{DialError, connect, keep_alive};
pub use dialing::{Dialing, Way};
pub use introduction::Introduction;
pub use link::{Link, Links, MAX_IDLE, Unanswered};
pub use outgoing::{BodyError, Gate, Outgoing, Pace};
pub use stream::Stream;
pub use wire::Wire;
