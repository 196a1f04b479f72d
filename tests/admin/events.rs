//! The event stream: what it tells, from where on, and what its readers cannot do.

use std::fs;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use homing::admin::{Admin, Patience};
use homing::clock::Now;
use homing::server::Stop;
use homing::telemetry::{Event, KEPT};
use serde_json::{Value, json};

use crate::patience::with;
use crate::support::authority::Authority;
use crate::support::events::Subscriber;
use crate::support::process::{File, Process};
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Client, Events, Proxy, Setup, eventually};
use crate::{assert_refused, change, look, setup, told};

const EVENTS: &str = "/api/events";

fn follow(proxy: &Proxy) -> Subscriber {
    Subscriber::open(proxy.connect_admin(), EVENTS, &[])
}

/// Something to tell.
fn happen(proxy: &Proxy, why: impl Into<String>) {
    let (pool, backend, from, to, why) = ("p".into(), "b".into(), "up", "down", why.into());
    proxy.control().journal().note(Now(0), Event::Health { pool, backend, from, to, why });
}

/// The parts of an event that a test is about.
fn parts<const N: usize>(event: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| event[name].clone())
}

#[test]
fn what_an_operator_does_is_told_and_when_it_is_done() {
    let (a, b) = (echo("a", &Events::default()), Backend::named("b"));
    let proxy = Setup::of(&[&a]).sticky("\"path:/chat/{room}\"").admin("").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat/7");
    tunnel.hear();
    let mut events = follow(&proxy);
    let state = "PUT /api/pools/app/backends/a/state";
    change(&proxy, state, r#"{"state":"ready"}"#);
    change(&proxy, state, r#"{"state":"drain","timeout":"10m"}"#);
    let event = events.until("state");
    let [pool, backend, state_now, by] = parts(&event, ["pool", "backend", "state", "by"]);
    assert_eq!((pool, backend, state_now, by), (json!("app"), json!("a"), json!("drain"), json!("operator")));
    assert!(event["timeout_seconds"].as_f64().is_some_and(|left| (590.0..=600.0).contains(&left)), "{event}");
    drop(tunnel);
    change(&proxy, "DELETE /api/pools/app/sessions?key=7", "");
    assert_eq!(parts(&events.until("drained"), ["pool", "backend"]), [json!("app"), json!("a")]);
    proxy.apply(
        &Setup::of(&[&a, &b]).sticky("\"path:/chat/{room}\"").backend("b", "state = \"maint\"").admin(""),
    );
    let event = events.until("state");
    assert_eq!(parts(&event, ["backend", "state", "by"]), [json!("b"), json!("maint"), json!("file")]);
    proxy
        .apply(&Setup::of(&[&b]).sticky("\"path:/chat/{room}\"").backend("b", "state = \"maint\"").admin(""));
    let event = events.until("state");
    assert_eq!(parts(&event, ["backend", "state", "by"]), [json!("a"), json!("drain"), json!("removal")]);
}

#[test]
fn a_removed_backend_is_told_of_and_when_nothing_is_left_of_it() {
    let (a, b) = (echo("a", &Events::default()), Backend::named("b"));
    let rooms = |backends: &[&Backend]| Setup::of(backends).sticky("\"path:/chat/{room}\"").admin("");
    let proxy = rooms(&[&a]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat/7");
    tunnel.hear();
    let mut events = follow(&proxy);
    proxy.apply(&rooms(&[&b]).table("drain", "timeout = \"1s\"\nspread = \"0s\""));
    let event = events.until("state");
    assert_eq!(parts(&event, ["backend", "state", "by"]), [json!("a"), json!("drain"), json!("removal")]);
    assert_eq!(tunnel.close_code(), Some(1012));
    assert_eq!(events.until("drained")["backend"], "a");
}

/// A backend that says of itself what its health answers are to say.
fn speaking(name: &str) -> (Backend, Arc<Mutex<String>>) {
    let says = Arc::new(Mutex::new(String::from("x-instance: one")));
    let (own, own_says) = (name.to_owned(), says.clone());
    let backend = Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/healthz" {
                let fields = own_says.lock().unwrap().clone();
                conn.send(format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: 0\r\n\r\n"));
            } else {
                conn.send(crate::support::backend::ok(&own));
            }
        }
    });
    (backend, says)
}

#[test]
fn what_a_backend_says_of_itself_is_told() {
    let (a, says) = speaking("a");
    let health = "path = \"/healthz\"\ninterval = \"30ms\"\nrise = 1\nfall = 1\n\
        instance_header = \"x-instance\"\ndrain_header = \"x-draining\"";
    let proxy = setup(&[&a]).table("health", health).start();
    eventually("it is known", || proxy.status("a").instance.as_deref() == Some("one"));
    let mut events = follow(&proxy);
    *says.lock().unwrap() = "x-instance: two".into();
    assert_eq!(events.until("restart")["backend"], "a");
    *says.lock().unwrap() = "x-instance: two\r\nx-draining: true".into();
    let event = events.until("state");
    assert_eq!(parts(&event, ["state", "by"]), [json!("drain"), json!("backend")]);
    assert_eq!(event["timeout_seconds"], 1800.0);
    assert_eq!(events.until("drained")["backend"], "a");
    *says.lock().unwrap() = "x-instance: two".into();
    assert_eq!(parts(&events.until("state"), ["state", "by"]), [json!("ready"), json!("backend")]);
    a.stop();
    let event = events.until("health");
    assert_eq!(parts(&event, ["backend", "from", "to"]), [json!("a"), json!("up"), json!("down")]);
    assert!(event["why"].as_str().is_some_and(|why| why.contains("refused")), "{event}");
}

