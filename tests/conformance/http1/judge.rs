//! What of a case's outcome is not what must hold.

use std::fmt::Write as _;

use super::case::{Carrier, Case, Extent, HeadWanted, RequestWanted, Requests, ResponseWanted};
use super::run::Outcome;
use crate::backend::Arrival;
use crate::octets::show;
use crate::strict::Message;

/// Everything that differs; nothing if the case holds.
pub(super) fn judge(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut wrong = outcome.wrong.clone();
    for (number, wanted) in case.responses.iter().enumerate() {
        let who = format!("response {}", number + 1);
        match outcome.responses.get(number) {
            None if wanted.extent == Extent::AtMostPart => {}
            None => wrong.push(format!("{who} did not come")),
            Some(got) => response(&who, wanted, (got, &outcome.octets[number]), &mut wrong),
        }
    }
    match &case.requests {
        Requests::Unsaid | Requests::None => {
            if outcome.backend.iter().any(|octets| has_case(octets)) {
                wrong.push("the backend got something".into());
            }
        }
        Requests::All(wanted) => {
            requests(wanted, &outcome.requests, &mut wrong);
            arrivals(wanted, &outcome.arrivals, &mut wrong);
        }
    }
    wrong
}

/// The failure of a case as a reader wants to see it.
pub(super) fn report(case: &Case, outcome: &Outcome, wrong: &[String]) -> String {
    let mut report = format!("\n{}: {} ({})\n", case.place, case.name, case.sources);
    for wrong in wrong {
        let _ = writeln!(report, "    wrong: {wrong}");
    }
    let _ = writeln!(report, "    the client got {}", show(&outcome.client));
    for (number, octets) in outcome.backend.iter().enumerate() {
        let _ = writeln!(report, "    the backend got, on connection {}, {}", number + 1, show(octets));
    }
    report
}

/// Whether a connection carried anything but probes.
fn has_case(octets: &[u8]) -> bool {
    let rest = octets.strip_prefix(b"GET /probe/");
    let end = |rest: &[u8]| rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    match rest {
        None => !octets.is_empty(),
        Some(rest) => end(rest).is_none_or(|end| has_case(&rest[end..])),
    }
}

fn response(who: &str, wanted: &ResponseWanted, (got, octets): (&Message, &[u8]), wrong: &mut Vec<String>) {
    if got.status() != wanted.status {
        wrong.push(format!("{who} is {}, not {}", got.status(), wanted.status));
    }
    if let Some(body) = &wanted.body {
        extent(who, (wanted.extent, body), got, wrong);
    } else if got.whole != (wanted.extent == Extent::Whole) {
        wrong.push(format!("{who} {}", if got.whole { "looks whole" } else { "broke off" }));
    }
    if let Some(exactly) = &wanted.exactly
        && octets != exactly
    {
        wrong.push(format!("{who} is {}, not {}", show(octets), show(exactly)));
    }
    head(who, &wanted.head, got, wrong);
}

fn requests(wanted: &[RequestWanted], got: &[Message], wrong: &mut Vec<String>) {
    let mut got = got.iter();
    for (number, wanted) in wanted.iter().enumerate() {
        let who = format!("request {}", number + 1);
        match got.next() {
            None if wanted.extent == Extent::AtMostPart => {}
            None => wrong.push(format!("{who} did not come")),
            Some(got) => request(&who, wanted, got, wrong),
        }
    }
    for more in got {
        wrong.push(format!("the backend got {:?} too", more.start_line));
    }
}

fn arrivals(wanted: &[RequestWanted], got: &[Arrival], wrong: &mut Vec<String>) {
    for (number, (wanted, arrival)) in wanted.iter().zip(got).enumerate() {
        let who = format!("request {}", number + 1);
        if wanted.alone && arrival.is_followed {
            wrong.push(format!("more had come behind {who} before it was answered"));
        }
        let before = number.checked_sub(1).map(|before| got[before].connection);
        match (wanted.carrier, before == Some(arrival.connection)) {
            (Carrier::Same, false) => wrong.push(format!("{who} came on another connection")),
            (Carrier::Other, true) => wrong.push(format!("{who} came on the same connection")),
            _ => {}
        }
    }
}

fn request(who: &str, wanted: &RequestWanted, got: &Message, wrong: &mut Vec<String>) {
    let line = format!("{} {} HTTP/1.1", wanted.method, wanted.target);
    if got.start_line != line {
        wrong.push(format!("{who} is {:?}, not {line:?}", got.start_line));
    }
    extent(who, (wanted.extent, &wanted.body), got, wrong);
    head(who, &wanted.head, got, wrong);
}

fn extent(who: &str, (extent, body): (Extent, &[u8]), got: &Message, wrong: &mut Vec<String>) {
    let is_whole = extent == Extent::Whole;
    let body_fits = if is_whole { got.body == body } else { body.starts_with(&got.body) };
    if !body_fits {
        wrong.push(format!("the body of {who} is {}, not {}", show(&got.body), show(body)));
    }
    if got.whole != is_whole {
        wrong.push(format!("{who} {}", if got.whole { "looks whole" } else { "broke off" }));
    }
}

fn head(who: &str, wanted: &HeadWanted, got: &Message, wrong: &mut Vec<String>) {
    for (name, values) in &wanted.fields {
        let found = got.all(name);
        let fits = |(found, wanted): (&&[u8], &Vec<u8>)| wanted == b"*" || *found == &wanted[..];
        if found.len() != values.len() || !found.iter().zip(values).all(fits) {
            let (found, values) = (list(found.iter().copied()), list(values.iter().map(Vec::as_slice)));
            wrong.push(format!("{name} of {who} is {found}, not {values}"));
        }
    }
    for name in wanted.absent.iter().filter(|name| !got.all(name).is_empty()) {
        wrong.push(format!("{who} has {name}"));
    }
    if wanted.nothing_else {
        let known = |name: &str| wanted.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        for (name, value) in got.fields.iter().filter(|(name, _)| !known(name)) {
            wrong.push(format!("{who} has {name}: {}", value.escape_ascii()));
        }
    }
}

fn list<'a>(values: impl Iterator<Item = &'a [u8]>) -> String {
    let values: Vec<_> = values.map(show).collect();
    if values.is_empty() { "absent".into() } else { values.join(", ") }
}
