//! What a client does wrong, and whom that ends (RFC 9113 §5.4).

use std::io;

use h2::Reason;

use crate::headers::Request;
use crate::transport::http1::client::HeadError;

/// Something that a client did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It ends the connection.
    Connection(Reason, &'static str),
    /// It ends one stream.
    Stream(u32, Reason, &'static str),
}

impl Fault {
    /// One of the protocol, which ends the connection.
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self::Connection(Reason::PROTOCOL_ERROR, what)
    }

    /// A frame of another length than its kind has.
    pub(super) const fn size(what: &'static str) -> Self {
        Self::Connection(Reason::FRAME_SIZE_ERROR, what)
    }
}

/// A request that is none that can be passed on.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: HeadError,
    /// What is known of it.
    pub request: Box<Request>,
}

/// How a connection ended that was not to end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The client kept to no protocol, or asked for more than is borne; it is told the reason.
    #[error("{0} ({1})")]
    Refused(&'static str, Reason),
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// A stream came to an end before its request had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// It was reset, by either side.
    #[error("the stream was reset ({0})")]
    Reset(Reason),
    /// Its connection ended.
    #[error("the connection was closed before the request had ended")]
    Closed,
}