/// Rooms that live on `backend`, of some that are asked for.
fn rooms_on(proxy: &Proxy, backend: &str) -> Vec<String> {
    let rooms = (0..40).map(|room| format!("X-Room: {room}"));
    rooms.filter(|room| proxy.get("/", &[room]).text() == backend).collect()
}

/// Asks for all rooms, and adds up what is told of their moves.
fn moves(proxy: &Proxy, rooms: &[String], events: &mut Subscriber) -> Value {
    for room in rooms {
        assert_eq!(proxy.get("/", &[room]).text(), "b");
    }
    let mut event = events.until("rebind");
    while event["sessions"].as_u64().unwrap() < rooms.len() as u64 {
        let more = events.until("rebind");
        let sum = event["sessions"].as_u64().unwrap() + more["sessions"].as_u64().unwrap();
        assert_eq!(parts(&event, ["from", "to", "cause"]), parts(&more, ["from", "to", "cause"]));
        event["sessions"] = sum.into();
    }
    event
}

#[test]
fn sessions_that_move_are_told_of_together_and_why() {
    type Lose = fn(&Proxy, &Backend, &Backend, &Mutex<String>);
    let health =
        "path = \"/healthz\"\ninterval = \"30ms\"\nrise = 1\nfall = 1\ninstance_header = \"x-instance\"";
    let causes: [(&str, Lose); 4] = [
        ("down", |_, a, _, _| a.stop()),
        ("drained", |proxy, _, _, _| {
            change(proxy, "PUT /api/pools/app/backends/a/state", r#"{"state":"maint"}"#);
        }),
        ("removed", |proxy, _, b, _| {
            let at_once = "timeout = \"0s\"\nspread = \"0s\"";
            proxy.apply(&setup(&[b]).table("drain", at_once));
        }),
        ("restarted", |proxy, _, _, says| {
            // With a weight of 0 it takes nothing new, in either life.
            *says.lock().unwrap() = "x-instance: two".into();
            eventually("it is seen", || proxy.status("a").instance.as_deref() == Some("two"));
        }),
    ];
    for (cause, lose) in causes {
        let ((a, says), (b, _)) = (speaking("a"), speaking("b"));
        let configured = setup(&[&a, &b]).table("health", health);
        let proxy = configured.start();
        proxy.until("a", "up");
        proxy.until("b", "up");
        let rooms = rooms_on(&proxy, "a");
        assert!(rooms.len() > 5, "{rooms:?}");
        let mut events = follow(&proxy);
        if cause == "restarted" {
            proxy.apply(&configured.clone().weight("a", 0));
        }
        lose(&proxy, &a, &b, &says);
        let event = moves(&proxy, &rooms, &mut events);
        assert_eq!(event["sessions"], rooms.len(), "{cause}: {event}");
        let expected = [json!("app"), json!("a"), json!("b"), json!(cause)];
        assert_eq!(parts(&event, ["pool", "from", "to", "cause"]), expected);
    }
}

#[test]
fn an_ejection_is_told_and_its_end() {
    let status = Arc::new(AtomicU16::new(503));
    let own = status.clone();
    let a = Backend::start("a", move |conn| {
        while conn.request().is_some() {
            conn.send(format!("HTTP/1.1 {} So\r\ncontent-length: 0\r\n\r\n", own.load(Ordering::SeqCst)));
        }
    });
    let b = Backend::named("b");
    let outlier = "consecutive_failures = 1\neject = \"300ms\"";
    let proxy = Setup::of(&[&a, &b]).table("outlier", outlier).admin("").start();
    let mut events = follow(&proxy);
    eventually("it fails", || proxy.get("/", &[]).status == 503);
    let event = events.until("ejected");
    assert_eq!(parts(&event, ["pool", "backend", "seconds"]), [json!("app"), json!("a"), json!(0.3)]);
    assert_eq!(events.until("returned")["backend"], "a");
}

#[test]
fn changed_certificates_are_told() {
    let authority = Authority::new("own");
    let issued = authority.issue(&["localhost"]);
    let tls = format!("tls = [{{ cert = '{}', key = '{}' }}]", issued.cert.display(), issued.key.display());
    let proxy = setup(&[&Backend::named("a")]).listener(&tls).start();
    let mut events = follow(&proxy);
    authority.issue_to(&["localhost", "renewed.example"], &issued);
    assert_eq!(events.until("certificates")["outcome"], "renewed");
    fs::write(&issued.cert, "no certificate at all").unwrap();
    let event = events.until("certificates");
    assert_eq!(event["outcome"], "failed");
    assert!(event["error"].as_str().is_some_and(|error| error.contains("certificate")), "{event}");
}

#[test]
fn the_stream_ends_when_the_proxy_stops() {
    let (a, _) = speaking("a");
    let proxy = setup(&[&a]).start();
    let mut events = follow(&proxy);
    proxy.server().stop(Stop::Graceful);
    events.until("stopping");
    assert_eq!(events.next(), None);
}

#[test]
fn who_comes_back_hears_what_was_missed() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let mut events = follow(&proxy);
    happen(&proxy, "one");
    let first = events.next().unwrap();
    assert_eq!((first.id, &first.data["id"], &first.data["kind"]), (Some(1), &json!(1), &json!("health")));
    drop(events);
    for number in 2..=4 {
        happen(&proxy, number.to_string());
    }
    for (target, fields) in [
        ("/api/events", &["Last-Event-ID: 2"][..]),
        ("/api/events?after=2", &[]),
        ("/api/events?after=1", &["Last-Event-ID: 2"]),
    ] {
        let mut events = Subscriber::open(proxy.connect_admin(), target, fields);
        assert_eq!([3, 4].map(Some), [(); 2].map(|()| events.next().unwrap().id), "{target} {fields:?}");
    }
    // A number of a former process: all of this one is new.
    let mut events = Subscriber::open(proxy.connect_admin(), EVENTS, &["Last-Event-ID: 99"]);
    assert_eq!(events.next().unwrap().id, Some(1));
}

