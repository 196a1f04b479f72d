//! Reading the file again.

use std::fs;

use serde_json::json;

use crate::support::process::File;
use crate::support::{Backend, Proxy};
use crate::{assert_refused, change, look, setup};

#[test]
fn a_good_file_is_put_in_force() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let file = File::with(&setup(&[&a]).toml());
    let proxy = Proxy::of_file(&file.0);
    assert_eq!(proxy.get("/", &[]).text(), "a");
    fs::write(&file.0, setup(&[&b]).toml()).unwrap();
    let (status, planned) = change(&proxy, "POST /api/reload?plan=true", "");
    assert_eq!((status, &planned["plan"]), (200, &json!(true)));
    assert_eq!(look(&proxy, "/api/pools/app").1["backends"][0]["name"], "a", "it was only asked about");
    let (status, done) = change(&proxy, "POST /api/reload", "");
    assert_eq!((status, &done["reloaded"], &done["changes"]), (200, &json!(true), &planned["changes"]));
    let seen = look(&proxy, "/api/status").1;
    assert_eq!((&seen["generation"], &seen["reload"]["outcome"]), (&done["generation"], &json!("applied")));
    let changes: Vec<_> =
        done["changes"]["backends"].as_array().unwrap().iter().map(|it| &it["change"]).collect();
    assert_eq!(changes, ["added", "removed"]);
    assert_eq!(look(&proxy, "/api/pools/app").1["backends"][0]["name"], "b");
    assert_eq!(proxy.get("/", &[]).text(), "b");
}

#[test]
fn a_bad_file_is_told_problem_by_problem_and_changes_nothing() {
    let backend = Backend::named("a");
    let good = setup(&[&backend]).toml();
    let file = File::with(&good);
    let proxy = Proxy::of_file(&file.0);
    let bad = good.replace("weight = 1", "weight = 2\nwieght = 3\nmax_sessions = \"many\"");
    fs::write(&file.0, &bad).unwrap();
    let answer = change(&proxy, "POST /api/reload", "");
    assert_refused(&answer, 422, "nothing has changed");
    assert_eq!(answer.1["file"], file.path());
    let line = 1 + bad.lines().position(|line| line.starts_with("wieght")).unwrap();
    let problems = answer.1["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!((&problems[0]["line"], &problems[0]["column"]), (&json!(line), &json!(1)));
    assert!(problems[0]["key"].as_str().unwrap().ends_with("wieght"), "{problems:?}");
    assert_eq!(problems[0]["message"], "unknown key");
    assert!(problems[0]["help"].as_str().unwrap().contains("weight"), "{problems:?}");
    assert_eq!(look(&proxy, "/api/pools/app/backends/a").1["weight"], 1);
    assert_eq!(proxy.get("/", &[]).status, 200);
}

#[test]
fn whether_it_is_only_asked_about_is_said_rightly() {
    let proxy = setup(&[&Backend::named("a")]).start();
    assert_refused(&change(&proxy, "POST /api/reload?plan=maybe", ""), 400, "true or false");
    assert_refused(&change(&proxy, "POST /api/reload?plam=true", ""), 400, "plan");
}

#[test]
fn it_can_be_turned_off() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let off = |backend| setup(&[backend]).admin("reload = false").toml();
    let file = File::with(&off(&a));
    let proxy = Proxy::of_file(&file.0);
    fs::write(&file.0, off(&b)).unwrap();
    assert_refused(&change(&proxy, "POST /api/reload", ""), 403, "admin.reload");
    assert_eq!(proxy.get("/", &[]).text(), "a");
    assert_eq!(change(&proxy, "POST /api/reload?plan=true", "").0, 200, "to ask is free");
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let proxy = setup(&[&Backend::named("a")]).start();
    assert_refused(&change(&proxy, "POST /api/reload", ""), 409, "did not come from a file");
}
