//! The bearer token of the admin listener (RFC 6750 §2.1). Who must show it is for the listener to say.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// What callers must show. It shows itself to nobody.
#[derive(Clone)]
pub struct Token {
    octets: Arc<[u8]>,
    file: Option<Arc<Path>>,
}

impl Token {
    /// Characters of the shortest token.
    pub const LEAST: usize = 16;

    /// The token in a file: all of `text` without the white space at its ends. `None` if it is too short, or could not be
    /// sent in a header field.
    pub fn new(text: &[u8]) -> Option<Self> {
        let token = text.trim_ascii();
        (token.len() >= Self::LEAST && token.iter().all(u8::is_ascii_graphic))
            .then(|| Self { octets: token.into(), file: None })
    }

    /// The same, as it came from a file.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// The file it came from, if from one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether `shown` is this token, in a time that does not tell how much of it is right.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.octets.ct_eq(shown).into()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.octets)
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}
