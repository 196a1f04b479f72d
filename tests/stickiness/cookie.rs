//! Cookie mode: the binding is in the client's hands, sealed; the proxy opens it, hides it from backends and renews it.

use std::collections::BTreeSet;

use homing::config::Wanted;

use crate::support::backend::ok;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually, get};

fn cookie_mode(backends: &[&Backend], more: &str) -> Setup {
    // Cargo sets this for every test, and it is long enough for a secret.
    let secret = "secret_env = \"CARGO_PKG_DESCRIPTION\"";
    Setup::of(backends)
        .table("sticky", &format!("mode = \"cookie\"\n{more}"))
        .table("sticky.cookie", &format!("name = \"home\"\n{secret}"))
}

/// A first visit: the backend, and the cookie that was set.
#[track_caller]
fn first_visit(proxy: &Proxy) -> (String, String) {
    let response = proxy.get("/", &[]);
    (response.text(), cookie_of(response.field("set-cookie").expect("a cookie")))
}

fn cookie_of(line: &str) -> String {
    format!("Cookie: {}", line.split(';').next().unwrap())
}

fn three() -> [Backend; 3] {
    ["a", "b", "c"].map(Backend::named)
}

#[test]
fn the_first_response_sets_the_cookie_and_it_leads_home() {
    let backends = three();
    let proxy = cookie_mode(&backends.each_ref(), "").start();
    let homes: BTreeSet<String> = (0..6)
        .map(|_| {
            let (home, cookie) = first_visit(&proxy);
            for _ in 0..4 {
                let again = proxy.get("/", &[&cookie]);
                assert_eq!((again.text(), again.field("set-cookie")), (home.clone(), None), "it is fresh");
            }
            home
        })
        .collect();
    assert_eq!(homes.len(), 3, "new sessions take turns");
}

#[test]
fn its_attributes_are_those_of_the_configuration() {
    let backends = three();
    let proxy = cookie_mode(&backends.each_ref(), "").start();
    let line = proxy.get("/", &[]).field("set-cookie").unwrap().to_owned();
    let attributes: BTreeSet<&str> = line.split("; ").skip(1).collect();
    assert_eq!(attributes, BTreeSet::from(["HttpOnly", "SameSite=Lax", "Path=/"]));
    assert!(line.starts_with("home="));
}

#[test]
fn the_backend_never_sees_it() {
    let backends = three();
    let proxy = cookie_mode(&backends.each_ref(), "").start();
    let (_, cookie) = first_visit(&proxy);
    proxy.get("/x", &[&format!("Cookie: a=1; {}; b=2", cookie.strip_prefix("Cookie: ").unwrap())]);
    proxy.get("/y", &[&cookie]);
    let requests: Vec<_> = backends.iter().flat_map(Backend::requests).collect();
    let sent = |target: &str| requests.iter().find(|request| request.target() == target).unwrap();
    assert_eq!(sent("/x").field("cookie"), Some("a=1; b=2"));
    assert_eq!(sent("/y").field("cookie"), None);
    assert!(requests.iter().all(|request| request.field("x-session-epoch").is_none()));
}

#[test]
fn nor_does_a_backend_of_another_pool() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let other = format!("[[pool]]\nname = \"other\"\nbackend = [{{ address = \"{}\" }}]\n", b.address);
    let routes = "[[route]]\npool = \"app\"\n[[route]]\npath = \"/other\"\npool = \"other\"";
    let toml = cookie_mode(&[&a], "").routes(routes).toml() + &other;
    let proxy = Setup::start_toml(&toml);
    let (_, cookie) = first_visit(&proxy);
    assert_eq!(proxy.get("/other", &[&cookie]).text(), "b");
    assert_eq!(b.request().field("cookie"), None);
}

#[test]
fn a_tunnel_gets_it_with_its_101() {
    let events = Events::default();
    let backends = ["a", "b", "c"].map(|name| echo(name, &events));
    let proxy = cookie_mode(&backends.each_ref(), "").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    let cookie = cookie_of(tunnel.response.field("set-cookie").expect("a cookie"));
    let home = tunnel.hear()[..1].to_owned();
    assert!((0..4).all(|_| proxy.get("/", &[&cookie]).text() == home));
}

