//! Reading a body into the buffer of its connection.

use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;

use crate::transport::Wire;

/// What a read has brought.
pub(super) struct Filled {
    /// Octets; 0 at the end.
    pub(super) count: usize,
    /// All that there was room for: there may be more.
    pub(super) is_full: bool,
}

/// Reads what is there into `input`, with room for `wanted` octets at least. While nothing is there, a buffer without
/// content is given back.
///
/// # Errors
/// The connection broke.
pub(super) fn poll_fill(
    wire: &mut Wire,
    input: &mut BytesMut,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Filled>> {
    input.reserve(wanted);
    let room = input.capacity() - input.len();
    let polled = pin!(wire.read_buf(input)).poll(cx);
    if polled.is_pending() && input.is_empty() {
        *input = BytesMut::new();
    }
    polled.map_ok(|count| Filled { count, is_full: count == room })
}
