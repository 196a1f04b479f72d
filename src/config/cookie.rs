//! The proxy's own cookie, as `mode = "cookie"` has it: what it is called, how browsers are told to treat it, and the
//! secrets it is sealed with. Sealing is [`crate::affinity::Sealer`]'s work.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use cookie::SameSite;

/// The settings of `mode = "cookie"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The cookie.
    pub cookie: Cookie,
    /// A session without requests and connections ends after this long. Default 30 min.
    pub idle_timeout: Duration,
    /// A session ends so long after its beginning. Default 0: never.
    pub max_lifetime: Duration,
    /// Most sessions that one process keeps track of. Default 1,000,000.
    pub capacity: NonZeroUsize,
}

/// `[pool.sticky.cookie]`. Its texts are checked: they cannot break a `Set-Cookie` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// A `token` of RFC 9110. Default: `homing_` and the pool's name, with `_` for what a token cannot have.
    pub name: String,
    /// The first seals, all open. Empty: a random one is made at the start.
    pub secrets: Vec<Secret>,
    /// Which requests from other sites bring it. Default `lax`.
    pub same_site: SameSite,
    /// Whether it is only for encrypted connections. Default `auto`.
    pub secure: Secure,
    /// Whether scripts of a page cannot see it. Default `true`.
    pub http_only: bool,
    /// Paths it is for; starts with `/`, which is the default.
    pub path: String,
    /// The domain whose subdomains get it too. Default `None`: only the host that set it.
    pub domain: Option<String>,
    /// How long the client keeps it; at least a second, whole seconds. Default `None`: until the browser is closed.
    pub max_age: Option<Duration>,
    /// Whether it belongs to the site it is embedded in (CHIPS). Default `false`.
    pub partitioned: bool,
}

/// `cookie.secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// On connections that are encrypted.
    Auto,
    /// `true`.
    Always,
    /// `false`.
    Never,
}

/// What a key is derived from; at least [`Secret::LEAST`] octets. It shows itself to nobody. Where it came from is no part
/// of it: two with the same octets are the same.
#[derive(Clone)]
pub struct Secret {
    octets: Arc<[u8]>,
    origin: Option<Arc<Origin>>,
}

/// Where a secret came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This file.
    File(PathBuf),
    /// The variable of this name in the environment.
    Variable(String),
}

impl Origin {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Variable(_) => None,
        }
    }

    /// The variable, if it is one.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::File(_) => None,
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Secret {}

impl Secret {
    /// Octets of the shortest secret: as many as the derived key has.
    pub const LEAST: usize = 32;

    /// The secret in a file or variable: all of `text` but one newline at its end. `None` if that is too short.
    pub fn new(text: &[u8]) -> Option<Self> {
        let line = text.strip_suffix(b"\n").map_or(text, |line| line.strip_suffix(b"\r").unwrap_or(line));
        (line.len() >= Self::LEAST).then(|| Self { octets: line.into(), origin: None })
    }

    /// The same, as it came from there.
    #[must_use]
    pub fn from(self, origin: Origin) -> Self {
        Self { origin: Some(Arc::new(origin)), ..self }
    }

    /// Where it came from, if that is known.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// The octets, for whoever derives the key.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.octets
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