#[test]
fn what_shared_caches_may_keep_gets_no_cookie_and_what_has_one_they_may_not_keep() {
    let cases = [
        ("", Some("private"), true),
        ("Cache-Control: max-age=60\r\n", Some("max-age=60, private"), true),
        ("Cache-Control: no-store\r\n", Some("no-store"), true),
        ("Cache-Control: private, max-age=5\r\n", Some("private, max-age=5"), true),
        ("Cache-Control: public, max-age=60\r\n", Some("public, max-age=60"), false),
        ("Cache-Control: s-maxage=60\r\n", Some("s-maxage=60"), false),
    ];
    for (field, expected, has_cookie) in cases {
        let backend = Backend::answering("a", format!("HTTP/1.1 200 OK\r\n{field}content-length: 0\r\n\r\n"));
        let response = cookie_mode(&[&backend], "").start().get("/", &[]);
        let said = response.all("cache-control").join(", ");
        assert_eq!(
            (Some(said.as_str()), response.field("set-cookie").is_some()),
            (expected, has_cookie),
            "{field}"
        );
    }
}

#[test]
fn what_the_backend_sets_itself_passes_beside_it() {
    let line = "sid=\"x y\"; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT";
    let backend = Backend::answering(
        "a",
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: {line}\r\ncontent-length: 0\r\n\r\n"),
    );
    let response = cookie_mode(&[&backend], "").start().get("/", &[]);
    assert_eq!(response.all("set-cookie")[0], line);
    assert!(response.all("set-cookie")[1].starts_with("home="));
}

#[test]
fn what_is_forged_counts_as_absent() {
    let backends = three();
    let proxy = cookie_mode(&backends.each_ref(), "").start();
    let (_, cookie) = first_visit(&proxy);
    let last = cookie.len() - 3;
    let changed = format!(
        "{}{}{}",
        &cookie[..last],
        if &cookie[last..=last] == "A" { "B" } else { "A" },
        &cookie[last + 1..]
    );
    for forged in ["Cookie: home=a", "Cookie: home=%00", &changed] {
        let response = proxy.get("/", &[forged]);
        assert_eq!(response.status, 200);
        assert!(response.field("set-cookie").is_some(), "{forged}");
    }
    assert_eq!(proxy.control().pool_status("app").unwrap().refused_cookies_total, 3);
}

#[test]
fn another_proxy_with_the_same_secret_opens_it() {
    let backends = three();
    let (one, two) =
        (cookie_mode(&backends.each_ref(), "").start(), cookie_mode(&backends.each_ref(), "").start());
    for _ in 0..6 {
        let (home, cookie) = first_visit(&one);
        assert_eq!(two.get("/", &[&cookie]).text(), home);
    }
}

#[test]
fn changes_of_the_fleet_move_nobody_whose_backend_lives() {
    let backends = ["a", "b", "c", "d"].map(Backend::named);
    let [a, b, c, d] = backends.each_ref();
    let proxy = cookie_mode(&[a, b, c], "").start();
    let visits: Vec<_> = (0..9).map(|_| first_visit(&proxy)).collect();
    for setup in [cookie_mode(&[d, c, b, a], "").weight("d", 100), cookie_mode(&[c, b, a], "").weight("a", 0)]
    {
        proxy.apply(&setup);
        assert!(visits.iter().all(|(home, cookie)| proxy.get("/", &[cookie]).text() == *home));
    }
}

#[test]
fn who_loses_a_backend_gets_another_and_a_cookie_that_says_so() {
    let backends = three();
    let proxy = cookie_mode(&backends.each_ref(), "").checks(1, 1).start();
    let (home, cookie) = first_visit(&proxy);
    let lost = backends.iter().find(|backend| backend.name == home).unwrap();
    lost.stop();
    proxy.until(&home, "down");
    let moved = proxy.get("/", &[&cookie]);
    let (next, renewed) = (moved.text(), cookie_of(moved.field("set-cookie").unwrap()));
    assert_ne!(next, home);
    lost.restart();
    proxy.until(&home, "up");
    assert_eq!(proxy.get("/", &[&renewed]).text(), next);
    let late = proxy.get("/", &[&cookie]);
    assert_eq!(late.text(), next, "a second tab still shows the old cookie");
    assert!(late.field("set-cookie").is_some(), "and is told");
}

