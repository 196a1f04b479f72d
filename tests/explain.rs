//! Explaining: every reason, the order of the candidates, what would be without a binding; that it says what traffic
//! then does; and that asking changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use homing::backend::Health;
use homing::clock::Now;
use homing::config::{Config, Drain, Wanted};
use homing::explain::{Asked, Candidate, Explanation, Verdict, explain};
use homing::pool::{Choice, Commit, Pool, View};
use homing::snapshot::Snapshot;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;
use support::{Backend, Setup};

const TABLE: &str = "sticky = { key = [\"query:room\"], mode = \"table\" }\n";
const HASH: &str = "sticky = { key = [\"query:room\"], mode = \"hash\" }\n";
const START: Now = Now(1_800_000_000_000_000);

/// A proxy without sockets, with backends a, b and c of weight 1, 2 and 4.
struct Fleet {
    snapshot: Snapshot,
    now: Now,
}

impl Fleet {
    /// With `settings` of the pool, and `each` of its backends.
    #[track_caller]
    fn with(settings: &str, each: &str) -> Self {
        let mut source = format!(
            "trusted_proxies = [\"10.0.0.0/8\"]\nlistener = [{{ address = \"127.0.0.1:0\" }}]\n\
             route = [{{ pool = \"app\", host = \"app.test\" }}, {{ pool = \"app\", path = \"/game\" }}]\n\
             [[pool]]\nname = \"app\"\n{settings}"
        );
        for (name, weight) in [("a", 1), ("b", 2), ("c", 4)] {
            let backend = format!("name = \"{name}\"\naddress = \"127.0.0.1:{weight}\"\nweight = {weight}\n");
            source.extend(["[[pool.backend]]\n", &backend, each, "\n"]);
        }
        let config = Config::parse(&source, "test").unwrap_or_else(|errors| panic!("{errors}\n{source}"));
        Self { snapshot: Snapshot::build(&config, None, 1, Now(0)), now: START }
    }

    fn new(settings: &str) -> Self {
        Self::with(settings, "")
    }

    fn pool(&self) -> &Pool {
        &self.snapshot.pools[0]
    }

    fn explain(&self, target: &str) -> Explanation {
        self.ask(&Method::GET, target, &HeaderMap::new(), [192, 0, 2, 1])
    }

    fn ask(&self, method: &Method, target: &str, headers: &HeaderMap, ip: [u8; 4]) -> Explanation {
        let uri = &target.parse().unwrap();
        explain(&self.snapshot, &Asked { method, uri, headers, client_ip: ip.into() }, self.now)
    }

    /// Decides and binds as traffic does; the backend. What it holds, it keeps.
    #[track_caller]
    fn visit(&self, key: &str) -> String {
        let (pool, view) = (self.pool(), View::new(self.pool(), 0));
        let key = pool.hash_key(key.as_bytes());
        let choice = Choice { skip: &[], load: &|_| 0, now: self.now };
        let decision = pool.decide(&view, Some(&key), &choice).unwrap();
        let committed = pool.commit(&view, Some(&key), &decision, self.now, false);
        assert!(matches!(committed, Commit::Go(_)), "{committed:?}");
        pool.backends[decision.backend as usize].name.to_string()
    }

    fn backend(&self, name: &str) -> &homing::backend::Backend {
        self.pool().backends.iter().find(|backend| *backend.name == *name).unwrap()
    }

    fn down(&self, name: &str) {
        self.backend(name).state.set_health(Health::Down, self.now);
    }
}

fn names(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.name.as_str()).collect()
}

fn candidate<'a>(explanation: &'a Explanation, name: &str) -> &'a Candidate {
    explanation.candidates.iter().find(|candidate| candidate.name == name).unwrap()
}

// === Reasons ===

