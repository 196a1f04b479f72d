//! Each counter moves by what it counts, and by nothing else.

use crate::page::{Page, ask};
use crate::setup;
use crate::support::process::File;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};

/// A backend that answers with the status that the path begins with.
fn obedient(name: &str) -> Backend {
    Backend::start(name, |conn| {
        while let Some(request) = conn.request() {
            let status = request.target()[1..4].to_owned();
            conn.send(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"));
        }
    })
}

#[test]
fn responses_are_counted_by_class_and_who_made_them() {
    let backend = obedient("a");
    let proxy =
        setup(&[&backend]).routes("[[route]]\npath = \"/\"\nhost = \"known\"\npool = \"app\"").start();
    let statuses = [200, 204, 304, 404, 418, 500, 799];
    for status in statuses {
        let ask = format!("GET /{status} HTTP/1.1\r\nHost: known\r\n\r\n");
        assert_eq!(proxy.ask(ask).status, status);
    }
    proxy.ask("GET / HTTP/1.1\r\nHost: unknown\r\n\r\n");
    proxy.ask("GET / HTTP/1.1\r\nHost: known\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
    backend.stop();
    assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: known\r\nContent-Length: 0\r\n\r\n").status, 503);
    let page = Page::of(&proxy);
    let of = |pool, backend, class| {
        page.count("homing_requests_total", &format!("pool={pool},backend={backend},class={class}"))
    };
    assert_eq!(["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| of("app", "a", class)), [0, 2, 1, 2, 2]);
    assert_eq!(["2xx", "4xx", "5xx"].map(|class| of("app", "", class)), [0, 0, 1]);
    assert_eq!(["2xx", "4xx", "5xx"].map(|class| of("", "", class)), [0, 1, 1]);
    assert_eq!(page.count("homing_worker_requests_total", "worker=0"), 10);
    assert_eq!(page.count("homing_response_head_seconds_count", "pool=app,backend=a"), 7);
    assert_eq!(page.count("homing_response_head_seconds_bucket", "pool=app,backend=a,le=+Inf"), 7);
    assert_eq!(page.count("homing_failures_total", "pool=app,backend=a"), 1);
    assert!(page.sum("homing_response_head_seconds_sum", "backend=a") > 0.0);
    assert!(page.sum("homing_worker_busy_seconds_total", "worker=0") > 0.0);
}

#[test]
fn a_request_has_ended_when_its_response_has() {
    let backend = Backend::start("a", |conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na");
        conn.next.wait();
        conn.send("b");
        conn.until_closed();
    });
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").head();
    let page = Page::of(&proxy);
    assert_eq!(page.count("homing_response_head_seconds_count", "backend=a"), 1);
    assert_eq!(page.count("homing_request_seconds_count", "pool=app"), 0);
    assert_eq!(page.count("homing_requests_in_flight", "backend=a"), 1);
    assert_eq!(page.count("homing_connections", ""), 1);
    assert_eq!(page.count("homing_worker_connections", "worker=0"), 1);
    backend.next.open();
    client.octets(2);
    eventually("the request has ended", || {
        Page::of(&proxy).count("homing_request_seconds_count", "pool=app") == 1
    });
    drop(client);
    eventually("the connection has ended", || {
        Page::of(&proxy).count("homing_worker_connections", "worker=0") == 0
    });
}

#[test]
fn decisions_are_counted_by_source_and_outcome() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let mut client = proxy.connect();
    client.get("/", &["X-Room: 1"]);
    client.get("/", &["X-Room: 1"]);
    client.get("/", &["X-Room: 2"]);
    client.get("/", &[]);
    let page = Page::of(&proxy);
    let of = |source, outcome| {
        page.count("homing_affinity_decisions_total", &format!("pool=app,source={source},outcome={outcome}"))
    };
    assert_eq!(["placed", "bound", "rebound"].map(|outcome| of("header", outcome)), [2, 1, 0]);
    assert_eq!(of("none", "balanced"), 1);
    assert_eq!(page.count("homing_keyless_requests_total", "pool=app"), 1);
    assert_eq!(page.count("homing_sessions", "pool=app,backend=a"), 2);
    assert_eq!(page.count("homing_session_table_entries", "pool=app"), 2);
    assert_eq!(page.count("homing_session_table_capacity", "pool=app"), 1_000_000);
}

#[test]
fn what_responses_teach_is_counted() {
    let backend = Backend::answering("a", "HTTP/1.1 200 OK\r\nx-room: new\r\ncontent-length: 0\r\n\r\n");
    let proxy = setup(&[&backend]).start();
    proxy.get("/", &[]);
    proxy.get("/", &[]);
    assert_eq!(Page::of(&proxy).count("homing_learned_total", "pool=app"), 1);
}

#[test]
fn tunnels_are_counted_by_how_they_ended() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = setup(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    tunnel.hear();
    eventually("it is open", || Page::of(&proxy).count("homing_tunnels", "backend=a") == 1);
    drop(tunnel);
    let ended = || Page::of(&proxy).count("homing_tunnel_closes_total", "pool=app,reason=ended");
    eventually("it has ended", || ended() == 1);
    let page = Page::of(&proxy);
    assert_eq!(page.count("homing_tunnels", "backend=a"), 0);
    assert_eq!(page.count("homing_tunnel_closes_total", "pool=app"), 1, "and in no other way");
    assert_eq!(page.count("homing_request_seconds_count", "pool=app"), 0, "a tunnel is no request");
    assert_eq!(page.count("homing_requests_total", "backend=a,class=1xx"), 1);
}

#[test]
fn health_checks_and_what_they_find_are_counted() {
    let backend = Backend::checked("a", || 200);
    let proxy = setup(&[&backend]).checks(1, 1).start();
    let checks = |outcome| {
        Page::of(&proxy).count("homing_health_checks_total", &format!("pool=app,backend=a,outcome={outcome}"))
    };
    eventually("it is checked", || checks("good") > 1);
    backend.stop();
    eventually("it refuses", || checks("refused") > 0);
    proxy.until("a", "down");
    let page = Page::of(&proxy);
    let changes = |to| page.count("homing_health_transitions_total", &format!("pool=app,backend=a,to={to}"));
    assert_eq!(["up", "suspect", "down"].map(changes), [1, 0, 1]);
    let health = |health| page.count("homing_backend_health", &format!("backend=a,health={health}"));
    assert_eq!(["unknown", "up", "suspect", "down"].map(health), [0, 0, 0, 1]);
    assert_eq!(page.count("homing_pool_available_backends", "pool=app"), 0);
    let counted = page.count("homing_health_check_seconds_count", "pool=app");
    assert_eq!(counted, page.count("homing_health_checks_total", "pool=app"));
}

#[test]
fn a_backend_that_leaves_says_how_far_it_is() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).backend("a", "state = \"drain\"").start();
    let page = Page::of(&proxy);
    let left = page.sum("homing_drain_seconds_left", "pool=app,backend=a");
    assert!((1700.0..=1800.0).contains(&left), "{left}");
    assert_eq!(page.count("homing_drain_sessions_left", "pool=app,backend=a"), 0);
    let state = |state| page.count("homing_backend_state", &format!("backend=a,state={state}"));
    assert_eq!(["ready", "drain", "maint"].map(state), [0, 1, 0]);
}