#[test]
fn a_draining_backend_keeps_its_own_until_their_moment() {
    let events = Events::default();
    let backends = ["a", "b"].map(|name| echo(name, &events));
    let proxy = cookie_mode(&backends.each_ref(), "").table("drain", "spread = \"0s\"").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    let cookie = cookie_of(tunnel.response.field("set-cookie").unwrap());
    let home = tunnel.hear()[..1].to_owned();
    let drain = |secs| {
        let timeout = Some(std::time::Duration::from_secs(secs));
        proxy.control().set_state("app", &home, Wanted::Drain, timeout).unwrap();
    };
    drain(3600);
    assert_eq!(proxy.get("/", &[&cookie]).text(), home);
    assert!((0..6).all(|_| proxy.get("/", &[]).text() != home));
    assert!(proxy.status(&home).drain.unwrap().sessions >= 1);
    drain(0);
    assert_eq!(tunnel.close_code(), Some(1012));
    let moved = proxy.get("/", &[&cookie]);
    assert!(moved.text() != home && moved.field("set-cookie").is_some());
    eventually("nothing is left", || proxy.status(&home).drain.is_some_and(|drain| drain.done));
}

#[test]
fn a_key_beside_it_places_new_sessions() {
    let backends = three();
    let proxy = cookie_mode(&backends.each_ref(), "key = [\"query:tenant\"]").start();
    let tenants: BTreeSet<String> = (0..6).map(|_| proxy.get("/?tenant=7", &[]).text()).collect();
    assert_eq!(tenants.len(), 1, "one tenant, one backend");
    let (home, cookie) = first_visit(&proxy);
    assert!(
        (0..6).all(|n| proxy.get(&format!("/?tenant={n}"), &[&cookie]).text() == home),
        "the cookie wins"
    );
}

#[test]
fn sessions_are_counted_and_limited() {
    let backends = three();
    let setup = cookie_mode(&backends.each_ref(), "").pool("balance = \"first\"\n");
    let proxy = setup.backend("a", "max_sessions = 2").backend("b", "max_sessions = 2").start();
    let homes: Vec<String> = (0..6).map(|_| first_visit(&proxy).0).collect();
    assert_eq!(homes, ["a", "a", "b", "b", "c", "c"]);
    assert_eq!(proxy.status("c").sessions, 2);
}

#[test]
fn a_route_can_do_without() {
    let backends = three();
    let routes = "[[route]]\npool = \"app\"\n[[route]]\npath = \"/free\"\npool = \"app\"\nkey = []";
    let proxy = cookie_mode(&backends.each_ref(), "").routes(routes).start();
    let turns: Vec<_> = (0..3).map(|_| proxy.get("/free", &[])).collect();
    assert!(turns.iter().all(|response| response.field("set-cookie").is_none()));
    assert_eq!(turns.iter().map(|response| response.text()).collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn an_error_of_the_proxys_sets_no_cookie() {
    let dead = Backend::killed("a");
    let proxy = cookie_mode(&[&dead], "").start();
    let response = proxy.get("/", &[]);
    assert_eq!((response.status, response.field("set-cookie")), (503, None));
}

#[test]
fn it_is_renewed_after_a_quarter_of_the_idle_time() {
    let backend = Backend::answering("a", ok("a"));
    let proxy = cookie_mode(&[&backend], "idle_timeout = \"4s\"").start();
    let (_, mut cookie) = first_visit(&proxy);
    let mut renewed = 0;
    eventually("it is renewed twice, and lives longer than its idle time", || {
        let response = proxy.ask(get("/", &[&cookie]));
        if let Some(line) = response.field("set-cookie") {
            renewed += 1;
            cookie = cookie_of(line);
        }
        renewed == 2
    });
    assert_eq!(proxy.control().pool_status("app").unwrap().refused_cookies_total, 0);
}

#[test]
fn a_session_with_a_tunnel_outlives_its_cookie() {
    let events = Events::default();
    let backends = ["a", "b", "c"].map(|name| echo(name, &events));
    let proxy = cookie_mode(&backends.each_ref(), "idle_timeout = \"1s\"").start();
    let sessions = || proxy.control().pool_status("app").unwrap().sessions;
    let mut tunnel = Tunnel::open(proxy.connect(), "/");
    let cookie = cookie_of(tunnel.response.field("set-cookie").unwrap());
    let home = tunnel.hear()[..1].to_owned();
    let (_, idle) = first_visit(&proxy);
    eventually("the session without one ends", || sessions() == 1);
    assert!((0..3).all(|_| proxy.get("/", &[&cookie]).text() == home));
    let again = proxy.get("/", &[&cookie]);
    assert!(again.field("set-cookie").is_some(), "with a fresh one");
    proxy.get("/", &[&idle]);
    assert_eq!(sessions(), 2, "the other began a new one");
    assert_eq!(proxy.control().pool_status("app").unwrap().refused_cookies_total, 1);
}

/// Asks two proxies in turns, and keeps what cookie they set; who answered.
fn in_turns(proxies: [&Proxy; 2], cookie: &mut String, count: usize) -> Vec<String> {
    let ask = |n: usize| {
        let response = proxies[n % 2].get("/", &[cookie]);
        if let Some(line) = response.field("set-cookie") {
            *cookie = cookie_of(line);
        }
        response.text()
    };
    (0..count).map(ask).collect()
}

#[test]
fn two_proxies_agree_on_where_a_session_went() {
    let backends = ["a", "b", "c", "d", "e"].map(|name| Backend::checked(name, || 200));
    let setup = cookie_mode(&backends.each_ref(), "").checks(1, 1);
    let (one, two) = (setup.start(), setup.start());
    for name in ["a", "b", "c", "d", "e"] {
        one.until(name, "up");
        two.until(name, "up");
    }
    let mut of_a: Vec<String> = (0..20)
        .map(|_| first_visit(&one))
        .filter(|(home, _)| home == "a")
        .map(|(_, cookie)| cookie)
        .collect();
    assert!(of_a.iter().all(|cookie| two.get("/", &[cookie]).text() == "a"));
    backends[0].stop();
    one.until("a", "down");
    two.until("a", "down");
    for cookie in &mut of_a {
        let answers = in_turns([&one, &two], cookie, 6);
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer != "a"), "{answers:?}");
    }
}

