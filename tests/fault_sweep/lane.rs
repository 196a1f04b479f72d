//! One proxy with one backend, through which cases go one after the other.

use std::sync::{Arc, Mutex};

use crate::ends::{self, Log, Outcome};
use crate::exchange::{BACKEND_FRAMES, CLIENT_FRAMES, Kind};
use crate::support::{Backend, Client, Proxy, Setup, eventually};
use crate::{Case, Fault, Side};

/// A proxy and its backend.
pub(crate) struct Lane {
    proxy: Proxy,
    backend: Backend,
    log: Arc<Mutex<Log>>,
}

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Right,
    /// An error of the proxy's.
    Error,
    /// A break that cannot be missed.
    Broken,
}

impl Lane {
    pub(crate) fn start() -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let own = log.clone();
        let backend = Backend::start("a", move |conn| ends::serve(conn, &own));
        // Faults must not make the backend one that is left alone.
        let setup = Setup::of(&[&backend]).log("access = false").table("outlier", "consecutive_failures = 0");
        Self { proxy: setup.start(), backend, log }
    }

    /// Runs a case, and sees that all is well then.
    pub(crate) fn run(&self, number: usize, case: Case) -> Verdict {
        self.begin(case);
        let mut client = self.proxy.connect();
        if case.exchange.kind == Kind::Again {
            self.ask(&mut client, "/before", case);
        }
        let outcome = ends::client(client, number, case);
        let verdict = verdict(number, case, &outcome);
        self.check(number, case, verdict);
        if case.exchange.kind == Kind::Upgrade && verdict == Verdict::Right {
            self.check_tunnel(number, case, &outcome);
        }
        self.ask(&mut self.proxy.connect(), &format!("/honest/{number}"), case);
        verdict
    }

    fn begin(&self, case: Case) {
        let mut log = self.log.lock().unwrap();
        (log.case, log.tunnel) = (Some(case), None);
    }

    fn check(&self, number: usize, case: Case, verdict: Verdict) {
        let arrivals = self.requests(number, case);
        let is_whole = case.is_asked_wholly(number);
        assert!(arrivals == 0 || is_whole, "a request that broke off became a whole one: {case:?}");
        assert!(verdict != Verdict::Right || arrivals > 0, "an answer to nothing: {case:?}");
        let is_answered = case.is_answered_wholly(number) || arrivals > 1;
        assert!(verdict != Verdict::Right || is_answered, "an answer that broke off looks whole: {case:?}");
        assert!(verdict == Verdict::Right || !case.goes_well(number), "{verdict:?}: {case:?}");
    }

    /// Whole requests of a case that came to the backend.
    fn requests(&self, number: usize, case: Case) -> usize {
        let named = format!("{} /case/{number}", case.exchange.method);
        self.log.lock().unwrap().requests.get(&named).copied().unwrap_or_default()
    }

    /// Either end has what the other has said up to the fault, and no more.
    fn check_tunnel(&self, number: usize, case: Case, outcome: &Outcome) {
        let head = outcome.answer.as_ref().map_or(0, |answer| answer.length);
        let received = &outcome.received[head..];
        assert!(BACKEND_FRAMES.starts_with(received), "not the backend's words: {case:?}");
        assert!(!case.goes_well(number) || received == BACKEND_FRAMES, "lost words: {case:?}");
        if case.side == Side::Backend && case.fault != Fault::Pause {
            return;
        }
        eventually("the tunnel ends for the backend", || self.log.lock().unwrap().tunnel.is_some());
        let carried = self.log.lock().unwrap().tunnel.clone().unwrap_or_default();
        let said = if case.side == Side::Client && case.fault != Fault::Pause {
            &CLIENT_FRAMES[..case.at - case.exchange.request(number).len()]
        } else {
            CLIENT_FRAMES
        };
        let is_right = if case.fault == Fault::Reset { said.starts_with(&carried) } else { said == carried };
        assert!(is_right, "not the client's words: {} {case:?}", carried.escape_ascii());
    }

    /// A plain `GET` gets its own answer.
    fn ask(&self, client: &mut Client, target: &str, case: Case) {
        let mut answer = client.get(target, &[]);
        for _ in 0..20 {
            if answer.status != 502 {
                break;
            }
            // The backend may close an idle connection at the very moment at which it is used.
            answer = self.proxy.get(target, &[]);
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, target), "{case:?}");
    }

    /// Nothing was done twice, also not later.
    pub(crate) fn finish(self) {
        let Self { proxy, backend, log } = self;
        drop(proxy);
        eventually("the backend's connections end", || backend.open() == 0);
        let log = log.lock().unwrap();
        for (named, &count) in log.requests.iter().filter(|(named, _)| named.contains("/case/")) {
            let most = if named.starts_with("POST") { 1 } else { 2 };
            assert!(count <= most, "{named} came {count} times");
        }
    }
}

fn verdict(number: usize, case: Case, outcome: &Outcome) -> Verdict {
    let shown = outcome.received.escape_ascii();
    let Some(answer) = &outcome.answer else { return Verdict::Broken };
    let is_all = answer.length == outcome.received.len() || answer.status() == 101;
    assert!(is_all, "octets behind the answer: {shown} {case:?}");
    let body = case.exchange.answer(number);
    if answer.status() == case.exchange.status() && answer.body == body.as_bytes() {
        return Verdict::Right;
    }
    let is_error = matches!(answer.status(), 400 | 408 | 502 | 503 | 504);
    let is_foreign = shown.to_string().contains("of case");
    assert!(is_error && !is_foreign, "another's answer: {shown} {case:?}");
    Verdict::Error
}