#[test]
fn what_is_kept_no_more_is_told_as_missed() {
    let proxy = setup(&[&Backend::named("a")]).start();
    (0..KEPT + 10).for_each(|number| happen(&proxy, number.to_string()));
    let mut events = Subscriber::open(proxy.connect_admin(), "/api/events?after=2", &[]);
    let missed = events.next().unwrap();
    assert_eq!((missed.id, missed.kind.as_str(), &missed.data), (None, "lagged", &json!({ "missed": 8 })));
    assert_eq!(events.next().unwrap().id, Some(11));
    let mut newest = follow(&proxy);
    assert_eq!(newest.next().unwrap().id, Some(KEPT as u64 + 10 - 49));
}

#[test]
fn a_place_to_begin_is_a_number() {
    let proxy = setup(&[&Backend::named("a")]).start();
    for query in ["after=x", "after=-1", "after=", "after=1&after=2", "after=99999999999999999999", "id=1"] {
        assert_refused(&look(&proxy, &format!("{EVENTS}?{query}")), 400, "after");
    }
    let answer = crate::call(&proxy, "GET /api/events", &["Last-Event-ID: \u{e9}"], "");
    assert_refused(&told(&answer), 400, "after");
}

#[test]
fn subscribers_are_few_and_leave_their_place_when_they_go() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let mut all: Vec<_> = (0..16).map(|_| follow(&proxy)).collect();
    assert_refused(&look(&proxy, EVENTS), 503, "too many");
    assert_eq!(look(&proxy, "/healthz").0, 200, "others get through");
    all.pop();
    let follows = || {
        let mut client = proxy.connect_admin();
        client.send(format!("GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n\r\n")).head().status == 200
    };
    eventually("a place is free", follows);
}

/// An admin listener beside the proxy's own, that waits for nobody.
fn hasty(proxy: &Proxy) -> Admin {
    with(proxy, Patience { take: Duration::from_millis(200), ..Patience::default() })
}

#[test]
fn a_stream_that_is_read_is_not_cut() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let admin = hasty(&proxy);
    let mut events = Subscriber::open(Client::connect(admin.address()), EVENTS, &[]);
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        happen(&proxy, "again");
        number += 1;
        assert_eq!(events.next().unwrap().id, Some(number), "after five times as long as an answer may take");
    }
}

#[test]
fn who_does_not_read_is_dropped_and_keeps_nobody_waiting() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let admin = hasty(&proxy);
    let idle = Subscriber::open(Client::connect(admin.address()), EVENTS, &[]);
    eventually("who does not read is dropped", || {
        // Nobody who notes an event waits for this reader.
        happen(&proxy, "x".repeat(64 << 10));
        is_closed(&admin, &idle.client)
    });
}

/// Whether the proxy has given the connection up: its end is no longer among the system's open ones.
fn is_closed(admin: &Admin, client: &Client) -> bool {
    let own = client.reader.source.local_addr().unwrap();
    !crate::support::backend::is_established((admin.address(), own))
}

#[test]
fn the_real_binary_tells_too() {
    let file = File::with(&setup(&[&Backend::named("a")]).toml());
    let (process, _) = Process::of_file(&file);
    let mut events = Subscriber::open(process.connect_admin(), EVENTS, &[]);
    process.signal(rustix::process::Signal::TERM);
    events.until("stopping");
    assert_eq!(events.next(), None);
}
