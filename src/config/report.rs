//! Collects problems while a file is being checked, and finds their lines.
//! What a problem is, and how it looks, is [`super::error`]'s.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use super::error::{Errors, Excerpt, Problem, ProblemKind};

/// What a check has to say; the place is added by whoever knows it.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    kind: ProblemKind,
    message: String,
    help: Option<String>,
}

impl Complaint {
    fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Invalid, message)
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(ProblemKind::Missing, message)
    }

    pub(super) fn unknown_key() -> Self {
        Self::new(ProblemKind::UnknownKey, "unknown key")
    }

    /// Adds what would be right.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The same, where there may be nothing to say.
    pub(super) fn maybe_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// What is wrong and what would be right, on one line.
    pub(super) fn into_text(self) -> String {
        let Self { message, help, .. } = self;
        help.map_or_else(|| message.clone(), |help| format!("{message}: {help}"))
    }
}

/// The problems of one file so far.
pub(super) struct Report<'s> {
    source: &'s str,
    /// Where the file is, and what it names by a relative path.
    pub(super) directory: &'s Path,
    line_starts: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'s> Report<'s> {
    pub(super) fn new(source: &'s str, directory: &'s Path) -> Self {
        let breaks = source.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { source, directory, line_starts, problems: RefCell::default() }
    }

    /// Adds a problem with the setting `key`, found at `span`.
    pub(super) fn add(&self, key: String, span: &Range<usize>, complaint: Complaint) {
        let (line, column) = self.position(span.start);
        let text = self.line(line);
        let marked = self.source.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
        let excerpt = Some(Excerpt::new(text, column, marked.chars().count()));
        self.push(Problem { line, column, excerpt, ..unplaced(key, complaint) });
    }

    /// Adds a problem with the file as a whole.
    pub(super) fn add_unplaced(&self, key: &str, complaint: Complaint) {
        self.push(unplaced(key.to_owned(), complaint));
    }

    /// Adds what is not TOML; of one line only the first thing.
    pub(super) fn add_syntax(&self, offset: usize, message: &str, help: Option<String>) {
        let line = self.line_of(offset);
        if !self.problems.borrow().iter().any(|told| is_syntax(told) && told.line == line) {
            let complaint = Complaint::new(ProblemKind::Syntax, message).maybe_help(help);
            self.add(String::new(), &(offset..offset), complaint);
        }
    }

    /// The 1-based line of an offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// `value`, if nothing was wrong.
    pub(super) fn into_result<T>(self, origin: &str, value: T) -> Result<T, Errors> {
        let problems = self.without_echoes();
        if problems.is_empty() { Ok(value) } else { Err(Errors::new(origin, problems)) }
    }

    /// What seems to be missing from a file with syntax errors is most likely in what could not be read.
    fn without_echoes(&self) -> Vec<Problem> {
        let mut problems = self.problems.take();
        if problems.iter().any(is_syntax) {
            problems.retain(|problem| problem.kind != ProblemKind::Missing);
        }
        problems
    }

    fn push(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_of(offset);
        let before = &self.source[self.line_starts[line - 1]..self.source.floor_char_boundary(offset)];
        (line, before.chars().count() + 1)
    }

    fn line(&self, line: usize) -> &'s str {
        let start = self.line_starts[line - 1];
        self.source[start..].lines().next().unwrap_or_default()
    }
}

fn is_syntax(problem: &Problem) -> bool {
    problem.kind == ProblemKind::Syntax
}

fn unplaced(key: String, Complaint { kind, message, help }: Complaint) -> Problem {
    Problem { kind, line: 0, column: 0, key, message, help, excerpt: None }
}
