//! Where a session key is looked for: the grammar of `sticky.key` and `sticky.learn`.
//! Taking a key out of a request is [`crate::affinity`]'s work.

use std::fmt;

use http::HeaderName;
use thiserror::Error;

use super::pointer::{Pointer, PointerError};
use super::suggest;
use crate::path;

/// One place a session key can be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `cookie:NAME`.
    Cookie(String),
    /// `header:NAME`.
    Header(HeaderName),
    /// `query:NAME`.
    Query(String),
    /// `path:TEMPLATE`.
    Path(PathTemplate),
    /// `client_ip`: the address of the client, behind trusted proxies the one they name.
    ClientIp,
    /// The server name that the client named in its TLS handshake (RFC 6066 §3), lower case.
    Sni,
    /// `host`: the request's host, lower case, without the port.
    Host,
    /// `body:POINTER`: a value in the JSON body of a response. It can only be learned.
    Body(Pointer),
    /// `jwt:CLAIM`: a claim of a JSON Web Token, which is read and not verified.
    Jwt {
        /// A name at the top level of the token's claims.
        claim: String,
        /// Where the token is.
        place: TokenPlace,
    },
}

/// Where a request carries its JSON Web Token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// In `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer,
    /// `@cookie:NAME`.
    Cookie(String),
    /// `@query:NAME`.
    Query(String),
}

/// A path in which exactly one segment is the key: `/game/{room}`, `/*/{room}`. What follows the template is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    /// One for each segment after the leading `/`; exactly one is [`Segment::Capture`].
    pub segments: Vec<Segment>,
}

/// One segment of a [`PathTemplate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Must be equal to this.
    Literal(String),
    /// `*`: any one segment.
    Any,
    /// `{name}`: the key.
    Capture(String),
}

/// Why a text is not a [`KeySource`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A kind that no version knows.
    #[error("{0:?} is not a kind of key source")]
    UnknownKind(String),
    /// A kind that needs a name has none.
    #[error("`{0}` needs a name")]
    NoName(&'static str),
    /// A kind that stands alone has a name.
    #[error("`{0}` takes no name")]
    TakesNoName(&'static str),
    /// Characters that such a name cannot have.
    #[error("{name:?} cannot be the name of a {kind}")]
    BadName {
        /// The kind of source.
        kind: &'static str,
        /// What is not a name.
        name: String,
    },
    /// What stands behind the `@` of a `jwt:` source.
    #[error("{0:?} is not a place for a token")]
    TokenPlace(String),
    /// A template that fits no path, or has no key in it.
    #[error("{0}")]
    Template(&'static str),
    /// `body:` without a JSON pointer.
    #[error("{0}")]
    Pointer(PointerError),
}

/// The kinds of key source there are.
const KINDS: [&str; 9] = ["cookie", "header", "query", "path", "client_ip", "host", "sni", "jwt", "body"];

impl KeySource {
    /// Reads `cookie:NAME`, `header:NAME`, `query:NAME`, `path:TEMPLATE`, `client_ip`, `host`, `sni`, `body:POINTER`, or
    /// `jwt:CLAIM` with an `@cookie:NAME` or `@query:NAME`.
    ///
    /// # Errors
    /// What is wrong with it, as a [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (kind, name) = text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        match kind {
            "cookie" => named("cookie", name, is_token).map(Self::Cookie),
            "header" => named("header", name, is_token).and_then(|name| header(&name)).map(Self::Header),
            "query" => named("query", name, is_printable).map(Self::Query),
            "path" => PathTemplate::parse(&named("path", name, |_| true)?).map(Self::Path),
            "client_ip" => alone("client_ip", name).map(|()| Self::ClientIp),
            "sni" => alone("sni", name).map(|()| Self::Sni),
            "host" => alone("host", name).map(|()| Self::Host),
            "body" => body(&named("body", name, |_| true)?).map(Self::Body),
            "jwt" => token(name.unwrap_or_default()),
            _ => Err(KeyError::UnknownKind(kind.to_owned())),
        }
    }

    /// Whether a response can teach such a key.
    pub fn is_learnable(&self) -> bool {
        matches!(self, Self::Cookie(_) | Self::Header(_) | Self::Body(_))
    }

    /// Whether a request can carry such a key. Requests' bodies are not read.
    pub fn is_in_requests(&self) -> bool {
        !matches!(self, Self::Body(_))
    }
}

