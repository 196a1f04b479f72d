//! What the program says about itself: the access log, the journal of events, and how logging is set up.

mod access;
mod journal;
mod rebinds;
mod setup;

pub use access::{Record, Redacted};
pub use journal::{Entry, Event, Journal, KEPT};
pub use rebinds::{Rebind, Rebinds};
pub use setup::{Guard, init};
