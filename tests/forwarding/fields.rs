//! Header fields: those of one hop are removed, all others arrive as they were sent.

use crate::support::{Backend, Message, Proxy, Response, get};

/// What a backend gets of a request with these fields.
fn forwarded(fields: &[&str]) -> Message {
    let backend = Backend::named("a");
    assert_eq!(Proxy::to(&backend).get("/", fields).status, 200);
    backend.request()
}

/// What a client gets of an empty response with these fields.
fn returned(fields: &str) -> Response {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n");
    Proxy::to(&Backend::answering("a", answer)).get("/", &[])
}

#[test]
fn fields_of_one_hop_do_not_reach_the_backend() {
    let request = forwarded(&[
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "TE: gzip",
        "Trailer: X-Sum",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
    ]);
    for name in ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te"] {
        assert_eq!(request.field(name), None, "{name}");
    }
    for name in ["trailer", "upgrade", "http2-settings", "transfer-encoding"] {
        assert_eq!(request.field(name), None, "{name}");
    }
}

#[test]
fn fields_that_connection_names_do_not_reach_the_backend() {
    let fields = [
        "Connection: close, X-Once",
        "connection: x-twice , X-Absent",
        "X-Once: 1",
        "X-TWICE: 2",
        "X-Kept: 3",
    ];
    let request = forwarded(&fields);
    assert_eq!((request.field("x-once"), request.field("x-twice")), (None, None));
    assert_eq!(request.field("x-kept"), Some("3"));
}

#[test]
fn connection_cannot_remove_what_must_arrive() {
    let backend = Backend::named("a");
    let named =
        "Host, Content-Length, Cookie, Authorization, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: {named}, X-Request-Id\r\nContent-Length: 4\r\nCookie: a=b\r\n\
         Authorization: Bearer x\r\nX-Request-Id: 7\r\n\r\nbody"
    );
    assert_eq!(Proxy::to(&backend).ask(request).status, 200);
    let request = backend.request();
    assert_eq!((request.field("host"), request.text().as_str()), (Some("h"), "body"));
    assert_eq!((request.field("cookie"), request.field("authorization")), (Some("a=b"), Some("Bearer x")));
    assert_eq!(request.field("content-length"), Some("4"));
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"] {
        assert!(request.field(name).is_some(), "{name}");
    }
}

#[test]
fn all_other_fields_reach_the_backend_in_order() {
    let fields =
        ["Accept: b", "X-Odd: \t \"q;, \u{fc}\" ", "Accept: a", "Cookie: x=1", "Cookie: y=2", "X-Empty:"];
    let request = forwarded(&fields);
    assert_eq!(request.all("accept"), ["b", "a"]);
    assert_eq!(request.all("cookie"), ["x=1", "y=2"]);
    assert_eq!((request.field("x-odd"), request.field("x-empty")), (Some("\"q;, \u{fc}\""), Some("")));
}

#[test]
fn fields_of_one_hop_do_not_reach_the_client() {
    let response = returned(
        "Connection: X-Once\r\nConnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nX-Once: 1\r\nUpgrade: h2c\r\n\
         Proxy-Authenticate: Basic\r\nTrailer: X-Sum\r\nX-Kept: 1\r\n",
    );
    for name in ["connection", "keep-alive", "x-once", "upgrade", "proxy-authenticate", "trailer"] {
        assert_eq!(response.field(name), None, "{name}");
    }
    assert_eq!(response.field("x-kept"), Some("1"));
}

#[test]
fn a_backend_cannot_have_set_cookie_removed_by_naming_it() {
    let response = returned(
        "Connection: Set-Cookie, Content-Length, Content-Type\r\nSet-Cookie: a=b\r\nContent-Type: x/y\r\n",
    );
    assert_eq!((response.field("set-cookie"), response.field("content-length")), (Some("a=b"), Some("0")));
    assert_eq!(response.field("content-type"), Some("x/y"));
}

#[test]
fn set_cookie_lines_arrive_byte_for_byte_in_order() {
    let lines = [
        "sid=\"a b\"; Path=/; HttpOnly;  SameSite=lax",
        "b=%20;expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "sid=again",
        "flag",
        "=x",
    ];
    let fields: String = lines.iter().flat_map(|line| ["Set-Cookie: ", line, "\r\n"]).collect();
    assert_eq!(returned(&fields).all("set-cookie"), lines);
}

#[test]
fn nothing_is_added_to_a_response() {
    let response = returned("X-One: 1\r\n");
    let mut lines: Vec<_> = response.head.split("\r\n").collect();
    lines.sort_unstable();
    assert_eq!(lines, ["HTTP/1.1 200 OK", "X-One: 1", "content-length: 0"]);
}

#[test]
fn server_and_date_of_the_backend_are_kept() {
    let response = returned("Server: nginx\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\nVia: 1.1 x\r\n");
    assert_eq!(response.field("server"), Some("nginx"));
    assert_eq!(response.field("date"), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
    assert_eq!(response.field("via"), Some("1.1 x"));
}

#[test]
fn a_session_epoch_is_the_proxys_to_say() {
    let request = forwarded(&["X-Session-Epoch: 99"]);
    assert_eq!(request.field("x-session-epoch"), None);
    assert_eq!(returned("X-Session-Epoch: 7\r\n").field("x-session-epoch"), None);
}

#[test]
fn closing_is_between_two_neighbours() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    assert_eq!(client.get("/", &["Connection: close"]).field("connection"), Some("close"));
    assert!(client.is_closed());
    let mut client = proxy.connect();
    let answer = client.send(get("/", &[])).response();
    assert_eq!((answer.field("connection"), answer.status), (None, 200));
    assert_eq!(backend.connections(), 1);
}
