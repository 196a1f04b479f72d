//! What is wanted of a backend, and waiting until nothing is left of it.

use serde_json::json;

use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};
use crate::{assert_refused, change, look, setup};

const STATE: &str = "PUT /api/pools/app/backends/a/state";
const DRAINED: &str = "/api/pools/app/backends/a/drained";

/// A tunnel in room 7, on the only backend.
fn tunnel(backend: &Backend) -> (Proxy, Tunnel) {
    let proxy = Setup::of(&[backend]).sticky("\"path:/chat/{room}\"").admin("").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat/7");
    tunnel.hear();
    (proxy, tunnel)
}

#[test]
fn a_backend_is_drained_and_made_ready_again() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = setup(&[&a, &b]).start();
    let (status, told) = change(&proxy, STATE, r#"{"state":"drain","timeout":"10m"}"#);
    assert_eq!((status, &told["state"], &told["name"]), (200, &json!("drain"), &json!("a")));
    let left = told["drain"]["seconds_left"].as_f64().unwrap();
    assert!((590.0..=600.0).contains(&left), "{told}");
    assert_eq!(look(&proxy, "/api/pools/app/backends/a").1["state"], "drain");
    let answers: Vec<_> = (0..20).map(|_| proxy.get("/", &[]).text()).collect();
    assert!(answers.iter().all(|backend| backend == "b"), "{answers:?}");
    let (_, told) = change(&proxy, STATE, r#"{"state":"ready"}"#);
    assert_eq!((&told["state"], &told["drain"]), (&json!("ready"), &json!(null)));
}

#[test]
fn without_a_timeout_a_drain_takes_as_long_as_the_pool_says() {
    let proxy = setup(&[&Backend::named("a")]).table("drain", "timeout = \"2m\"").start();
    let (_, told) = change(&proxy, STATE, r#"{"state":"drain"}"#);
    let left = told["drain"]["seconds_left"].as_f64().unwrap();
    assert!((110.0..=120.0).contains(&left), "{told}");
}

#[test]
fn an_order_that_cannot_be_is_told_how_it_should_be() {
    let proxy = setup(&[&Backend::named("a")]).start();
    for (body, part) in [
        ("", "send {\"state\":\"drain\",\"timeout\":\"10m\"}"),
        ("drain", "send {\"state\""),
        (r#"{"state":"drain"} x"#, "trailing"),
        (r#"{"state":"drained"}"#, "\"drained\" is not one of \"ready\", \"drain\", \"maint\""),
        (r#"{"state":1}"#, "expected a string"),
        (r#"{"timeout":"10m"}"#, "missing field `state`"),
        (r#"{"state":"drain","timeout":600}"#, "expected a string"),
        (r#"{"state":"drain","timeout":"10"}"#, "timeout: \"10\" is not a duration: write"),
        (r#"{"state":"drain","timeout":"9999d"}"#, "longer than a year"),
        (r#"{"state":"ready","timeout":"1s"}"#, "only \"drain\" takes time"),
        (r#"{"state":"drain","time":"1s"}"#, "expected `state` or `timeout`"),
        (r#"["drain"]"#, "send {\"state\""),
    ] {
        assert_refused(&change(&proxy, STATE, body), 400, part);
    }
    assert_eq!(look(&proxy, "/api/pools/app/backends/a").1["state"], "ready");
}

#[test]
fn one_waits_until_nothing_is_left() {
    let events = Events::default();
    let backend = echo("a", &events);
    let (proxy, mut tunnel) = tunnel(&backend);
    let (status, told) = look(&proxy, DRAINED);
    assert_eq!((status, &told["done"], &told["connections"]), (503, &json!(false), &json!(1)));
    assert_eq!(look(&proxy, &format!("{DRAINED}?wait=50ms")).0, 503);

    let mut waiting = proxy.connect_admin();
    waiting.send(format!("GET {DRAINED}?wait=1h HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    change(&proxy, STATE, r#"{"state":"drain","timeout":"200ms"}"#);
    assert_eq!(tunnel.close_code(), Some(1012));
    let (status, told) = crate::told(&waiting.response());
    assert_eq!((status, &told["done"], &told["state"]), (200, &json!(true), &json!("drain")));
    assert_eq!(
        (&told["sessions"], &told["connections"], &told["in_flight"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

#[test]
fn maintenance_is_a_drain_without_time() {
    let events = Events::default();
    let backend = echo("a", &events);
    let (proxy, mut tunnel) = tunnel(&backend);
    assert_eq!(change(&proxy, STATE, r#"{"state":"maint"}"#).1["state"], "maint");
    assert_eq!(tunnel.close_code(), Some(1012));
    assert_eq!(look(&proxy, &format!("{DRAINED}?wait=20s")).0, 200);
    assert_eq!(proxy.get("/chat/7", &[]).status, 503);
}

#[test]
fn a_wait_has_a_form_and_an_end() {
    let proxy = setup(&[&Backend::named("a")]).start();
    for (query, part) in [
        ("?wait=61m", "at most \"1h\""),
        ("?wait=30", "wait: \"30\" is not a duration"),
        ("?wait=", "not a duration"),
        ("?wiat=30s", "\"wiat\""),
    ] {
        assert_refused(&look(&proxy, &format!("{DRAINED}{query}")), 400, part);
    }
}

#[test]
fn those_who_wait_are_few_and_leave_their_place_when_they_go() {
    let events = Events::default();
    let backend = echo("a", &events);
    let (proxy, _tunnel) = tunnel(&backend);
    let wait = || {
        let mut client = proxy.connect_admin();
        client.send(format!("GET {DRAINED}?wait=1h HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client
    };
    let waiting: Vec<_> = (0..32).map(|_| wait()).collect();
    eventually("all places are taken", || {
        let (status, told) = look(&proxy, DRAINED);
        status == 503 && told["error"].as_str().is_some_and(|error| error.contains("too many"))
    });
    assert_eq!(look(&proxy, "/healthz").0, 200, "others get through");
    drop(waiting);
    eventually("their places are free", || look(&proxy, DRAINED).1["done"] == json!(false));
}
