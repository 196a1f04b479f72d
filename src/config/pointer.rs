//! JSON pointers (RFC 6901): which value of a JSON text is meant.
//! Finding that value in a body is [`crate::affinity::body`]'s work.

use std::fmt;

use thiserror::Error;

/// A pointer to a value inside a JSON text: `/user/session`, `/rooms/0/id`, `/a~1b` for the key `a/b`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    tokens: Vec<String>,
}

/// Why a text is not a [`Pointer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PointerError {
    /// It does not begin with `/`. That the empty text means the whole of a JSON text is of no use here.
    #[error("a JSON pointer starts with `/`")]
    NoSlash,
    /// A `~` that escapes nothing.
    #[error("a `~` in a JSON pointer is followed by 0 or 1")]
    Escape,
}

impl Pointer {
    /// Reads `/TOKEN`, and perhaps more such tokens, in which `~1` is a `/` and `~0` a `~` (RFC 6901 §3, §4).
    ///
    /// # Errors
    /// What is wrong with it, as a [`PointerError`].
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let tokens = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        Ok(Self { tokens: tokens.split('/').map(unescaped).collect::<Result<_, _>>()? })
    }

    /// The keys and indices that lead to the value, from the outermost, unescaped. At least one.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

impl PointerError {
    /// What would be right.
    pub fn help(self) -> &'static str {
        match self {
            Self::NoSlash => "write \"body:/session\" or \"body:/user/session\"",
            Self::Escape => "write `~0` for a `~`, and `~1` for a `/` that belongs to a key",
        }
    }
}

fn unescaped(token: &str) -> Result<String, PointerError> {
    let mut parts = token.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err(PointerError::Escape),
        };
        plain.push(character);
        plain.push_str(rest);
    }
    Ok(plain)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `~` first, or the `~` of `~1` would be escaped again.
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unescaped_once_and_shown_as_they_are_written() {
        for (text, tokens) in [
            ("/sid", &["sid"][..]),
            ("/a/0/b~1c", &["a", "0", "b/c"]),
            ("/~01", &["~1"]),
            ("/~00~11", &["~0/1"]),
            ("/", &[""]),
            ("/ä//", &["ä", "", ""]),
        ] {
            let pointer = Pointer::parse(text).expect("a pointer");
            assert_eq!(pointer.tokens(), tokens);
            assert_eq!(pointer.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_pointer() {
        assert_eq!(Pointer::parse(""), Err(PointerError::NoSlash));
        assert_eq!(Pointer::parse("a/b"), Err(PointerError::NoSlash));
        for text in ["/~", "/a~", "/~2", "/~/0", "/~~0", "/~ä"] {
            assert_eq!(Pointer::parse(text), Err(PointerError::Escape), "{text}");
        }
    }
}