impl KeyError {
    /// What would be right.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::UnknownKind(kind) => {
                let forms =
                    "cookie:NAME, header:NAME, query:NAME, path:TEMPLATE, client_ip, host or jwt:CLAIM";
                return suggest::did_you_mean(kind, KINDS).or_else(|| Some(format!("write {forms}")));
            }
            Self::NoName("jwt") => "write \"jwt:sub\"".to_owned(),
            Self::NoName("path") => "write \"path:/game/{room}\"".to_owned(),
            Self::NoName("body") => "write \"body:/session\"".to_owned(),
            Self::NoName(kind) => format!("write \"{kind}:session\""),
            Self::TakesNoName(kind) => format!("write \"{kind}\""),
            Self::BadName { .. } => "letters, digits and - _ . are safe".to_owned(),
            Self::TokenPlace(_) => {
                "write \"jwt:sub\", \"jwt:sub@cookie:NAME\" or \"jwt:sub@query:NAME\"".to_owned()
            }
            Self::Template(_) => "write \"path:/game/{room}\" or \"path:/*/{room}\"".to_owned(),
            Self::Pointer(error) => error.help().to_owned(),
        };
        Some(help)
    }
}

impl PathTemplate {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(KeyError::Template("a path template starts with `/`"));
        };
        let segments = rest.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        // What no request's path has left when the template is looked at.
        if !path::segments(text).is_ok_and(|left| left.eq(rest.split('/'))) {
            let wrong = "a path template has whole escapes only, and no dot segments";
            return Err(KeyError::Template(wrong));
        }
        match segments.iter().filter(|segment| matches!(segment, Segment::Capture(_))).count() {
            0 => Err(KeyError::Template("a path template needs one segment like `{room}`")),
            1 => Ok(Self { segments }),
            _ => Err(KeyError::Template("a path template takes only one segment like `{room}`")),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Template("a path template has no empty segments"));
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let plain = inner.unwrap_or(text);
        if plain.contains(['{', '}', '*']) {
            return Err(KeyError::Template("`{name}` and `*` stand for whole segments"));
        }
        if !plain.bytes().all(|byte| byte.is_ascii_graphic()) || plain.contains(['?', '#']) {
            return Err(KeyError::Template("a path template has only characters of a URL's path"));
        }
        match inner {
            Some("") => Err(KeyError::Template("the key's segment needs a name, like `{room}`")),
            Some(name) => Ok(Self::Capture(name.to_owned())),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }
}

fn named(kind: &'static str, name: Option<&str>, fits: fn(&str) -> bool) -> Result<String, KeyError> {
    match name.unwrap_or_default() {
        "" => Err(KeyError::NoName(kind)),
        name if fits(name) => Ok(name.to_owned()),
        name => Err(KeyError::BadName { kind, name: name.to_owned() }),
    }
}

fn alone(kind: &'static str, name: Option<&str>) -> Result<(), KeyError> {
    name.map_or(Ok(()), |_| Err(KeyError::TakesNoName(kind)))
}

fn header(name: &str) -> Result<HeaderName, KeyError> {
    HeaderName::try_from(name).map_err(|_| KeyError::BadName { kind: "header", name: name.to_owned() })
}

fn body(pointer: &str) -> Result<Pointer, KeyError> {
    Pointer::parse(pointer).map_err(KeyError::Pointer)
}

/// `CLAIM`, `CLAIM@cookie:NAME` or `CLAIM@query:NAME`. Claims are often URLs, so they may have a `:`.
fn token(text: &str) -> Result<KeySource, KeyError> {
    let (claim, place) = text.split_once('@').map_or((text, None), |(claim, place)| (claim, Some(place)));
    let place = place.map_or(Ok(TokenPlace::Bearer), token_place)?;
    match claim {
        "" => Err(KeyError::NoName("jwt")),
        claim if is_printable(claim) => Ok(KeySource::Jwt { claim: claim.to_owned(), place }),
        claim => Err(KeyError::BadName { kind: "claim", name: claim.to_owned() }),
    }
}

fn token_place(text: &str) -> Result<TokenPlace, KeyError> {
    match text.split_once(':') {
        Some(("cookie", name)) => named("cookie", Some(name), is_token).map(TokenPlace::Cookie),
        Some(("query", name)) => named("query", Some(name), is_printable).map(TokenPlace::Query),
        _ => Err(KeyError::TokenPlace(text.to_owned())),
    }
}

fn is_printable(name: &str) -> bool {
    !name.contains(char::is_control)
}

/// A `token` of RFC 9110, as header and cookie names are.
pub(super) fn is_token(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path(template) => write!(f, "path:{template}"),
            Self::ClientIp => f.write_str("client_ip"),
            Self::Host => f.write_str("host"),
            Self::Sni => f.write_str("sni"),
            Self::Body(pointer) => write!(f, "body:{pointer}"),
            Self::Jwt { claim, place } => write!(f, "jwt:{claim}{place}"),
        }
    }
}

/// With the `@` before it; nothing for the usual place.
impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => Ok(()),
            Self::Cookie(name) => write!(f, "@cookie:{name}"),
            Self::Query(name) => write!(f, "@query:{name}"),
        }
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Any => f.write_str("/*")?,
                Segment::Capture(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}
