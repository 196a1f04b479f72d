//! `sessions`: where one is, its end, and all of a pool.

use crate::support::{Backend, Proxy, Setup};
use crate::{asking, json, refused, said, setup, told};

/// The session of room `7 ü&?`.
fn of_room_7() -> Proxy {
    let ada = Backend::named("ada");
    let proxy = setup(&[&ada]).start();
    assert_eq!(proxy.get("/", &["X-Room: 7 ü&?"]).text(), "ada");
    proxy
}

#[test]
fn one_session_is_found_by_its_key() {
    let proxy = of_room_7();
    let asked = ["sessions", "app", "--key", "7 ü&?"];
    let text = told(&proxy, &asked);
    assert!(text.starts_with("bound to ada, epoch ") && text.ends_with(", 0 live\n"), "{text}");
    assert_eq!(json(&proxy, &asked, 0)["backend"], "ada");
    let nobody = said(&mut asking(&proxy, &["sessions", "app", "--key", "8"]), 1);
    assert!(nobody.err.contains("there is no session of this key in pool app"), "{}", nobody.err);
    assert!(json(&proxy, &["sessions", "app", "--key", "8"], 1)["error"].is_string());
}

#[test]
fn a_session_is_ended_once() {
    let proxy = of_room_7();
    let end = ["sessions", "app", "--key", "7 ü&?", "--end"];
    assert_eq!(told(&proxy, &end), "ended\n");
    said(&mut asking(&proxy, &end), 1);
    refused(&mut asking(&proxy, &["sessions", "app", "--end"]), &["--key"]);
}

#[test]
fn a_pool_without_a_table_says_so() {
    let proxy = Setup::of(&[&Backend::named("ada")]).admin("").start();
    refused(&mut asking(&proxy, &["sessions", "app", "--key", "7"]), &["has no session table"]);
}