#[test]
fn a_later_cookie_beats_an_earlier_table() {
    let backends = three();
    let setup = cookie_mode(&backends.each_ref(), "");
    let (one, two) = (setup.start(), setup.start());
    let (home, mut cookie) = first_visit(&one);
    assert_eq!(two.get("/", &[&cookie]).text(), home);
    two.control().set_state("app", &home, Wanted::Maint, None).unwrap();
    let moved = in_turns([&two, &two], &mut cookie, 1);
    two.control().set_state("app", &home, Wanted::Ready, None).unwrap();
    let answers = in_turns([&one, &two], &mut cookie, 6);
    assert!(answers.iter().all(|answer| *answer == moved[0]), "{answers:?} after {moved:?}");
}

#[test]
fn sessions_that_another_proxy_began_are_left_the_time_to_ask() {
    let backends = three();
    let (one, two) =
        (cookie_mode(&backends.each_ref(), "").start(), cookie_mode(&backends.each_ref(), "").start());
    let (home, cookie) = first_visit(&one);
    two.control().set_state("app", &home, Wanted::Drain, None).unwrap();
    assert!(!two.status(&home).drain.unwrap().done, "the idle time-out has not passed since");
    let left: Vec<&Backend> = backends.iter().filter(|backend| backend.name != home).collect();
    two.apply(&cookie_mode(&left, ""));
    assert_eq!(two.get("/", &[&cookie]).text(), home, "a removed backend is drained");
}

#[test]
fn a_cookie_of_a_later_life_is_believed() {
    let instance = std::sync::Arc::new(std::sync::Mutex::new("one"));
    let backends = ["a", "b", "c"].map(|name| {
        let instance = instance.clone();
        Backend::start(name, move |conn| {
            while let Some(request) = conn.request() {
                let named = *instance.lock().unwrap();
                let instance = format!("HTTP/1.1 200 OK\r\nx-instance: {named}\r\ncontent-length: 0\r\n\r\n");
                conn.send(if request.target() == "/healthz" { instance } else { ok(name) });
            }
        })
    });
    let checked = |interval: &str| {
        let checks =
            format!("path = \"/healthz\"\ninterval = \"{interval}\"\ninstance_header = \"x-instance\"");
        cookie_mode(&backends.each_ref(), "").table("health", &checks).start()
    };
    let (seldom, often) = (checked("1h"), checked("30ms"));
    *instance.lock().unwrap() = "two";
    for name in ["a", "b", "c"] {
        seldom.until(name, "up");
        eventually("it is seen", || often.status(name).instance.as_deref() == Some("two"));
    }
    for _ in 0..6 {
        let (home, cookie) = first_visit(&often);
        let answer = seldom.get("/", &[&cookie]);
        assert_eq!((answer.text(), answer.field("set-cookie")), (home, None));
    }
}

#[test]
fn a_response_without_the_cookie_begins_no_session() {
    let backend = Backend::answering(
        "a",
        "HTTP/1.1 200 OK\r\ncache-control: public, max-age=60\r\ncontent-length: 1\r\n\r\na",
    );
    let proxy = cookie_mode(&[&backend], "").backend("a", "max_sessions = 2").start();
    assert!((0..6).all(|_| proxy.get("/logo.png", &[]).status == 200));
}
