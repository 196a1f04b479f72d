//! Rules of the source tree that a compiler cannot keep: which module may know which, how files begin, how large they are.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from those that know nothing to those that know all. A module imports only from rows
/// above its own; those in one row do not know each other.
const LEVELS: &[&[&str]] = &[
    &["columns", "path"],
    &["config", "stable_hash", "clock", "headers", "tally"],
    &["telemetry", "watch", "balance", "backend"],
    &["affinity", "transport"],
    &["pool", "route", "listener", "state"],
    &["snapshot"],
    &["explain", "simulate"],
    &["health"],
    &["proxy"],
    &["server"],
    &["admin"],
    &["demo"],
    &["cli"],
];

/// Lines of a source file before its unit tests.
const MAX_LINES: usize = 450;

#[test]
fn modules_import_only_from_levels_above_their_own() {
    let level = |module: &str| LEVELS.iter().position(|row| row.contains(&module));
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = module_of(&path) else { continue };
        let own_level = level(&own).unwrap_or_else(|| panic!("module {own} is not in LEVELS"));
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            for known in line.split("crate::").skip(1).filter_map(|rest| name_at(rest)) {
                if known != own && level(known).is_some_and(|level| level >= own_level) {
                    wrong.push(format!("{}:{}: {own} knows {known}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the direction of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn hyper_appears_only_where_messages_and_connections_are() {
    const ALLOWED: [&str; 5] = ["transport", "proxy", "server", "admin", "demo"];
    let strays = sources().into_iter().filter(|(path, text)| {
        let at_home = module_of(path).is_none_or(|module| ALLOWED.contains(&module.as_str()));
        !at_home && text.lines().any(|line| line.trim_start().starts_with("use hyper"))
    });
    let strays: Vec<_> = strays.map(|(path, _)| path).collect();
    assert!(strays.is_empty(), "hyper types in {strays:?}");
}

#[test]
fn every_file_says_what_it_owns() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not begin with //!", path.display());
    }
}

#[test]
fn no_file_is_too_long() {
    let lines = |text: &str| text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let long: BTreeMap<_, _> = sources()
        .into_iter()
        .map(|(path, text)| (path, lines(&text)))
        .filter(|(_, n)| *n > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "longer than {MAX_LINES} lines: {long:?}");
}

/// All source files of the crate, with their paths below `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found
                    .push((path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 40, "the sources were not found");
    found
}

/// The top-level module a file belongs to; none for the roots of the crate.
fn module_of(path: &Path) -> Option<String> {
    let first = path.iter().next()?.to_str()?.trim_end_matches(".rs").to_owned();
    (!matches!(first.as_str(), "lib" | "main")).then_some(first)
}

/// The identifier a text begins with.
fn name_at(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}
