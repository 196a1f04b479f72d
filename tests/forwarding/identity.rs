//! Fields by which the proxy tells a backend of the client: replaced, or extended where the peer is trusted.

use crate::support::{Backend, Message, Setup};

const CLAIMS: [&str; 3] =
    ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example"];

/// What a backend gets of a request with these fields, when `trusted` is trusted.
fn forwarded(trusted: &str, fields: &[&str]) -> Message {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).top(&format!("trusted_proxies = [{trusted}]")).start();
    assert_eq!(proxy.get("/", fields).status, 200);
    backend.request()
}

fn claims(request: &Message) -> [Option<&str>; 3] {
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].map(|name| request.field(name))
}

#[test]
fn an_unknown_peer_is_not_believed() {
    let truth = [Some("127.0.0.1"), Some("http"), Some("homing.test")];
    assert_eq!(claims(&forwarded("", &[])), truth);
    assert_eq!(claims(&forwarded("", &CLAIMS)), truth);
    assert_eq!(claims(&forwarded("\"10.0.0.0/8\"", &[CLAIMS[0], CLAIMS[0]])), truth);
}

#[test]
fn a_trusted_peer_is_believed_and_named() {
    let request = forwarded("\"127.0.0.0/8\"", &CLAIMS);
    assert_eq!(claims(&request), [Some("6.6.6.6, 127.0.0.1"), Some("https"), Some("public.example")]);
}

#[test]
fn a_trusted_peer_may_say_it_in_several_fields_or_not_at_all() {
    let several =
        forwarded("\"127.0.0.1\"", &["X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3.3.3.3"]);
    assert_eq!(several.field("x-forwarded-for"), Some("1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"));
    let silent = forwarded("\"127.0.0.1\"", &[]);
    assert_eq!(claims(&silent), [Some("127.0.0.1"), Some("http"), Some("homing.test")]);
}

#[test]
fn the_host_is_kept() {
    let request = forwarded("", &[]);
    assert_eq!(request.field("host"), Some("homing.test"));
}

#[test]
fn a_request_id_is_kept_or_made() {
    assert_eq!(forwarded("", &["X-Request-Id: mine-1"]).field("x-request-id"), Some("mine-1"));
    let made: Vec<String> =
        (0..2).map(|_| forwarded("", &[]).field("x-request-id").unwrap().into()).collect();
    assert!(made[0].len() >= 16 && made[0] != made[1], "{made:?}");
}

#[test]
fn tracing_fields_pass() {
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = forwarded("", &[parent, "tracestate: a=b"]);
    assert!(parent.ends_with(request.field("traceparent").unwrap()));
    assert_eq!(request.field("tracestate"), Some("a=b"));
}

#[test]
fn sessions_of_a_table_have_an_epoch_that_clients_cannot_claim() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).sticky("\"path:/game/{room}\"").start();
    let mut client = proxy.connect();
    for target in ["/game/7", "/game/7", "/elsewhere"] {
        client.get(target, &["X-Session-Epoch: 99"]);
    }
    let epochs: Vec<Option<u64>> =
        backend.requests().iter().map(|request| request.field("x-session-epoch")?.parse().ok()).collect();
    assert!(epochs[0].is_some_and(|epoch| epoch > 1_600_000_000_000_000), "{epochs:?}");
    assert_eq!((epochs[1], epochs[2]), (epochs[0], None));
}
