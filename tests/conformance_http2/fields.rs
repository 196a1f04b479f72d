//! Fields of a request (§8.2, §8.3): which there must be, which there may not, and what the backend gets of them.

use crate::case::{Case, Outcome::*, case, each, forwarded, try_all};
use crate::support::raw_http2::*;

type Fields<'a> = Vec<(&'a str, &'a str)>;

fn ask(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, END_STREAM, fields)
}

fn plus(more: &[(&str, &str)]) -> Vec<u8> {
    ask(&with(get("/case"), more))
}

/// A `GET` without one of its pseudo-fields.
fn without(name: &str) -> Fields<'static> {
    get("/case").into_iter().filter(|(known, _)| *known != name).collect()
}

/// A `GET` of which one pseudo-field has another value.
fn other<'a>(name: &'a str, value: &'a str) -> Vec<u8> {
    ask(&get("/case")
        .into_iter()
        .map(|field| if field.0 == name { (name, value) } else { field })
        .collect::<Vec<_>>())
}

/// Malformed requests are errors of their stream (§8.1.1).
const MALFORMED: crate::case::Outcome = Reset(&[PROTOCOL_ERROR]);

#[test]
fn pseudo_fields_are_all_there_once_and_first() {
    let misplaced =
        [("x", "v"), (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h")];
    let cases: &[Case] = &[
        case("§8.3.1", "no :method", ask(&without(":method")), MALFORMED),
        case("§8.3.1", "no :scheme", ask(&without(":scheme")), MALFORMED),
        case("§8.3.1", "no :path", ask(&without(":path")), MALFORMED),
        case("§8.3.1", "no :authority and no Host", ask(&without(":authority")), Answered(400)),
        case("§8.3.1", "an empty :path", other(":path", ""), MALFORMED),
        case("§8.3", ":method twice", plus(&[(":method", "GET")]), MALFORMED),
        case("§8.3", ":path twice", ask(&[&get("/case")[..], &[(":path", "/other")]].concat()), MALFORMED),
        case("§8.3", ":authority twice", plus(&[(":authority", "homing.test")]), MALFORMED),
        case("§8.3", "behind a field", ask(&misplaced), MALFORMED),
        case("§8.3", "of a response", plus(&[(":status", "200")]), MALFORMED),
        case("§8.3", "unknown", plus(&[(":unknown", "v")]), MALFORMED),
        case("RFC 8441 §4", ":protocol without CONNECT", plus(&[(":protocol", "websocket")]), MALFORMED),
        case("§8.3.1", "an empty :method", other(":method", ""), MALFORMED),
        case("§8.3.1", "a :method that is no token", other(":method", "GE T"), MALFORMED),
        case("§8.3.1", "a :scheme that is none", other(":scheme", "h t"), MALFORMED),
        case("§8.3.1", "another :scheme", other(":scheme", "ftp"), Answered(400)),
        case("§8.3.1", "https where TLS ends before", other(":scheme", "https"), Answered(200)),
    ];
    try_all(cases);
}

#[test]
fn the_target_is_a_path() {
    let cases: &[Case] = &[
        case("§8.3.1", "not beginning with /", other(":path", "case"), MALFORMED),
        case("§8.3.1", "a whole URI", other(":path", "http://evil.test/"), MALFORMED),
        case("§8.3.1", "* with GET", other(":path", "*"), Answered(400)),
        case("§8.3.1", "only a query", other(":path", "?q"), Answered(400)),
        case("CVE-2021-36740", "a space and a version", other(":path", "/ HTTP/1.1"), MALFORMED),
        case("§10.3", "CR LF", other(":path", "/x\r\nx: y"), MALFORMED),
        case("§10.3", "NUL", other(":path", "/\0"), MALFORMED),
        case("RFC 3986 §3.5", "a tab", other(":path", "/\tx"), MALFORMED),
        case("RFC 9110 §9.3.7", "OPTIONS *", ask(&request("OPTIONS", "*")), Answered(200)),
    ];
    try_all(cases);
    let asterisk = forwarded(ask(&request("OPTIONS", "*")));
    assert_eq!(asterisk.start_line(), "OPTIONS * HTTP/1.1");
    for target in ["/", "/a?b=c", "/a//b/%2e%2E/;c?d#".trim_end_matches('#'), "/?a?b/c"] {
        assert_eq!(forwarded(ask(&get(target))).start_line(), format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn the_host_is_said_once() {
    let hosts = |authority: Option<&'static str>, hosts: &[&'static str]| {
        let mut fields = without(":authority");
        fields.extend(authority.map(|authority| (":authority", authority)));
        fields.extend(hosts.iter().map(|host| ("host", *host)));
        ask(&fields)
    };
    let cases: &[Case] = &[
        case("§8.3.1", "another Host", hosts(Some("a.test"), &["b.test"]), Answered(400)),
        case("§8.3.1", "another port", hosts(Some("a.test"), &["a.test:81"]), Answered(400)),
        case("§8.3.1", "one equal, one other", hosts(Some("a.test"), &["a.test", "b.test"]), Answered(400)),
        case("RFC 9112 §3.2", "two Hosts", hosts(None, &["a.test", "b.test"]), Answered(400)),
        case("RFC 9112 §3.2", "two equal Hosts", hosts(None, &["a.test", "a.test"]), Answered(400)),
        case("§8.3.1", "userinfo", hosts(Some("me@a.test"), &[]), Answered(400)),
        case("§8.3.1", "userinfo in Host", hosts(None, &["me@a.test"]), Answered(400)),
        case("§8.3.1", "an empty :authority", hosts(Some(""), &[]), MALFORMED),
        case("§8.3.1", "a path", hosts(Some("a.test/x"), &[]), MALFORMED),
        case("§10.3", "a space", hosts(Some("a test"), &[]), MALFORMED),
        case("§10.3", "CR LF", hosts(Some("a\r\nx: y"), &[]), MALFORMED),
        case("RFC 3986 §3.2.2", "a Host that is none", hosts(None, &["a,b"]), Answered(400)),
    ];
    try_all(cases);
    for (authority, host) in
        [(Some("A.test:8080"), None), (None, Some("A.test:8080")), (Some("A.test:8080"), Some("a.TEST:8080"))]
    {
        let request = forwarded(hosts(authority, host.as_slice()));
        assert!(
            request.field("host").is_some_and(|host| host.eq_ignore_ascii_case("a.test:8080")),
            "{}",
            request.head
        );
    }
}

#[test]
fn fields_of_a_connection_have_no_place() {
    let cases: &[Case] = &[
        case("§8.2.2", "connection", plus(&[("connection", "x-a")]), MALFORMED),
        case("§8.2.2", "keep-alive", plus(&[("keep-alive", "1")]), MALFORMED),
        case("§8.2.2", "proxy-connection", plus(&[("proxy-connection", "close")]), MALFORMED),
        case("CVE-2021-33193", "transfer-encoding", plus(&[("transfer-encoding", "chunked")]), MALFORMED),
        case("§8.2.2", "upgrade", plus(&[("upgrade", "websocket")]), MALFORMED),
        case("§8.2.2", "te of another coding", plus(&[("te", "gzip")]), MALFORMED),
        case("§8.2.2", "te of two", plus(&[("te", "trailers, gzip")]), MALFORMED),
        case("§8.2.2", "te: trailers", plus(&[("te", "trailers")]), Answered(200)),
    ];
    try_all(cases);
    let request = forwarded(plus(&[
        ("te", "trailers"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("proxy-authorization", "x"),
    ]));
    assert_eq!((request.field("te"), request.field("connection")), (Some("trailers"), Some("te")));
    assert_eq!((request.field("http2-settings"), request.field("proxy-authorization")), (None, None));
}

#[test]
fn names_and_values_are_what_they_may_be() {
    let named = |name: &'static str| plus(&[(name, "v")]);
    let valued = |value: &'static str| plus(&[("x-value", value)]);
    let cases: &[Case] = &[
        case("§8.2", "upper case", named("X-Upper"), MALFORMED),
        case("§8.2.1", "an empty name", named(""), MALFORMED),
        case("§8.2.1", "a space in a name", named("x y"), MALFORMED),
        case("§8.2.1", "a colon in a name", named("x:y"), MALFORMED),
        case("CVE-2021-33193", "CR LF in a name", named("x: y\r\nz"), MALFORMED),
        case("§8.2.1", "NUL in a name", named("x\0"), MALFORMED),
        case("§8.2.1", "CR for a hyphen", named("x\rreal\rip"), MALFORMED),
        case("§8.2.1", "CR for a hyphen in a length", plus(&[("content\rlength", "0")]), MALFORMED),
        case("§8.2.1", "not ASCII in a name", named("ä"), MALFORMED),
        case("§8.2.1", "CR LF in a value", valued("v\r\ntransfer-encoding: chunked"), MALFORMED),
        case("§8.2.1", "LF in a value", valued("v\nx: y"), MALFORMED),
        case("§8.2.1", "CR in a value", valued("v\rx"), MALFORMED),
        case("§8.2.1", "NUL in a value", valued("v\0"), MALFORMED),
        case("§8.2.1", "a value that begins with a space", valued(" v"), Answered(400)),
        case("§8.2.1", "a value that ends with a space", valued("v "), Answered(400)),
        case("§8.2.1", "a value that begins with a tab", valued("\tv"), Answered(400)),
        case("§8.2.1", "a value that is a space", valued(" "), Answered(400)),
        case("§8.2.1", "an empty value", valued(""), Answered(200)),
        case("RFC 9110 §5.5", "octets beyond ASCII", valued("ä"), Answered(200)),
    ];
    try_all(cases);
}

/// RFC 9110 §5.3, §7.6: what is not of a hop arrives, in order, and in as many fields.
#[test]
fn other_fields_arrive_as_they_were_sent() {
    let sent = [("accept", "a"), ("x-same", "1"), ("accept", "b"), ("x-same", "2"), ("x-empty", "")];
    let request = forwarded(plus(&sent));
    assert_eq!(request.start_line(), "GET /case HTTP/1.1");
    assert_eq!(
        (request.all("accept"), request.all("x-same"), request.all("x-empty")),
        (vec!["a", "b"], vec!["1", "2"], vec![""])
    );
    assert_eq!(
        (request.field("x-forwarded-for"), request.field("x-forwarded-proto")),
        (Some("127.0.0.1"), Some("http"))
    );
    assert_eq!(request.field("x-forwarded-host"), Some("homing.test"));
    assert!(request.field("x-request-id").is_some() && !request.head.contains("\r\n:"), "{}", request.head);
}

/// What only the proxy may say is taken from clients, whatever they speak.
#[test]
fn fields_of_the_proxy_cannot_be_forged() {
    let forged = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-session-epoch", "9"),
        ("x-client-cert-subject", "CN=admin"),
    ];
    each(
        &forged,
        |field| ("RFC 7239 §8.1", field.0),
        |field| {
            let request = forwarded(plus(&[*field]));
            assert_ne!(request.field(field.0), Some(field.1), "{}", request.head);
        },
    );
}

#[test]
fn methods_other_than_connect_are_passed_on() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PROPFIND", "get"] {
        let request = forwarded(ask(&request(method, "/case")));
        assert_eq!(request.start_line(), format!("{method} /case HTTP/1.1"), "RFC 9110 §9.1");
        assert_eq!(request.length(), None, "{method}: no body, no framing");
    }
    let connect = |more: &[(&'static str, &'static str)]| {
        ask(&[&[(":method", "CONNECT"), (":authority", "a.test:443")][..], more].concat())
    };
    let cases: &[Case] = &[
        case("§8.5", "CONNECT is not offered", connect(&[]), Answered(501)),
        case("§8.5", "CONNECT with :path", connect(&[(":path", "/"), (":scheme", "http")]), MALFORMED),
        case(
            "RFC 8441 §4",
            "another :protocol",
            connect(&[(":path", "/"), (":scheme", "http"), (":protocol", "connect-udp")]),
            Answered(501),
        ),
        case(
            "RFC 8441 §4",
            "a WebSocket without :path",
            connect(&[(":scheme", "http"), (":protocol", "websocket")]),
            MALFORMED,
        ),
    ];
    try_all(cases);
}
