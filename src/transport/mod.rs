//! Connections: HTTP on both sides, dialing, the connections of one worker, bodies on their way, one-off probes and calls.
//! Which backend is reached, and what a request means, is decided elsewhere.

mod arriving;
pub mod call;
mod dial;
mod dialing;
pub mod exchange;
mod gate;
mod grpc;
pub mod http1;
pub mod http2;
mod interim;
mod introduction;
mod link;
mod outgoing;
pub mod probe;
pub mod proxy_header;
pub mod pulse;
mod received;
pub(crate) mod scratch;
mod shared;
mod stream;
pub mod tls;
mod unverified;
mod upload;
mod wire;

pub use arriving::{Arriving, BrokenOff};
pub use dial::{DialError, connect, keep_alive};
pub use dialing::{Dialing, Way};
pub use gate::{Gate, Listener};
pub use interim::{Hints, Interim};
pub use introduction::Introduction;
pub use link::{Link, Links, MAX_IDLE, Unanswered};
pub use outgoing::{BodyError, MOST_KEPT, Outgoing, Pace, Replay};
pub use received::{ReceiveError, Received};
pub use stream::Stream;
pub use wire::Wire;

/// What a client hears whose request head did not come in time.
pub const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
