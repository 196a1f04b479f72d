//! One case: what client and backend do, and what must hold. [`super::parse`] reads cases from text.

use crate::backend::Answer;

/// One case.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    /// File and line.
    pub(super) place: String,
    /// What holds.
    pub(super) name: String,
    /// RFC sections and CVEs that say so.
    pub(super) sources: String,
    /// Settings of the proxy beside the defaults: a table of the file, or `top`, and a line for it.
    pub(super) settings: Vec<(String, String)>,
    /// Why a relay passes the case too; most it must fail.
    pub(super) relay: Option<String>,
    pub(super) client: Vec<Step>,
    /// To the first requests; others get `ok`.
    pub(super) answers: Vec<Answer>,
    pub(super) responses: Vec<ResponseWanted>,
    pub(super) end: Option<End>,
    pub(super) requests: Requests,
}

/// What the client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// Reads the next response, whatever it is.
    AwaitResponse,
    /// Waits until the backend has so many heads.
    AwaitBackend(usize),
    /// Waits until the backend's connections have ended.
    AwaitBackendEnd,
    /// Sends no more.
    End,
}

/// How it stands with the client's connection after the last response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The proxy has closed it, and nothing more came.
    Closed,
    /// It answers another request.
    Open,
}

/// One response.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseWanted {
    pub(super) status: u16,
    /// The answer to a `HEAD`.
    pub(super) to_head: bool,
    /// Any, where there is none.
    pub(super) body: Option<Vec<u8>>,
    pub(super) extent: Extent,
    pub(super) head: HeadWanted,
    /// The whole response, octet by octet.
    pub(super) exactly: Option<Vec<u8>>,
}

/// What the backend must have got.
#[derive(Debug, Clone, Default)]
pub(super) enum Requests {
    #[default]
    Unsaid,
    /// Not an octet.
    None,
    All(Vec<RequestWanted>),
}

/// One request.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestWanted {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
    pub(super) extent: Extent,
    pub(super) carrier: Carrier,
    /// Nothing may come behind it before it is answered.
    pub(super) alone: bool,
    pub(super) head: HeadWanted,
}

/// The backend's connection that a request comes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Carrier {
    #[default]
    Any,
    /// Where the request before it came.
    Same,
    /// Not there.
    Other,
}

/// How much of a message there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Extent {
    #[default]
    Whole,
    /// It broke off, visibly. Its body is a beginning of what is wanted.
    Part,
    /// The same, or none of it came.
    AtMostPart,
}

/// Fields of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct HeadWanted {
    /// Each name with its values in order; `*` is any.
    pub(super) fields: Vec<(String, Vec<Vec<u8>>)>,
    pub(super) absent: Vec<String>,
    /// Whether there are no others.
    pub(super) nothing_else: bool,
}
