//! HTTP/1 on both sides. The cases are in the text files beside this one, a file for each topic; how they are written
//! is said in [`parse`].

mod case;
mod judge;
mod parse;
mod run;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use case::Case;

use crate::front::Front;
use crate::support::DEADLINE;

/// A test for each topic, and the list of all.
macro_rules! topics {
    ($($topic:ident)*) => {
        const TOPICS: &[(&str, &str)] = &[$(
            (concat!(stringify!($topic), ".txt"), include_str!(concat!(stringify!($topic), ".txt"))),
        )*];

        $(
            #[test]
            fn $topic() {
                holds(concat!(stringify!($topic), ".txt"));
            }
        )*
    };
}

topics! {
    framing
    chunks
    syntax
    targets
    host
    hop_by_hop
    identity
    limits
    expect
    old_versions
    pipelining
    responses
    interim
    broken_responses
    reuse
    upgrade
}

/// The suite is to have at least so many.
const FEWEST: usize = 150;

#[test]
fn there_are_enough_cases_and_no_name_twice() {
    let cases = all();
    assert!(cases.len() >= FEWEST, "{} cases", cases.len());
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{}: the name was there before: {}", case.place, case.name);
    }
}

#[test]
fn every_file_of_cases_is_a_topic() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/http1");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let files = names.filter(|name| std::path::Path::new(name).extension().is_some_and(|is| is == "txt"));
    let topics: HashSet<_> = TOPICS.iter().map(|(file, _)| std::ffi::OsString::from(file)).collect();
    assert_eq!(files.collect::<HashSet<_>>(), topics);
}

/// A suite that a wire passes proves nothing. A relay carries well-formed messages as well as a proxy does, so cases of
/// which that is all that is asked pass; each of them says so, and why. Every other case must fail: that is, the case
/// can fail, and needs a proxy to hold.
#[test]
fn a_raw_relay_fails() {
    let (passing, failing): (Vec<Case>, Vec<Case>) = all().into_iter().partition(|case| case.relay.is_some());
    let share = failing.len() * 100 / (passing.len() + failing.len());
    assert!(share >= SHARE, "only {share} % of the cases need a proxy");
    let mistaken = failures(&passing, Front::Relay(DEADLINE));
    assert!(mistaken.is_empty(), "a relay passes these, they say, but: {}", mistaken.concat());
    let failed: HashSet<_> = places(&failures(&failing, Front::Relay(IMPATIENCE)));
    let passed: Vec<_> = failing.iter().filter(|case| !failed.contains(&case.place)).collect();
    let names: Vec<_> = passed.iter().map(|case| format!("\n{}: {}", case.place, case.name)).collect();
    assert!(names.is_empty(), "a relay passes {} cases that do not say so:{}", names.len(), names.concat());
}

/// Of the cases, in percent, must fail with a relay.
const SHARE: usize = 85;
/// A relay that has to fail does so too by not answering.
const IMPATIENCE: Duration = Duration::from_millis(700);

fn all() -> Vec<Case> {
    TOPICS.iter().flat_map(|(file, text)| parse::cases(file, text)).collect()
}

/// Runs a topic against the proxy; everything that does not hold is told at once.
#[track_caller]
fn holds(topic: &str) {
    let cases: Vec<Case> = all().into_iter().filter(|case| case.place.starts_with(topic)).collect();
    let failures = failures(&cases, Front::Proxy);
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.concat());
}

/// The reports of the cases that fail. Most wait more than they work, so several run at a time.
fn failures(cases: &[Case], front: Front) -> Vec<String> {
    const AT_ONCE: usize = 8;
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run::run(case, front);
                    let wrong = judge::judge(case, &outcome);
                    if !wrong.is_empty() {
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        failures.push(judge::report(case, &outcome, &wrong));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    failures
}

/// The places that reports begin with.
fn places(reports: &[String]) -> HashSet<String> {
    let place = |report: &String| report.trim_start().split(": ").next().unwrap_or_default().to_owned();
    reports.iter().map(place).collect()
}
