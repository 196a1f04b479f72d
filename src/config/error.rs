//! What is wrong with a configuration file, and how it is shown: each problem with its place, its line and a caret.
//! Finding problems is the checks' work; collecting them is [`super::report`]'s.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

/// The sort of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file cannot be read at all.
    Unreadable,
    /// Not TOML.
    Syntax,
    /// A key that does not exist.
    UnknownKey,
    /// Something that must be there and is not.
    Missing,
    /// A value that cannot be.
    Invalid,
}

/// One thing that is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What sort of problem it is.
    #[serde(skip)]
    pub kind: ProblemKind,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 when the file as a whole is meant.
    pub column: usize,
    /// Which setting: `server.workers`, `pool "chess" sticky.mode`. Empty for syntax errors.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    #[serde(skip)]
    pub(super) excerpt: Option<Excerpt>,
}

/// The part of a source line that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    text: String,
    indent: usize,
    width: usize,
}

/// Everything wrong with one configuration file, in the order of its lines; never empty.
#[derive(Debug, Clone)]
pub struct Errors {
    origin: String,
    problems: Vec<Problem>,
}

/// Longest part of a source line that is shown.
const EXCERPT_CHARS: usize = 100;
/// Characters shown before the caret when a line is longer than that.
const LEAD_CHARS: usize = 30;

impl Excerpt {
    /// Shows `line` with `width` characters marked from the 1-based `column` on.
    pub(super) fn new(line: &str, column: usize, width: usize) -> Self {
        let start = if line.chars().count() > EXCERPT_CHARS { column.saturating_sub(LEAD_CHARS) } else { 0 };
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = line.chars().skip(start).take(EXCERPT_CHARS).map(printable).collect();
        let indent = column.saturating_sub(1 + start);
        let width = width.min(text.chars().count().saturating_sub(indent)).max(1);
        Self { text: text.trim_end().to_owned(), indent, width }
    }
}

impl Errors {
    /// `problems` must not be empty.
    pub(super) fn new(origin: &str, mut problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "no error without a problem");
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Self { origin: origin.to_owned(), problems }
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let problem = Problem {
            kind: ProblemKind::Unreadable,
            line: 0,
            column: 0,
            key: String::new(),
            message: format!("cannot be read: {error}"),
            help: None,
            excerpt: None,
        };
        Self::new(&path.display().to_string(), vec![problem])
    }

    /// The file's name as it stands in messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The problems, by line; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Error for Errors {}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{problem}", self.origin)?;
        }
        Ok(())
    }
}

/// Without the file's name, so that `name:` can stand before it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)?;
        let number = self.line.to_string();
        if let Some(Excerpt { text, indent, width }) = &self.excerpt {
            write!(f, "\n{number:>5} | {text}\n      | {:indent$}{:^<width$}", "", "")?;
        }
        match &self.help {
            Some(help) => write!(f, "\n      = help: {help}"),
            None => Ok(()),
        }
    }
}
