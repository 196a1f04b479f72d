//! What the calls say, but for draining and reloading.

use serde_json::json;

use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Setup, eventually};
use crate::{assert_refused, call, change, look, setup, told};

#[test]
fn the_process_tells_that_it_runs() {
    let proxy = setup(&[&Backend::named("a")]).start();
    assert_eq!(look(&proxy, "/healthz"), (200, json!({ "ok": true })));
}

#[test]
fn it_is_ready_when_every_pool_can_take_new_work() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = setup(&[&a, &b]).start();
    assert_eq!(look(&proxy, "/readyz"), (200, json!({ "ready": true })));
    change(&proxy, "PUT /api/pools/app/backends/a/state", r#"{"state":"drain"}"#);
    assert_eq!(look(&proxy, "/readyz").0, 200, "one is enough");
    change(&proxy, "PUT /api/pools/app/backends/b/state", r#"{"state":"maint"}"#);
    let answer = look(&proxy, "/readyz");
    assert_refused(&answer, 503, "app");
    assert_eq!((&answer.1["ready"], &answer.1["pools"]), (&json!(false), &json!(["app"])));
}

#[test]
fn status_pools_and_backends_are_one_inside_the_other() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    proxy.get("/", &["X-Room: 7"]);
    let (_, status) = look(&proxy, "/api/status");
    assert_eq!(look(&proxy, "/api/pools"), (200, status["pools"].clone()));
    assert_eq!(look(&proxy, "/api/pools/app"), (200, status["pools"][0].clone()));
    let (_, one) = look(&proxy, "/api/pools/app/backends/a");
    assert_eq!(one, status["pools"][0]["backends"][0]);
    assert_eq!(one["address"], backend.address.to_string());
    let counts = [&one["state"], &one["requests_total"], &one["sessions"], &one["drain"]];
    assert_eq!(counts, [&json!("ready"), &json!(1), &json!(1), &json!(null)]);
    assert_eq!((&status["pools"][0]["name"], &status["pools"][0]["mode"]), (&json!("app"), &json!("table")));
}