#[test]
fn a_new_key_is_placed_and_then_bound() {
    let mut fleet = Fleet::new(TABLE);
    let before = fleet.explain("/game?room=7");
    assert_eq!((before.reason, &before.binding), (Verdict::Placed, &None));
    assert_eq!(before.backend, Some(fleet.visit("7")));
    fleet.now = Now(START.micros() + 90_000_000);
    let after = fleet.explain("/game?room=7");
    assert_eq!((after.reason, &after.backend), (Verdict::Bound, &before.backend));
    let binding = after.binding.unwrap();
    assert_eq!((binding.backend, binding.live, binding.epoch), (before.backend, 1, START.micros()));
    assert!((binding.age_seconds - 90.0).abs() < 0.001, "{}", binding.age_seconds);
}

#[test]
fn the_question_is_told_with_the_answer() {
    let explanation = Fleet::new(TABLE).explain("/game?room=a%20b");
    assert_eq!(explanation.route.as_deref(), Some("/game"));
    assert_eq!((explanation.host.as_str(), explanation.pool.as_deref()), ("", Some("app")));
    assert_eq!(
        (explanation.mode.as_deref(), explanation.balance.as_deref()),
        (Some("table"), Some("rendezvous"))
    );
    assert_eq!(
        (explanation.key.as_deref(), explanation.key_source.as_deref()),
        (Some("a b"), Some("query:room"))
    );
}

#[test]
fn a_key_whose_backend_is_down_is_rebound() {
    let fleet = Fleet::new(TABLE);
    let home = fleet.visit("7");
    fleet.down(&home);
    let explanation = fleet.explain("/game?room=7");
    assert_eq!(explanation.reason, Verdict::Rebound);
    assert_eq!(explanation.binding.as_ref().unwrap().backend.as_ref(), Some(&home));
    assert_eq!(explanation.backend.as_deref(), Some(explanation.candidates[0].name.as_str()));
    assert!(
        explanation.detail.contains(&format!("{home}, the backend of the key")),
        "{}",
        explanation.detail
    );
}

#[test]
fn a_key_whose_backend_is_down_waits_or_is_rejected_where_the_pool_says_so() {
    let down = |policy: &str| {
        let fleet = Fleet::new(&TABLE.replace("mode", &format!("on_backend_down = \"{policy}\", mode")));
        fleet.down(&fleet.visit("7"));
        fleet.explain("/game?room=7")
    };
    let (waiting, rejected) = (down("wait"), down("reject"));
    assert_eq!((waiting.reason, rejected.reason), (Verdict::Waiting, Verdict::Rejected));
    assert_eq!((waiting.backend, rejected.backend), (None, None));
    assert!(waiting.detail.contains("10s more"), "{}", waiting.detail);
    assert_eq!(rejected.without_binding.unwrap().reason, Verdict::Placed);
    assert!(!waiting.reason.is_served() && !rejected.reason.is_served());
}

#[test]
fn without_a_key_backends_take_turns() {
    let explanation = Fleet::new(TABLE).explain("/game");
    assert_eq!((explanation.reason, explanation.backend), (Verdict::Balanced, None));
    assert_eq!((explanation.key, explanation.without_binding), (None, None));
    assert!(explanation.candidates.iter().all(|candidate| candidate.eligible));
    let alone = Fleet::new(TABLE);
    alone.down("a");
    alone.down("b");
    assert_eq!(alone.explain("/game").backend.as_deref(), Some("c"), "there is no other");
}

#[test]
fn with_every_backend_down_none_is_available() {
    let fleet = Fleet::new(HASH);
    for name in ["a", "b", "c"] {
        fleet.down(name);
    }
    let explanation = fleet.explain("/game?room=7");
    assert_eq!((explanation.reason, explanation.backend), (Verdict::Unavailable, None));
    assert!(
        explanation.candidates.iter().all(|it| it.why_not.as_deref() == Some("down") && it.rank.is_none())
    );
}

#[test]
fn backends_with_all_their_sessions_take_no_more() {
    let fleet = Fleet::with(TABLE, "max_sessions = 1");
    let first = fleet.visit("0");
    let some_full = fleet.explain("/game?room=new");
    assert_eq!(candidate(&some_full, &first).why_not.as_deref(), Some("at max_sessions"));
    assert_eq!((candidate(&some_full, &first).sessions, candidate(&some_full, &first).max_sessions), (1, 1));
    (1..3).for_each(|key| drop(fleet.visit(&key.to_string())));
    let full = fleet.explain("/game?room=new");
    assert_eq!((full.reason, full.without_binding.unwrap().reason), (Verdict::Full, Verdict::Full));
    assert_eq!(fleet.explain("/game?room=0").reason, Verdict::Bound);
}

