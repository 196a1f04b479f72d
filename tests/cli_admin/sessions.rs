//! `sessions`: where one is, its end, and all of a pool.

use crate::support::process::command;
use crate::support::{Backend, Proxy, Setup};
use crate::{asking, assert_fits, json, refused, said, saying, setup, told};

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

#[test]
fn all_of_a_pool_fit_80_columns_whatever_they_are_called() {
    let hostile = "\u{1b}[2J棋\u{202e}".repeat(20);
    let one = |backend: &str| {
        serde_json::json!({
            "session": "0123456789abcdef", "backend": backend, "epoch": 1_795_991_494_130_979_u64, "live": 99_999,
            "idle_seconds": 1799
        })
    };
    let shares = [("ada", 1, 0.25), (&hostile, 3, 0.75)];
    let share = |(backend, sessions, share): (&str, u32, f64)| serde_json::json!({ "backend": backend, "sessions": sessions, "share": share });
    let admin = saying(&serde_json::json!({
        "pool": "app", "sessions": 4, "capacity": 1_000_000, "backends": shares.map(share),
        "list": [one("ada"), one(&hostile), { "session": "x", "backend": null }]
    }));
    let url = admin.address.to_string();
    let asked = ["sessions", "app", "--limit", "3", "--backend", "a&b", "--admin", &url];
    let text = said(&mut command(&asked), 0).out;
    assert_fits(&text);
    assert!(text.starts_with("app  4 sessions of 1000000\n"), "{text}");
    for part in ["██████··················  25.0 %", "0123456789abcdef  ada ", "29m 59s", "… 3 of 4"]
    {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert_eq!(admin.request().target(), "/api/pools/app/sessions?limit=3&backend=a%26b");
}

#[test]
fn all_of_a_pool_are_shown_by_backend() {
    let ada = Backend::named("ada");
    let proxy = setup(&[&ada]).start();
    (0..3).for_each(|room| drop(proxy.get("/", &[&format!("X-Room: {room}")])));
    let text = told(&proxy, &["sessions", "app"]);
    assert_fits(&text);
    assert!(text.starts_with("app  3 sessions of 1000000\n") && text.contains("100.0 %"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("ada") && line.ends_with('s')).count(), 3, "{text}");
    let some = told(&proxy, &["sessions", "app", "--backend", "ada", "--limit", "2"]);
    assert!(some.contains("… 2 of 3; --limit shows up to 1000"), "{some}");
    assert_eq!(json(&proxy, &["sessions", "app"], 0)["list"].as_array().unwrap().len(), 3);
    refused(
        &mut asking(&proxy, &["sessions", "app", "--backend", "ad"]),
        &["no backend \"ad\"", "did you mean `ada`?"],
    );
}
