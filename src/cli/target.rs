//! `POOL/BACKEND` as it is said, and the paths of the admin API that stand for it.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::columns::clean;

/// What of a name or a key may stand in a path as it is.
const HIDDEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A backend of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pool: String,
    pub(super) backend: String,
}

impl Target {
    /// Its path.
    pub(super) fn path(&self) -> String {
        format!("{}/backends/{}", pool_path(&self.pool), encoded(self.backend.as_bytes()))
    }
}

/// The path of a pool.
pub(super) fn pool_path(pool: &str) -> String {
    format!("/api/pools/{}", encoded(pool.as_bytes()))
}

/// Octets as they may stand in a path or a parameter.
pub(super) fn encoded(octets: &[u8]) -> String {
    percent_encode(octets, HIDDEN).to_string()
}

/// The name of a pool.
pub(super) fn pool(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('/') {
        return Err("write the name of a pool, without a slash".into());
    }
    Ok(text.to_owned())
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((pool, backend)) if !pool.is_empty() && !backend.is_empty() && !backend.contains('/') => {
                Ok(Self { pool: pool.to_owned(), backend: backend.to_owned() })
            }
            _ => Err("write POOL/BACKEND, as `homing status` names them".into()),
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", clean(&self.pool), clean(&self.backend))
    }
}
