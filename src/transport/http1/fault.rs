//! What goes wrong with an HTTP/1.1 connection.

use std::io;

use crate::transport::BodyError;

/// What came is not HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(pub(in crate::transport) &'static str);

impl Nonsense {
    /// What is wrong with it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Why an exchange on a connection to a backend did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The backend closed the connection before the response was whole.
    #[error("the connection was closed before the response had ended")]
    Closed,
    /// The system says why.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no HTTP/1.1 response.
    #[error("not an HTTP/1.1 response: {0}")]
    Nonsense(&'static str),
    /// The request body broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Nobody takes the rest of the request body any more.
    #[error("the rest of the request body was not taken")]
    Stalled,
}

impl Fault {
    /// Whether the connection broke. One on which nobody has moved for minutes is a time-out.
    pub(in crate::transport) fn is_broken(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => error.kind() != io::ErrorKind::TimedOut,
            Self::Nonsense(_) | Self::Body(_) | Self::Stalled => false,
        }
    }
}

impl From<Nonsense> for Fault {
    fn from(Nonsense(what): Nonsense) -> Self {
        Self::Nonsense(what)
    }
}

impl From<httparse::Error> for Nonsense {
    fn from(error: httparse::Error) -> Self {
        Self(match error {
            httparse::Error::HeaderName => "a field's name is none",
            httparse::Error::HeaderValue => "a field's value cannot be one",
            httparse::Error::NewLine => "a line does not end as it should",
            httparse::Error::Status => "the status is none",
            httparse::Error::Version => "the version is none",
            httparse::Error::TooManyHeaders => "too many fields",
            httparse::Error::Token => "the first line is none",
        })
    }
}