#[test]
fn names_are_percent_decoded_once() {
    let backend = Backend::named("größe:1%41");
    let proxy = setup(&[&backend]).start();
    let path = "/api/pools/app/backends/gr%C3%B6%C3%9Fe:1%2541";
    assert_eq!(look(&proxy, path).1["name"], "größe:1%41");
    assert_eq!(change(&proxy, &format!("PUT {path}/state"), r#"{"state":"maint"}"#).1["state"], "maint");
    assert_refused(&look(&proxy, "/api/pools/app/backends/%FF"), 400, "UTF-8");
}

#[test]
fn what_is_not_there_is_named() {
    let proxy = setup(&[&Backend::named("a")]).start();
    assert_refused(&look(&proxy, "/api/pools/apq"), 404, "\"apq\"");
    assert_refused(&look(&proxy, "/api/pools/app/backends/b"), 404, "\"b\"");
    assert_refused(&look(&proxy, "/api/pools/app/backends/b/drained"), 404, "\"b\"");
    assert_refused(&look(&proxy, "/api/pools/apq/sessions?key=7"), 404, "\"apq\"");
    let order = change(&proxy, "PUT /api/pools/app/backends/b/state", r#"{"state":"drain"}"#);
    assert_refused(&order, 404, "\"b\"");
    for target in ["/api", "/api/pools/", "/api/pools/app/backends", "/api/status/", "/nothing"] {
        assert_refused(&look(&proxy, target), 404, "nothing here");
    }
}

#[test]
fn other_methods_are_refused_and_looking_changes_nothing() {
    let proxy = setup(&[&Backend::named("a")]).start();
    for (target, right) in [
        ("/api/pools/app/backends/a/state", "PUT"),
        ("/api/explain", "POST"),
        ("/api/reload", "POST"),
        ("/api/status", "GET,HEAD"),
    ] {
        let method = if right == "GET,HEAD" { "POST" } else { "GET" };
        let response = call(&proxy, &format!("{method} {target}"), &[crate::JSON], r#"{"state":"maint"}"#);
        assert_eq!(response.field("allow"), Some(right), "{target}");
        assert_refused(&told(&response), 405, "Allow");
    }
    assert_eq!(look(&proxy, "/api/pools/app/backends/a").1["state"], "ready");
}

#[test]
fn a_session_is_found_by_its_key_and_ended() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = setup(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat");
    tunnel.hear();
    proxy.get("/", &["X-Room: a+b/c %"]);
    let target = "/api/pools/app/sessions?key=a+b%2Fc%20%25";
    let (status, session) = look(&proxy, target);
    assert_eq!((status, &session["backend"], &session["live"]), (200, &json!("a"), &json!(0)));
    assert!(session["epoch"].as_u64().is_some_and(|epoch| epoch > 0), "{session}");
    assert_refused(&look(&proxy, "/api/pools/app/sessions?key=a%2520b"), 404, "no session");
    let delete = format!("DELETE {target}");
    assert_eq!(change(&proxy, &delete, ""), (200, json!({ "ended": true })));
    assert_refused(&change(&proxy, &delete, ""), 404, "no session");
}

#[test]
fn the_end_of_a_session_is_the_end_of_its_tunnels() {
    let events = Events::default();
    let backend = echo("a", &events);
    let proxy = Setup::of(&[&backend]).sticky("\"path:/chat/{room}\"").admin("").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat/7");
    tunnel.hear();
    assert_eq!(look(&proxy, "/api/pools/app/sessions?key=7").1["live"], 1);
    assert_eq!(change(&proxy, "DELETE /api/pools/app/sessions?key=7", "").0, 200);
    assert_eq!(tunnel.close_code(), Some(1012));
    eventually("nothing is live", || look(&proxy, "/api/pools/app/backends/a").1["in_flight"] == 0);
}

#[test]
fn a_session_has_a_key_and_a_pool_that_keeps_some() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let target = "/api/pools/app/sessions";
    for query in
        ["?key", "?key=", "?key=1&key=2", "?kee=1", "?key=1&x=2", "?key=1&limit=2", "?key=%2", "?key=%zz"]
    {
        assert_refused(&look(&proxy, &format!("{target}{query}")), 400, "key");
    }
    for query in ["", "?key=", "?limit=1", "?key=1&backend=a"] {
        assert_refused(&change(&proxy, &format!("DELETE {target}{query}"), ""), 400, "");
    }
    let plain = Setup::of(&[&Backend::named("a")]).admin("").start();
    assert_refused(&look(&plain, "/api/pools/app/sessions?key=1"), 404, "no session table");
}

#[test]
fn a_request_is_explained_without_being_made() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let explain = |body: &str| change(&proxy, "POST /api/explain", body);
    let (status, told) = explain(r#"{"method":"GET","url":"/x","headers":{"X-Room":"7"}}"#);
    assert_eq!((status, &told["reason"], &told["backend"]), (200, &json!("placed"), &json!("a")));
    assert_eq!((&told["pool"], &told["key_source"]), (&json!("app"), &json!("header:x-room")));
    proxy.get("/", &["X-Room: 7"]);
    let many =
        r#"{"url":"http://shop.example/x?y=1","headers":{"X-Room":["7","8"]},"client_ip":"2001:db8::1"}"#;
    assert_eq!(explain(many).1["reason"], "bound");
    assert_eq!(explain(r#"{"url":"/"}"#).1["reason"], "balanced");
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn the_host_of_an_explained_request_is_in_its_url_or_its_headers() {
    let routes = "[[route]]\nhost = \"shop.example\"\npool = \"app\"";
    let proxy = setup(&[&Backend::named("a")]).routes(routes).start();
    let reason = |body: &str| change(&proxy, "POST /api/explain", body).1["reason"].clone();
    assert_eq!(reason(r#"{"url":"https://shop.example/x"}"#), "balanced");
    assert_eq!(reason(r#"{"url":"/x","headers":{"host":"shop.example:8080"}}"#), "balanced");
    assert_eq!(reason(r#"{"url":"/x"}"#), "no_route");
    assert_eq!(reason(r#"{"url":"http://shop.example/","headers":{"Host":"b.example"}}"#), "no_route");
}

#[test]
fn what_could_not_be_a_request_is_not_explained() {
    let proxy = setup(&[&Backend::named("a")]).start();
    for (body, part) in [
        (r"{}", "url"),
        (r#"{"url":"x"}"#, "url: \"x\""),
        (r#"{"url":"example.com:80"}"#, "is not a URL"),
        (r#"{"url":""}"#, "is not a URL"),
        (r#"{"url":"/","method":"G T"}"#, "method: \"G T\""),
        (r#"{"url":"/","headers":{"a b":"c"}}"#, "\"a b\""),
        (r#"{"url":"/","headers":{"a":"b\n"}}"#, "the value of a"),
        (r#"{"url":"/","headers":{"a":1}}"#, "a string or a list of strings"),
        (r#"{"url":"/","client_ip":"localhost"}"#, "IP address"),
        (r#"{"url":"/","metod":"GET"}"#, "expected one of `method`"),
    ] {
        assert_refused(&change(&proxy, "POST /api/explain", body), 400, part);
    }
}
