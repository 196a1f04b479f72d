//! Keys that backends issue: learned from `Set-Cookie` and other fields, bound to the backend that issued them.

use crate::support::{Backend, Proxy, Setup};

/// Issues a session on `/login`, as `fields` say with `{n}` replaced by its name and a number; else answers its name.
fn issuing(name: &'static str, fields: &'static str) -> Backend {
    Backend::start(name, move |conn| {
        let mut issued = 0;
        while let Some(request) = conn.request() {
            let is_login = request.target() == "/login";
            issued += usize::from(is_login);
            let id = format!("{name}-{}-{issued}", conn.number);
            let fields = if is_login { fields.replace("{id}", &id) } else { String::new() };
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{name}", name.len()));
        }
    })
}

/// Five backends that issue, and requests without a key go round them.
fn fleet(fields: &'static str, sticky: &str) -> (Proxy, Vec<Backend>) {
    let backends: Vec<Backend> = ["a", "b", "c", "d", "e"].map(|name| issuing(name, fields)).into();
    let proxy = Setup::of(&backends.iter().collect::<Vec<_>>()).table("sticky", sticky).start();
    (proxy, backends)
}

/// Logs in; which backend that was, and the value it issued in a field.
fn log_in(proxy: &Proxy, field: &str) -> (String, String) {
    let response = proxy.get("/login", &[]);
    let value = response.all(field)[0].to_owned();
    (response.text(), value.split(';').next().unwrap().to_owned())
}

#[test]
fn a_cookie_belongs_to_the_backend_that_set_it() {
    let (proxy, _backends) = fleet("Set-Cookie: sid={id}; Path=/; HttpOnly\r\n", "key = [\"cookie:sid\"]");
    for _ in 0..10 {
        let (issuer, cookie) = log_in(&proxy, "set-cookie");
        let field = format!("Cookie: other=1; {cookie}");
        for _ in 0..3 {
            assert_eq!(proxy.get("/profile", &[&field]).text(), issuer);
        }
    }
}

#[test]
fn a_header_belongs_to_the_backend_that_sent_it() {
    let (proxy, _backends) = fleet("X-Session: {id}\r\n", "key = [\"header:x-session\"]");
    for _ in 0..10 {
        let (issuer, session) = log_in(&proxy, "x-session");
        assert_eq!(proxy.get("/profile", &[&format!("X-Session: {session}")]).text(), issuer);
    }
}

#[test]
fn after_a_rotation_old_and_new_id_lead_to_the_same_backend() {
    let (proxy, _backends) = fleet("Set-Cookie: sid={id}\r\n", "key = [\"cookie:sid\"]");
    let (issuer, first) = log_in(&proxy, "set-cookie");
    let rotated = proxy.get("/login", &[&format!("Cookie: {first}")]);
    let second = rotated.field("set-cookie").unwrap().to_owned();
    assert_ne!(first, second);
    for cookie in [&first, &second, &first] {
        assert_eq!(proxy.get("/", &[&format!("Cookie: {cookie}")]).text(), issuer);
    }
}

#[test]
fn all_keys_of_a_response_are_learned() {
    let fields =
        "Set-Cookie: other=x\r\nSet-Cookie: sid={id}\r\nSet-Cookie: tab=t-{id}\r\nX-Room: r-{id}\r\n";
    let sticky = "key = [\"cookie:sid\", \"cookie:tab\", \"header:x-room\"]";
    let (proxy, _backends) = fleet(fields, sticky);
    for _ in 0..6 {
        let (issuer, cookie) = log_in(&proxy, "set-cookie");
        assert_eq!(cookie, "other=x");
        let response = proxy.get("/login", &[]);
        let (issuer_now, id) = (response.text(), response.field("x-room").unwrap()[2..].to_owned());
        assert_ne!(issuer, issuer_now, "requests without a key take turns");
        for field in [format!("Cookie: sid={id}"), format!("Cookie: tab=t-{id}"), format!("X-Room: r-{id}")] {
            assert_eq!(proxy.get("/", &[&field]).text(), issuer_now, "{field}");
        }
    }
}

#[test]
fn nothing_else_is_learned() {
    let (proxy, _backends) = fleet("Set-Cookie: sid={id}\r\n", "key = [\"cookie:sid\"]\nlearn = []");
    let status = proxy.control();
    for _ in 0..4 {
        log_in(&proxy, "set-cookie");
    }
    let sessions: u64 = status.status().pools[0].backends.iter().map(|backend| backend.sessions).sum();
    assert_eq!(sessions, 0);
}

#[test]
fn learning_never_moves_a_live_binding() {
    let claim = "Set-Cookie: sid=shared\r\n";
    let (proxy, _backends) = fleet(claim, "key = [\"cookie:sid\"]");
    let (owner, _) = log_in(&proxy, "set-cookie");
    for _ in 0..5 {
        log_in(&proxy, "set-cookie");
        assert_eq!(proxy.get("/", &["Cookie: sid=shared"]).text(), owner);
    }
}

#[test]
fn a_key_may_be_learned_in_one_route_and_used_in_another() {
    let backends: Vec<Backend> = ["a", "b", "c"].map(|name| issuing(name, "X-Room: {id}\r\n")).into();
    let routes = "[[route]]\npool = \"app\"\n[[route]]\npath = \"/game\"\npool = \"app\"\nkey = [\"path:/game/{room}\"]";
    let proxy = Setup::of(&backends.iter().collect::<Vec<_>>())
        .routes(routes)
        .table("sticky", "key = [\"header:x-room\"]")
        .start();
    for _ in 0..6 {
        let (issuer, room) = log_in(&proxy, "x-room");
        assert_eq!(proxy.get(&format!("/game/{room}"), &[]).text(), issuer);
    }
}

#[test]
fn deleting_something_with_a_cookie_does_not_log_out() {
    let (proxy, _backends) = fleet("Set-Cookie: sid={id}; Path=/; HttpOnly\r\n", "key = [\"cookie:sid\"]");
    for _ in 0..10 {
        let (issuer, cookie) = log_in(&proxy, "set-cookie");
        proxy.ask(format!("DELETE /cart/items/5 HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
        assert_eq!(proxy.get("/cart", &[&format!("Cookie: {cookie}")]).text(), issuer);
    }
}

#[test]
fn a_namesake_that_is_taken_back_beside_it_ends_nothing() {
    let fields = "Set-Cookie: sid={id}; Path=/\r\nSet-Cookie: sid=; Path=/old; Max-Age=0\r\n";
    let (proxy, _backends) = fleet(fields, "key = [\"cookie:sid\"]");
    for _ in 0..10 {
        let (issuer, cookie) = log_in(&proxy, "set-cookie");
        assert_eq!(proxy.get("/cart", &[&format!("Cookie: {cookie}")]).text(), issuer);
    }
}