#[test]
fn hosts_and_paths_without_a_route_say_so() {
    let fleet = Fleet::new(TABLE);
    let elsewhere = fleet.explain("http://Other.test/?room=7");
    assert_eq!((elsewhere.reason, elsewhere.host.as_str()), (Verdict::NoRoute, "other.test"));
    assert_eq!((elsewhere.route, elsewhere.pool), (None, None));
    assert_eq!(fleet.explain("http://App.test:81/?room=7").reason, Verdict::Placed);
    let mut host = HeaderMap::new();
    host.insert(header::HOST, HeaderValue::from_static("app.test:8080"));
    assert_eq!(fleet.ask(&Method::GET, "/?room=7", &host, [192, 0, 2, 1]).reason, Verdict::Placed);
    host.insert(header::HOST, HeaderValue::from_static("a b"));
    assert!(fleet.ask(&Method::GET, "/", &host, [192, 0, 2, 1]).detail.contains("400"));
    let connect = fleet.ask(&Method::CONNECT, "http://app.test/", &HeaderMap::new(), [192, 0, 2, 1]);
    assert!(connect.reason == Verdict::NoRoute && connect.detail.contains("501"));
}

#[test]
fn the_client_is_who_trusted_proxies_say() {
    let fleet = Fleet::new("sticky = { key = [\"client_ip\"] }\n");
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.7"));
    let key = |ip| fleet.ask(&Method::GET, "/game", &headers, ip).key.unwrap();
    assert_eq!((key([10, 1, 1, 1]), key([192, 0, 2, 1])), ("198.51.100.7".into(), "192.0.2.1".into()));
}

#[test]
fn deleting_an_issued_session_is_told() {
    let fleet = Fleet::new("sticky = { key = [\"header:x-id\"] }\n");
    let mut headers = HeaderMap::new();
    headers.insert("x-id", HeaderValue::from_static("7"));
    let detail = |method| fleet.ask(&method, "/game", &headers, [192, 0, 2, 1]).detail;
    assert!(detail(Method::DELETE).contains("ends the session"));
    assert!(!detail(Method::GET).contains("ends the session"));
}

// === Candidates ===

#[test]
fn candidates_stand_in_the_order_in_which_they_would_take_over() {
    let fleet = Fleet::new(TABLE);
    for key in 0..50 {
        let fleet = Fleet::new(TABLE);
        let target = format!("/game?room={key}");
        let explanation = fleet.explain(&target);
        let order = names(&explanation.candidates);
        let scores: Vec<_> =
            explanation.candidates.iter().map(|candidate| candidate.score.unwrap()).collect();
        assert!(scores.is_sorted(), "{scores:?}");
        assert_eq!(
            explanation.candidates.iter().map(|it| it.rank).collect::<Vec<_>>(),
            [Some(1), Some(2), Some(3)]
        );
        for name in order {
            assert_eq!(fleet.explain(&target).backend.as_deref(), Some(name));
            fleet.down(name);
        }
    }
    assert_eq!(names(&fleet.explain("/other").candidates), Vec::<&str>::new());
}

#[test]
fn a_draining_and_a_down_backend_are_shown_with_the_reason() {
    let fleet = Fleet::new(TABLE);
    let drain = Drain { timeout: std::time::Duration::from_mins(1), spread: std::time::Duration::ZERO };
    fleet.backend("a").state.wish(|wishes| wishes.order(Wanted::Drain, drain, fleet.now));
    fleet.down("b");
    let explanation = fleet.explain("/game?room=7");
    assert_eq!(names(&explanation.candidates), ["c", "a", "b"]);
    let (a, b) = (candidate(&explanation, "a"), candidate(&explanation, "b"));
    assert_eq!((a.state.as_str(), a.why_not.as_deref(), a.eligible), ("drain", Some("leaving"), false));
    assert_eq!((b.health.as_str(), b.why_not.as_deref(), b.rank), ("down", Some("down"), None));
}

