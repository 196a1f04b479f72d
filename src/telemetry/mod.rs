//! What the program says about itself: the access log, the journal of events, and how logging is set up.

mod access;
mod dropped;
mod journal;
mod rebinds;
mod setup;

pub use access::{Record, Redacted};
pub use dropped::{DropWatch, News, lines_dropped};
pub use journal::{Entry, Event, Journal, KEPT, Reloads};
pub use rebinds::{Rebind, Rebinds};
pub use setup::{Guard, init};
