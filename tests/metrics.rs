//! The metrics of a real proxy: what they count, what they are called, and how many there can be.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::cast_sign_loss, reason = "counts are not negative")]

mod support;

#[path = "metrics/bounds.rs"]
mod bounds;
#[path = "metrics/counts.rs"]
mod counts;
#[path = "metrics/moves.rs"]
mod moves;
#[path = "metrics/names.rs"]
mod names;
#[path = "metrics/page.rs"]
mod page;
#[path = "metrics/status.rs"]
mod status;

use crate::support::{Backend, Setup};

/// Sticky by a header, with an admin listener.
fn setup(backends: &[&Backend]) -> Setup {
    Setup::of(backends).sticky("\"header:x-room\"").admin("")
}
