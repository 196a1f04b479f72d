//! A small exchange with a fault at every octet: the connection is reset, or ended, or the octets come in two parts. On
//! the client's side and on the backend's, for plain, chunked and upgraded exchanges.
//!
//! Whatever happens, somebody gets the right whole answer, an error of the proxy's, or a break that cannot be missed.
//! Nothing hangs, nobody gets another's answer, and nothing with side effects is done twice.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "fault_sweep/ends.rs"]
mod ends;
#[path = "fault_sweep/exchange.rs"]
mod exchange;
#[path = "fault_sweep/lane.rs"]
mod lane;
#[path = "../fuzz/src/message.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the fuzz targets use the rest")]
mod message;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use exchange::{ALL, Exchange};
use lane::{Lane, Verdict};

/// Proxies that cases are spread over; each has its own backend, so that a stray answer is noticed.
const LANES: usize = 6;

/// The number of the first case: all have as many digits, so that all octets of an exchange are of one length.
const FIRST: usize = 10_000;

/// What happens behind the last octet that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// As if the process had died.
    Reset,
    /// The connection is closed in an orderly way.
    End,
    /// Nothing but a pause: the rest follows.
    Pause,
}

/// Whose octets the fault is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Backend,
}

/// One run of an exchange.
#[derive(Debug, Clone, Copy)]
struct Case {
    exchange: &'static Exchange,
    side: Side,
    fault: Fault,
    /// Octets of that side before the fault.
    at: usize,
}

impl Case {
    /// Where the backend's answer to the `count`th request has its fault: a second one is answered well.
    fn in_answer(self, count: usize) -> Option<(usize, Fault)> {
        (self.side == Side::Backend && count == 1).then_some((self.at, self.fault))
    }

    /// Whether the whole request is sent.
    fn is_asked_wholly(self, number: usize) -> bool {
        let is_sent = self.at >= self.exchange.request(number).len();
        self.side == Side::Backend || self.fault == Fault::Pause || is_sent
    }

    /// Whether the whole answer is sent, but for what a WebSocket carries.
    fn is_answered_wholly(self, number: usize) -> bool {
        let is_sent = self.at >= self.exchange.response(number).len();
        self.side == Side::Client || self.fault == Fault::Pause || is_sent
    }

    /// Whether nothing is wrong. Who closes behind a whole answer does nothing wrong; who does so behind a whole request
    /// has left.
    fn goes_well(self, number: usize) -> bool {
        let is_end = self.fault == Fault::End && self.at == self.exchange.backend(number).len();
        self.fault == Fault::Pause || (self.side == Side::Backend && is_end)
    }
}

fn cases(exchange: &'static Exchange, side: Side) -> Vec<Case> {
    let length = match side {
        Side::Client => exchange.client(FIRST).len(),
        Side::Backend => exchange.backend(FIRST).len(),
    };
    let faults = [Fault::Reset, Fault::End, Fault::Pause];
    (0..=length).flat_map(|at| faults.map(|fault| Case { exchange, side, fault, at })).collect()
}

fn sweep(side: Side) {
    let cases: Vec<Case> = ALL.iter().flat_map(|exchange| cases(exchange, side)).collect();
    assert!(cases.len() > 1000, "{} cases are not a sweep", cases.len());
    let (next, tally) = (AtomicUsize::new(0), Mutex::<BTreeMap<Verdict, usize>>::default());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let lane = Lane::start();
                while let Some((number, case)) = take(&next, &cases) {
                    let verdict = lane.run(number, case);
                    *tally.lock().unwrap().entry(verdict).or_default() += 1;
                }
                lane.finish();
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    let is_mixed = tally.len() == 3 && tally.values().all(|&count| count > 20);
    assert!(is_mixed, "faults that change nothing are none: {tally:?}");
}

fn take(next: &AtomicUsize, cases: &[Case]) -> Option<(usize, Case)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    cases.get(number).map(|case| (FIRST + number, *case))
}

#[test]
fn faults_of_clients_end_where_they_are() {
    sweep(Side::Client);
}

#[test]
fn faults_of_backends_end_where_they_are() {
    sweep(Side::Backend);
}
