//! Hostile input to every operation: it is refused with a reason, and the listener goes on.

use crate::document::{Document, Operation};
use crate::support::{Backend, Proxy};
use crate::{JSON, call, setup};

/// That a call is refused with a reason in words, or finds nothing to do.
#[track_caller]
fn assert_refused(proxy: &Proxy, (method, target): (&str, &str), fields: &[&str], body: &str) {
    let response = call(&mut proxy.connect_admin(), method, target, fields, body);
    let shown =
        format!("{method} {} {}", target.get(..200).unwrap_or(target), body.get(..80).unwrap_or(body));
    assert!((400..500).contains(&response.status), "{shown}: {}", response.status);
    if response.field("content-type").is_some() {
        let told: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert!(told["error"].as_str().is_some_and(|why| !why.is_empty()), "{shown}: {told}");
    } else {
        assert!(matches!(response.status, 400 | 414 | 431), "{shown}: {}", response.status);
    }
}

fn with_names() -> impl Iterator<Item = Operation> {
    Document::read().operations().into_iter().filter(|operation| operation.path.contains('{'))
}

/// A body that would be good, where one is needed.
fn good(operation: &Operation) -> &'static str {
    if operation.path.ends_with("/state") { r#"{"state":"ready"}"# } else { "" }
}

#[test]
fn names_that_nothing_has_are_refused() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let giant = "x".repeat(8 << 10);
    let names = [
        "%00",
        "%",
        "%zz",
        "%2",
        "%ff%fe",
        "..%2f..%2fetc",
        "%2e%2e",
        "a%00",
        "%0d%0aX:%20y",
        "app%20",
        giant.as_str(),
        "%F0%9F%8C%80",
    ];
    for operation in with_names() {
        for name in names {
            for place in
                ["{pool}", "{backend}", "{file}"].into_iter().filter(|place| operation.path.contains(place))
            {
                let target = Operation::of(&operation.path.replace(place, name), "").target();
                let key = if operation.method == "delete" { "?key=1" } else { "" };
                assert_refused(
                    &proxy,
                    (&operation.method.to_uppercase(), &format!("{target}{key}")),
                    &[JSON],
                    good(&operation),
                );
            }
        }
    }
    assert_eq!(proxy.get("/", &[]).status, 200);
}

#[test]
fn parameters_that_mean_nothing_are_refused() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let giant = format!("?key={}", "x".repeat(20 << 10));
    for (operation, queries) in [
        (
            "/api/pools/app/sessions",
            &[
                "?key=%",
                "?key=%0",
                "?key=1&key=1",
                "?kEy=1",
                "?limit=1e3",
                "?limit=%00",
                "?limit=18446744073709551616",
                "?backend=%ff",
                "?&&=",
                &giant,
            ][..],
        ),
        (
            "/api/pools/app/backends/a/drained",
            &[
                "?wait=-1s",
                "?wait=1s&wait=1s",
                "?wait=%00",
                "?wait=99999999999999999999h",
                "?wait=1",
                "?wait=%",
                "?key=1",
            ],
        ),
        ("/api/events", &["?after=%31%", "?after=0x1", "?after=1.0", "?after=1&after=2", "?wait=1s"]),
    ] {
        for query in queries {
            assert_refused(&proxy, ("GET", &format!("{operation}{query}")), &[], "");
        }
    }
    for query in ["?plan=1", "?plan=true&plan=true", "?plan=%00", "?dry=true"] {
        assert_refused(&proxy, ("POST", &format!("/api/reload{query}")), &[JSON], "");
    }
}

#[test]
fn bodies_that_are_none_are_refused() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let bodies = [
        String::new(),
        "null".into(),
        "[]".into(),
        "7".into(),
        "\"drain\"".into(),
        "{".into(),
        "\u{0}".into(),
        "{\"state\":\"ready\\u0000\",\"url\":\"/\\u0000\"}".into(),
        r#"{"state":"ready","state":"maint","url":"/","url":"/"}"#.into(),
        r#"{"state":["ready"],"url":["/"]}"#.into(),
        r#"{"state":{"ready":true},"url":{}}"#.into(),
        r#"{"state":1e999,"url":1e999}"#.into(),
        r#"{"__proto__":{"state":"maint"}}"#.into(),
        deep("[", "]"),
        deep("{\"state\":", "}"),
        format!("{{\"url\":\"/\",\"headers\":{}}}", deep("[", "]")),
        format!("{{\"state\":\"{}\"}}", "x".repeat(60 << 10)),
        "\u{feff}{\"state\":\"ready\"}".into(),
    ];
    for (method, target) in [("PUT", "/api/pools/app/backends/a/state"), ("POST", "/api/explain")] {
        for body in &bodies {
            assert_refused(&proxy, (method, target), &[JSON], body);
        }
        let no_utf8 = [&b"{\"state\":\"\xff\",\"url\":\"\xff\"}"[..]].concat();
        let mut client = proxy.connect_admin();
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: {}\r\n\r\n",
            no_utf8.len()
        ));
        assert_eq!(client.send(no_utf8).response().status, 400);
    }
    assert_eq!(proxy.status("a").state, "ready");
}

#[test]
fn heads_that_are_none_are_refused() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    for head in [
        "GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /api/status HTTP/1.1\r\nHost: \r\n\r\n",
        "GET /api/status HTTP/1.1\r\n\r\n",
        "GET /api/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET  /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /api/explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "GET /api/status HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET //api/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/../api/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let status = proxy.connect_admin().send(head).response().status;
        assert!((400..500).contains(&status) || status == 505, "{status}: {head:?}");
    }
    let many = (0..200).map(|n| format!("X-{n}: y\r\n")).collect::<Vec<_>>().concat();
    let response = proxy
        .connect_admin()
        .send(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"))
        .response();
    assert_eq!(response.status, 431);
    assert_eq!(call(&mut proxy.connect_admin(), "GET", "/healthz", &[], "").status, 200);
}
