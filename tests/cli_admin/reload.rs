//! `reload`: what is said of a file that is good, and of one that is not.

use std::fs;

use crate::support::process::File;
use crate::support::{Backend, Proxy};
use crate::{asking, json, refused, said, setup, told};

#[test]
fn a_good_file_is_read_again() {
    let (ada, bob) = (Backend::named("ada"), Backend::named("bob"));
    let file = File::with(&setup(&[&ada]).toml());
    let proxy = Proxy::of_file(&file.0);
    fs::write(&file.0, setup(&[&ada, &bob]).toml()).unwrap();
    assert!(told(&proxy, &["reload"]).starts_with("reloaded"));
    assert_eq!(proxy.status("bob").name, "bob");
    assert_eq!(json(&proxy, &["reload"], 0)["reloaded"], true);
}

#[test]
fn a_wrong_file_is_told_problem_by_problem() {
    let ada = Backend::named("ada");
    let file = File::with(&setup(&[&ada]).toml());
    let proxy = Proxy::of_file(&file.0);
    fs::write(&file.0, "workerz = 2\n".to_owned() + &setup(&[&ada]).pool("balanse = \"first\"").toml())
        .unwrap();
    let said = said(&mut asking(&proxy, &["reload"]), 1);
    assert_eq!(said.out, "");
    for part in [
        &format!("{}:1:1: workerz:", file.path())[..],
        "balanse",
        "did you mean `balance`?",
        "2 problems",
        "goes on as before",
    ] {
        assert!(said.err.contains(part), "no {part} in\n{}", said.err);
    }
    let told = json(&proxy, &["reload"], 1);
    assert_eq!((&told["problems"][0]["line"], &told["problems"][0]["key"]), (&1.into(), &"workerz".into()));
}

#[test]
fn a_plan_says_what_would_change_and_changes_nothing() {
    let (ada, bob) = (Backend::named("ada"), Backend::named("bob"));
    let file = File::with(&setup(&[&ada, &bob]).toml());
    let proxy = Proxy::of_file(&file.0);
    (0..20).for_each(|room| drop(proxy.get("/", &[&format!("X-Room: {room}")])));
    let sessions = proxy.status("bob").sessions;
    fs::write(&file.0, setup(&[&ada, &Backend::named("cleo")]).weight("ada", 2).toml()).unwrap();
    let plan = told(&proxy, &["reload", "--plan"]);
    for part in [
        "would change:",
        "~ backend app/ada: weight",
        "+ backend app/cleo",
        &format!("- backend app/bob ({sessions} sessions)"),
        &format!("of 20 sessions 0 move at once, {sessions} by the drain's deadline"),
        "% of new keys of app go elsewhere",
    ] {
        assert!(plan.contains(part), "no {part} in\n{plan}");
    }
    assert_eq!(proxy.control().status().pools[0].backends.len(), 2);
    assert_eq!(json(&proxy, &["reload", "--plan"], 0)["changes"]["unchanged"], false);
    let done = told(&proxy, &["reload"]);
    assert!(done.starts_with("reloaded") && done.contains("+ backend app/cleo"), "{done}");
    assert!(told(&proxy, &["reload", "--plan"]).contains("nothing would change"));
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let proxy = setup(&[&Backend::named("ada")]).start();
    let said = said(&mut asking(&proxy, &["reload"]), 1);
    assert!(said.err.contains("did not come from a file"), "{}", said.err);
    refused(&mut asking(&proxy, &["reload", "now"]), &["now"]);
}
