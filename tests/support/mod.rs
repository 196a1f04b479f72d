//! What the tests over real sockets share: scriptable backends, a raw client, a proxy in front of them, the binary.
//! Everything is blocking and on 127.0.0.1; nothing waits without a deadline, and no test knows a port in advance.

#![allow(dead_code, unreachable_pub, unused_imports, missing_docs, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod authority;
pub mod backend;
pub mod client;
pub mod events;
pub mod http2;
pub mod message;
pub mod process;
pub mod proxy;
pub mod raw_http2;
pub mod secure;
pub mod terminator;
pub mod wait;
pub mod websocket;

pub use backend::{Backend, Conn};
pub use client::{Client, Response};
pub use message::{Message, get};
pub use proxy::{Proxy, Setup};
pub use wait::{DEADLINE, Events, Latch, eventually};