#[test]
fn limits_are_counted_when_they_are_reached() {
    let proxy =
        setup(&[&Backend::named("a")]).limits("uri_bytes = \"64\"\nbody_bytes = \"8\"\nheaders = 20").start();
    let reached =
        |limit: &str| Page::of(&proxy).count("homing_limit_reached_total", &format!("limit={limit}"));
    assert_eq!(proxy.get(&format!("/{}", "x".repeat(100)), &[]).status, 414);
    assert_eq!(proxy.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123456789").status, 413);
    assert_eq!(proxy.get("/", &["X: y"; 30]).status, 431);
    assert_eq!(proxy.get("/", &[&format!("X: {}", "y".repeat(70_000))]).status, 431);
    let limits = ["uri_bytes", "body_bytes", "headers", "header_bytes"];
    assert_eq!(limits.map(reached), [1, 1, 1, 1]);
}

#[test]
fn connections_that_wait_for_a_place_are_counted_once() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).listener("max_connections = 1").start();
    let mut first = proxy.connect();
    first.get("/", &[]);
    let mut second = proxy.connect();
    second.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let reached = || Page::of(&proxy).count("homing_limit_reached_total", "limit=listener_connections");
    eventually("one waits", || reached() == 1);
    drop(first);
    assert_eq!(second.response().status, 200);
    assert_eq!(reached(), 1);
}

#[test]
fn the_process_tells_of_itself() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).admin("").start();
    let page = Page::of(&proxy);
    assert!(page.sum("process_cpu_seconds_total", "") > 0.0);
    assert!(page.count("process_resident_memory_bytes", "") > 1 << 20);
    assert!(page.count("process_open_fds", "") < page.count("process_max_fds", ""));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - page.sum("process_start_time_seconds", "");
    assert!((-5.0..86_400.0).contains(&age), "{age} s old");
    let version = format!("version={}", env!("CARGO_PKG_VERSION"));
    assert_eq!(page.count("homing_build_info", &version), 1);
    assert!(page.count("homing_connections_max", "") > 0);
    assert_eq!(page.count("homing_config_generation", ""), 1);
}

#[test]
fn the_page_is_text_for_those_who_may_see_it() {
    let token = File::with("0123456789abcdef\n");
    let backend = Backend::named("a");
    let setup = Setup::of(&[&backend]).admin(&format!("token_file = \"{}\"", token.path()));
    let proxy: Proxy = setup.start();
    assert_eq!(ask(&proxy, "").status, 401);
    assert_eq!(ask(&proxy, "Authorization: Bearer 0123456789abcdeF\r\n").status, 401);
    let response = ask(&proxy, "Authorization: Bearer 0123456789abcdef\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(response.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(response.field("cache-control"), Some("no-store"));
    Page::read(&response.text());
}
