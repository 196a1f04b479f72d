//! How often: attempts, and the budget of all requests together.

use crate::support::{Backend, eventually, get};
use crate::{breaking, impatient, setup};

#[test]
fn two_tries_are_all_unless_more_are_allowed() {
    for (retry, tries) in [("", 2), ("attempts = 2", 2), ("attempts = 5", 5), ("attempts = 1", 1)] {
        let backend = breaking("a", usize::MAX);
        let proxy = setup(&[&backend]).table("retry", retry).start();
        assert_eq!(proxy.get("/", &[]).status, 502, "{retry}");
        assert_eq!(backend.requests().len(), tries, "{retry}");
        let status = proxy.status("a");
        assert_eq!(
            (status.requests_total, status.retries_total),
            (tries as u64, tries as u64 - 1),
            "{retry}"
        );
        assert_eq!(status.failures_total, tries as u64, "{retry}");
    }
}

#[test]
fn one_attempt_is_one_even_where_nothing_was_sent() {
    let (dead, b) = (Backend::killed("a"), Backend::named("b"));
    let ask = |attempts: u32| {
        let proxy = setup(&[&dead, &b]).table("retry", &format!("attempts = {attempts}")).start();
        let mut statuses = [proxy.get("/", &[]).status, proxy.get("/", &[]).status];
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(ask(2), [200, 200]);
    assert_eq!(ask(1), [200, 503]);
}

#[test]
fn more_attempts_try_more_backends() {
    let (a, b, c) = (Backend::killed("a"), Backend::killed("b"), Backend::named("c"));
    let proxy = setup(&[&a, &b, &c]).table("retry", "attempts = 3").start();
    for _ in 0..9 {
        assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").text(), "c");
    }
}

#[test]
fn a_connection_that_idled_too_long_costs_no_attempt() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).table("retry", "attempts = 1").start();
    for _ in 0..20 {
        assert_eq!(proxy.get("/", &[]).status, 200);
        backend.disconnect();
        eventually("it is closed", || backend.open() == 0);
    }
    assert_eq!(proxy.status("a").retries_total, 0);
}

#[test]
fn a_second_try_does_not_take_another_connection_that_may_be_as_dead() {
    let backend = impatient("a");
    let proxy = setup(&[&backend]).start();
    let mut clients: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(get("/", &[]));
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let before = (backend.requests().len(), backend.connections());
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!((backend.requests().len(), backend.connections()), (before.0 + 2, before.1 + 1));
}

#[test]
fn retries_end_with_the_budget() {
    const REQUESTS: u64 = 150;
    for (percent, retries) in [(1, 101), (0, 0), (100, REQUESTS)] {
        let backend = breaking("a", usize::MAX);
        let proxy = setup(&[&backend]).table("retry", &format!("budget_percent = {percent}")).start();
        let mut client = proxy.connect();
        for _ in 0..REQUESTS {
            assert_eq!(client.get("/", &[]).status, 502);
        }
        assert_eq!(
            proxy.status("a").retries_total,
            retries,
            "{percent} %: 100 in reserve, and what was earned"
        );
        assert_eq!(backend.requests().len() as u64, REQUESTS + retries, "{percent} %");
    }
}

#[test]
fn a_refused_connect_costs_of_the_budget_too() {
    let (dead, b) = (Backend::killed("a"), Backend::named("b"));
    let proxy = setup(&[&dead, &b]).table("retry", "budget_percent = 0").start();
    let mut statuses = [proxy.get("/", &[]).status, proxy.get("/", &[]).status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[test]
fn a_retry_does_not_wait_for_the_place_of_its_own_first_try() {
    let backend = breaking("a", 1);
    let proxy =
        setup(&[&backend]).backend("a", "max_connections = 1").table("timeouts", "queue = \"1h\"").start();
    assert_eq!(proxy.get("/", &[]).status, 200);
}