#[test]
fn suspect_unchecked_and_weightless_backends_are_told_apart() {
    let fleet = Fleet::new(TABLE);
    fleet.backend("a").state.set_health(Health::Suspect, fleet.now);
    fleet.backend("b").state.set_health(Health::Unknown, fleet.now);
    let explanation = fleet.explain("/game?room=7");
    let why = |name| candidate(&explanation, name).why_not.as_deref();
    assert_eq!((why("a"), why("b"), why("c")), (Some("suspect"), Some("not checked yet"), None));
}

#[test]
fn an_ejected_backend_is_no_candidate_unless_all_are() {
    let fleet = Fleet::new(TABLE);
    let home = fleet.visit("7");
    fleet.backend(&home).state.set_outlier(true);
    let why = |target: &str| {
        let explanation = fleet.explain(target);
        (candidate(&explanation, &home).why_not.clone(), explanation.reason)
    };
    assert_eq!(why("/game?room=7"), (Some("ejected".into()), Verdict::Bound));
    assert_eq!(why("/game"), (Some("ejected".into()), Verdict::Balanced));
    for name in ["a", "b", "c"] {
        fleet.backend(name).state.set_outlier(true);
    }
    assert_eq!(why("/game?room=new").0, None);
    let hashing = Fleet::new(HASH);
    let place = |fleet: &Fleet| fleet.explain("/game?room=7").backend.unwrap();
    let before = place(&hashing);
    hashing.backend(&before).state.set_outlier(true);
    assert_eq!(place(&hashing), before, "a hashed key has no memory of where it was");
    hashing.down(&before);
    assert_eq!(candidate(&hashing.explain("/game?room=7"), &before).why_not.as_deref(), Some("down"));
}

#[test]
fn a_backend_without_a_place_is_passed_by_unless_the_key_is_bound_there() {
    let fleet = Fleet::with(TABLE, "max_connections = 1");
    let home = fleet.visit("7");
    let _place = fleet.backend(&home).slots.as_ref().unwrap().clone().try_acquire_owned().unwrap();
    let bound = fleet.explain("/game?room=7");
    assert_eq!((bound.reason, bound.backend.as_ref()), (Verdict::Bound, Some(&home)));
    assert!(bound.detail.contains("queue"), "{}", bound.detail);
    for key in 0..20 {
        let new = fleet.explain(&format!("/game?room=new-{key}"));
        assert_eq!(candidate(&new, &home).why_not.as_deref(), Some("at max_connections"));
        assert_ne!(new.backend.as_ref(), Some(&home));
        assert_eq!(new.backend.as_deref(), Some(new.candidates[0].name.as_str()));
    }
}

// === Without a binding ===

#[test]
fn without_its_binding_a_key_would_be_placed_by_its_hash() {
    let fleet = Fleet::new(TABLE);
    fleet.down("c");
    let homes: Vec<_> = (0..50).map(|key| fleet.visit(&key.to_string())).collect();
    fleet.backend("c").state.set_health(Health::Up, fleet.now);
    let fresh = Fleet::new(TABLE);
    let mut moved = 0;
    for (key, home) in homes.iter().enumerate() {
        let target = format!("/game?room={key}");
        let explanation = fleet.explain(&target);
        assert_eq!((explanation.reason, explanation.backend.as_ref()), (Verdict::Bound, Some(home)));
        let without = explanation.without_binding.unwrap();
        assert_eq!((without.reason, &without.backend), (Verdict::Placed, &fresh.explain(&target).backend));
        moved += usize::from(without.backend.as_ref() != Some(home));
    }
    assert!(moved > 10, "{moved} of 50 would be elsewhere");
}

// === Nothing changes ===

#[test]
fn asking_changes_nothing() {
    for settings in [TABLE, HASH, "balance = \"random\"\n", "balance = \"round_robin\"\n"] {
        let fleet = Fleet::new(settings);
        let first = fleet.explain("/game?room=7");
        assert!((0..20).all(|_| fleet.explain("/game?room=7") == first), "{settings}");
        assert!(fleet.pool().table().is_none_or(|table| table.is_empty()));
    }
}

