//! What the program says about itself: the access log, and how logging is set up.

mod access;
mod setup;

pub use access::{Record, Redacted};
pub use setup::{Guard, init};
