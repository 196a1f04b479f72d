//! What is tried on a connection of its own, and what must come of it. The failures of a topic are told together.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::raw_http2::{End, Peer};
use crate::support::{Backend, Message, Proxy};

/// One thing that a client may do.
pub(crate) struct Case {
    /// What says how it ends: sections are those of RFC 9113 unless another is named.
    pub(crate) rule: &'static str,
    pub(crate) what: &'static str,
    /// Said after preface and settings. A request among it is on stream 1.
    pub(crate) sent: Vec<u8>,
    pub(crate) outcome: Outcome,
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The request is answered with this status; the connection goes on. Only 200 is from the backend.
    Answered(u16),
    /// The stream is reset with one of these codes; the connection goes on.
    Reset(&'static [u32]),
    /// The connection ends with one of these codes.
    GoAway(&'static [u32]),
    /// Nothing comes of it; the connection goes on.
    Nothing,
}

pub(crate) fn case(rule: &'static str, what: &'static str, sent: Vec<u8>, outcome: Outcome) -> Case {
    Case { rule, what, sent, outcome }
}

/// Tries all of a topic.
///
/// # Panics
/// If one or more do not end as they must.
#[track_caller]
pub(crate) fn try_all(cases: &[Case]) {
    each(cases, |case| (case.rule, case.what), try_one);
}

/// Does the same for each of `cases`, and tells all those together that fail.
#[track_caller]
pub(crate) fn each<C>(cases: &[C], name: impl Fn(&C) -> (&'static str, &'static str), run: impl Fn(&C)) {
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let failure = catch_unwind(AssertUnwindSafe(|| run(case))).err()?;
            let text = failure.downcast_ref::<String>().cloned();
            let text = text.or_else(|| failure.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let (rule, what) = name(case);
            Some(format!("{rule}: {what}: {}", text.unwrap_or_default()))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

fn try_one(case: &Case) {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    peer.try_send(&case.sent);
    match case.outcome {
        Outcome::Answered(status) => {
            let got = peer.answer(1);
            assert_eq!((got.status(), got.ended), (status, true), "{got:?}");
        }
        Outcome::Reset(codes) => {
            let got = peer.answer(1);
            assert!(got.reset.is_some_and(|code| codes.contains(&code)), "{got:?}");
            assert!(got.head.is_empty(), "{got:?}");
        }
        Outcome::GoAway(codes) => {
            let end = peer.end();
            assert!(matches!(end, End::GoAway(code) if codes.contains(&code)), "{end:?}");
            peer = Peer::open(proxy.address);
        }
        Outcome::Nothing => peer.settle(),
    }
    goes_on(&mut peer);
    let expected = if matches!(case.outcome, Outcome::Answered(200)) { 2 } else { 1 };
    let requests = backend.requests();
    assert_eq!(requests.len(), expected, "at the backend: {requests:?}");
}

/// A connection, this one or a new one, is served.
#[track_caller]
pub(crate) fn goes_on(peer: &mut Peer) {
    peer.skip_to(101);
    let got = peer.get("/after");
    assert_eq!((got.status(), got.text().as_str()), (200, "a"), "{got:?}");
}

/// What a backend gets of a request.
#[track_caller]
pub(crate) fn forwarded(sent: impl AsRef<[u8]>) -> Message {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let got = peer.send(sent).answer(1);
    assert_eq!((got.status(), got.ended), (200, true), "{got:?}");
    goes_on(&mut peer);
    let mut requests = backend.requests();
    assert_eq!((requests.len(), requests[1].target()), (2, "/after"), "{requests:?}");
    requests.remove(0)
}