#[test]
fn where_nobody_can_say_which_backend_it_will_be_none_is_named() {
    for policy in ["round_robin", "random", "least_request"] {
        let fleet = Fleet::new(&format!("balance = \"{policy}\"\n{TABLE}"));
        let explanation = fleet.explain("/game?room=7");
        assert_eq!((explanation.reason, explanation.backend), (Verdict::Placed, None), "{policy}");
        assert_eq!(explanation.without_binding.unwrap().backend, None);
        assert!(explanation.detail.contains(policy), "{}", explanation.detail);
    }
    let first = Fleet::new(&format!("balance = \"first\"\n{TABLE}")).explain("/game?room=7");
    assert_eq!(first.backend.as_deref(), Some("a"));
    let least = Fleet::new(&format!("balance = \"least_sessions\"\n{TABLE}"));
    assert_eq!(least.explain("/game?room=7").backend, None, "all have none");
}

#[test]
fn it_says_what_traffic_then_does() {
    let (a, b, c) = (Backend::named("a"), Backend::named("b"), Backend::named("c"));
    let proxy = Setup::of(&[&a, &b, &c]).weight("b", 3).sticky("\"path:/game/{room}\"").start();
    let mut client = proxy.connect();
    for room in 0..200 {
        let target = format!("/game/{room}");
        let before = proxy.explain(&target, &HeaderMap::new());
        assert_eq!(before.reason, Verdict::Placed);
        assert_eq!(before.backend, Some(client.get(&target, &[]).text()));
        let after = proxy.explain(&target, &HeaderMap::new());
        assert_eq!((after.reason, after.backend), (Verdict::Bound, before.backend));
    }
}

#[test]
fn the_proxys_own_cookie_is_a_binding_and_without_it_there_is_none() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let sealed = || Setup::of(&[&a, &b]).table("sticky", "mode = \"cookie\"").start();
    let (proxy, other) = (sealed(), sealed());
    let answer = proxy.get("/", &[]);
    let cookie = answer.field("set-cookie").unwrap().split(';').next().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
    let bound = proxy.explain("/", &headers);
    assert_eq!((bound.reason, bound.mode.as_deref()), (Verdict::Bound, Some("cookie")));
    assert_eq!(
        (bound.backend, bound.key_source.as_deref()),
        (Some(answer.text()), Some("cookie:homing_app"))
    );
    assert_eq!(bound.binding.unwrap().backend, Some(answer.text()));
    for new in [proxy.explain("/", &HeaderMap::new()), other.explain("/", &headers)] {
        assert_eq!((new.reason, new.backend, new.binding), (Verdict::Placed, None, None), "{}", new.detail);
    }
}

// === Shapes ===

#[test]
fn the_json_is_flat_and_has_these_names() {
    let fleet = Fleet::new(TABLE);
    fleet.visit("7");
    let json = serde_json::to_value(fleet.explain("/game?room=7")).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&json),
        "backend balance binding candidates detail host key key_source mode pool reason route without_binding"
    );
    assert_eq!(
        keys(&json["candidates"][0]),
        "address eligible health in_flight max_sessions name rank score sessions state weight why_not"
    );
    assert_eq!(keys(&json["binding"]), "age_seconds backend epoch live");
    assert_eq!((&json["reason"], keys(&json["without_binding"])), (&"bound".into(), "backend reason".into()));
    let none = serde_json::to_value(fleet.explain("/nowhere")).unwrap();
    assert_eq!(keys(&none), keys(&json), "also where there is no route");
}

#[test]
fn the_text_begins_with_the_answer_and_fits_80_columns() {
    let fleet = Fleet::new(TABLE);
    fleet.visit("7");
    fleet.down("a");
    let long = "x".repeat(300);
    for target in ["/game?room=7", "/game", "/nowhere", &format!("/game?room={long}")] {
        let explanation = fleet.explain(target);
        let text = explanation.to_string();
        assert!(text.starts_with(explanation.detail.split(' ').next().unwrap()), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
