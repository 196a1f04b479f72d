//! The command line: what it answers, where, and with which exit code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::process::{File, Process, connect, run};
use support::{Backend, Setup, eventually};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const BAD: &str = "[server]\nworkerz = 2\n[[listener]]\naddress = \"nowhere\"\n[[route]]\npool = \"ap\"\n[[pool]]\n\
                   name = \"app\"\n[[pool.backend]]\naddress = \"127.0.0.1:9\"\nweight = -1\n";

#[test]
fn check_sums_a_good_file_up() {
    let backend = Backend::named("ada");
    let file = File::with(&Setup::of(&[&backend]).sticky("\"cookie:sid\"").toml());
    let output = run(&["check", "-c", file.path()]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let said = stdout(&output);
    for part in ["127.0.0.1:0", "app", "ada", &backend.address.to_string(), "cookie:sid"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
}

#[test]
fn check_tells_all_errors_at_once() {
    let file = File::with(BAD);
    let output = run(&["check", "--config", file.path()]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    let said = stderr(&output);
    for part in ["workerz", "workers", "nowhere", "\"ap\"", "weight", "4 problems"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    for line in [2, 4, 6, 11] {
        assert!(said.contains(&format!("{}:{line}", file.path())), "no line {line} in\n{said}");
    }
}

#[test]
fn run_refuses_a_bad_file() {
    let file = File::with(BAD);
    let output = run(&["run", "-c", file.path()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("workerz"), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for (command, code) in [("check", 1), ("run", 2)] {
        let output = run(&[command, "-c", "/nonexistent/proxy.toml"]);
        assert_eq!(output.status.code(), Some(code), "{command}");
        assert!(stderr(&output).contains("/nonexistent/proxy.toml"), "{}", stderr(&output));
    }
}

#[test]
fn the_example_at_the_top_is_good() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let output = run(&["check", "-c", example.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

const COMMANDS: [&str; 14] = [
    "run",
    "check",
    "status",
    "drain",
    "ready",
    "maint",
    "sessions",
    "reload",
    "events",
    "explain",
    "simulate",
    "preset",
    "completions",
    "demo",
];

#[test]
fn help_names_the_commands() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    assert!(COMMANDS.iter().all(|command| said.contains(command)), "{said}");
    for command in COMMANDS {
        let output = run(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
    }
    assert!(stdout(&run(&["--version"])).starts_with("homing "));
}

#[test]
fn what_it_is_not_asked_rightly_is_a_usage_error() {
    for arguments in [&[][..], &["nonsense"], &["run", "--nonsense"], &["check", "extra"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_demo_names_the_flag_when_its_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["demo", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn the_demo_runs_and_says_where() {
    let demo = Process::start(&["demo", "--listen", "127.0.0.1:0"]);
    let is_url = |line: &String| line.contains("http://127.0.0.1:");
    eventually("it says where", || demo.lines().iter().any(is_url));
    demo.signal(rustix::process::Signal::INT);
    assert_eq!(demo.wait().0.code(), Some(0));
}

// === explain ===

/// A file whose pool has rooms and three backends that nobody runs.
fn rooms() -> File {
    let backend = |n| format!("[[pool.backend]]\nname = \"chess-{n}\"\naddress = \"10.0.0.{n}:9000\"\n");
    let backends = [1, 2, 3].map(backend).concat();
    let pool = "sticky = { key = [\"path:/game/{room}\"] }\nhealth = { path = \"/healthz\" }\n";
    File::with(&format!(
        "listener = [{{ address = \"127.0.0.1:0\" }}]\nroute = [{{ pool = \"chess\", path = \"/game\" }}]\n\
         [[pool]]\nname = \"chess\"\n{pool}{backends}"
    ))
}

#[track_caller]
fn answered(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    if code == 2 { stderr(&output) } else { stdout(&output) }
}

#[track_caller]
fn json(arguments: &[&str], code: i32) -> Value {
    serde_json::from_str(&answered(arguments, code)).unwrap()
}

#[test]
fn explain_answers_from_a_file() {
    let file = rooms();
    let explain = ["explain", "-c", file.path(), "GET", "/game/7"];
    let said = answered(&explain, 0);
    assert!(said.starts_with("The key (path:/game/{room}) is new; it would be placed on chess-"), "{said}");
    assert!(said.contains("every backend taken as up"), "{said}");
    let explained = json(&[&explain[..], &["--json"]].concat(), 0);
    assert_eq!((&explained["reason"], &explained["key"]), (&"placed".into(), &"7".into()));
    assert_eq!(explained["backend"], explained["candidates"][0]["name"]);
    assert_eq!(json(&["explain", "-c", file.path(), "GET", "/", "--json"], 1)["reason"], "no_route");
}

#[test]
fn explain_asks_a_running_proxy() {
    let (backend, token) = (Backend::named("ada"), File::with("0123456789abcdef0123456789abcdef\n"));
    let admin = format!("[admin]\naddress = \"127.0.0.1:0\"\ntoken_file = \"{}\"", token.path());
    let (process, address) = Process::proxy(&Setup::of(&[&backend]).top(&admin).sticky("\"cookie:sid\""));
    let says_where = |line: &String| line.split_once("admin listening").map(|(_, rest)| rest.to_owned());
    eventually("the admin listener is there", || {
        process.lines().iter().any(|line| says_where(line).is_some())
    });
    let line = process.lines().iter().find_map(says_where).unwrap();
    let url = format!("http://{}", line.split_once("address=").unwrap().1.trim());
    connect(address).get("/", &["Cookie: sid=7"]);
    let asked = ["explain", "--admin", &url, "GET", "/", "-H", "Cookie: sid=7"];
    let explained = json(&[&asked[..], &["--token-file", token.path(), "--json"]].concat(), 0);
    assert_eq!((&explained["reason"], &explained["binding"]["backend"]), (&"bound".into(), &"ada".into()));
    let said = answered(&[&asked[..], &["--token-file", token.path()]].concat(), 0);
    assert!(said.starts_with("The key (cookie:sid) is bound to ada."), "{said}");
    let refused = answered(&asked, 2);
    assert!(refused.contains("401") && refused.contains(&url), "{refused}");
}

#[test]
fn explain_refuses_what_it_does_not_understand() {
    let file = rooms();
    let explain = |rest: &[&str]| answered(&[&["explain", "-c", file.path()], rest].concat(), 2);
    assert!(explain(&["GET", "game/7"]).contains("/game/7"));
    assert!(explain(&["GET", "/", "-H", "nonsense"]).contains("Name: value"));
    assert!(explain(&["GET", "/", "--admin", "http://127.0.0.1:1"]).contains("cannot be used"));
    assert!(answered(&["explain", "-c", "/nonexistent", "GET", "/"], 2).contains("/nonexistent"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(answered(&["explain", "--admin", &nobody, "GET", "/"], 2).contains(&nobody));
}

// === simulate ===

#[test]
fn simulate_foresees_what_a_change_moves() {
    let file = rooms();
    let simulate =
        ["simulate", "-c", file.path(), "--keys", "3000", "--add", "chess-4", "--remove", "chess-1"];
    let report = json(&[&simulate[..], &["--json"]].concat(), 0);
    assert_eq!((&report["keys"]["distinct"], &report["sessions"]["total"]), (&3000.into(), &3000.into()));
    assert_eq!(
        report["changes"],
        serde_json::json!(["add chess-4", "remove chess-1"]),
        "in the order of the words"
    );
    let said = answered(&simulate, 0);
    assert!(said.starts_with("No session moves at once;") && said.contains("Backends"), "{said}");
    let swapped =
        ["simulate", "-c", file.path(), "--keys", "9", "--remove", "chess-1", "--add", "chess-1", "--json"];
    assert_eq!(json(&swapped, 0)["placement"]["moved"], 0);
}

#[test]
fn simulate_takes_keys_from_a_file() {
    let (file, keys) = (rooms(), File::with("room-1\nroom-2\nroom-1\n\n"));
    let simulate = ["simulate", "-c", file.path(), "--keys", keys.path(), "--down", "chess-1", "--json"];
    assert_eq!(
        json(&simulate, 0)["keys"],
        serde_json::json!({ "distinct": 2, "lines": 3, "without_key": 0 })
    );
    let empty = File::with("\n");
    let said = answered(&["simulate", "-c", file.path(), "--keys", empty.path(), "--add", "x"], 2);
    assert!(said.contains("there are no keys") && said.contains(empty.path()), "{said}");
}

#[test]
fn simulate_takes_keys_from_the_access_log() {
    let backend = Backend::named("ada");
    for format in ["text", "json"] {
        let setup = Setup::of(&[&backend]).log(&format!("format = \"{format}\"")).sticky("\"cookie:sid\"");
        let (process, address) = Process::proxy(&setup);
        let mut client = connect(address);
        for sid in ["Cookie: sid=1", "Cookie: sid=2", "Cookie: sid=1", "Accept: */*"] {
            client.get("/", &[sid]);
        }
        process.access(4);
        let (log, file) = (File::with(&process.lines().join("\n")), File::with(&setup.toml()));
        let simulate = ["simulate", "-c", file.path(), "--log", log.path(), "--add", "bob", "--json"];
        let keys = &json(&simulate, 0)["keys"];
        assert_eq!(*keys, serde_json::json!({ "distinct": 2, "lines": 4, "without_key": 1 }), "{format}");
    }
}

#[test]
fn simulate_refuses_what_it_does_not_understand() {
    let file = rooms();
    let simulate = |rest: &[&str]| answered(&[&["simulate", "-c", file.path()], rest].concat(), 2);
    assert!(simulate(&["--remove", "ches-1"]).contains("did you mean `chess-1`?"));
    assert!(simulate(&["--pool", "ches", "--add", "x"]).contains("did you mean `chess`?"));
    assert!(simulate(&["--policy", "maglve"]).contains("did you mean `maglev`?"));
    assert!(simulate(&[]).contains("--add"));
    assert!(simulate(&["--add", "x", "--keys", "99999999"]).contains("10000000"));
    assert!(simulate(&["--add", "x", "--log", "/nonexistent"]).contains("/nonexistent"));
    assert!(answered(&["simulate", "-c", "/nonexistent", "--add", "x"], 2).contains("/nonexistent"));
}

// === preset ===

#[test]
fn presets_are_shown_as_they_would_be_written() {
    let shown = answered(&["preset", "show", "express"], 0);
    let header = "listener = [{ address = \"127.0.0.1:0\" }]\nroute = [{ pool = \"a\" }]\n";
    let pool = "[[pool]]\nname = \"a\"\nbackend = [{ address = \"127.0.0.1:1\" }]\n";
    let file = File::with(&format!("{header}{pool}{shown}"));
    assert!(answered(&["check", "-c", file.path()], 0).contains("cookie:connect.sid"));
    let said = answered(&["preset", "show", "expres"], 2);
    assert!(said.contains("did you mean `express`?") && said.contains("socketio, express, mcp"), "{said}");
}

#[test]
fn presets_are_shown_to_programs() {
    let told = json(&["preset", "show", "express", "--json"], 0);
    assert_eq!(told["settings"]["key"], serde_json::json!(["cookie:connect.sid"]));
    assert_eq!(told["settings"]["mode"], "table");
}

// === for programs, shells and readers ===

#[test]
fn everything_that_can_be_said_is_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut missing = Vec::new();
    let mut commands = vec![(String::from("homing"), <homing::cli::Cli as clap::CommandFactory>::command())];
    while let Some((path, command)) = commands.pop() {
        let words = command.get_opts().filter_map(|option| Some(format!("--{}", option.get_long()?)));
        let words =
            words.chain([path.clone()]).filter(|word| !["--help", "--version"].contains(&word.as_str()));
        // Behind the heading of the command, up to the next.
        let part =
            page.split("\n## ").skip(1).find(|part| part.contains(&format!("`{path}"))).unwrap_or_default();
        let common = ["--admin", "--token-file", "--config", "--json"];
        let is_told = |word: &String| {
            let place = if common.contains(&word.as_str()) || path == "homing" { &page } else { part };
            place.contains(word.as_str())
        };
        missing.extend(words.filter(|word| !is_told(word)).map(|word| format!("{path}: {word}")));
        let below = command.get_subcommands().filter(|command| command.get_name() != "help");
        commands.extend(below.map(|below| (format!("{path} {}", below.get_name()), below.clone())));
    }
    assert!(missing.is_empty(), "not in docs/command-line.md: {missing:#?}");
}

#[test]
fn check_answers_programs() {
    let (good, bad) = (rooms(), File::with(BAD));
    let told = json(&["check", "-c", good.path(), "--json"], 0);
    assert_eq!((&told["ok"], &told["pools"]), (&true.into(), &serde_json::json!(["chess"])));
    let told = json(&["check", "-c", bad.path(), "--json"], 1);
    assert_eq!((&told["ok"], told["problems"].as_array().unwrap().len()), (&false.into(), 4));
    assert_eq!(told["problems"][0]["key"], "server.workerz");
}

#[test]
fn completions_are_those_that_are_packaged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions");
    for (shell, file) in [("bash", "homing.bash"), ("zsh", "_homing"), ("fish", "homing.fish")] {
        let (said, path) = (answered(&["completions", shell], 0), folder.join(file));
        let packaged = std::fs::read_to_string(&path).unwrap();
        let advice = format!("make it anew: homing completions {shell} > packaging/completions/{file}");
        assert!(said == packaged, "the command line has changed; {advice}");
    }
    assert!(answered(&["completions", "nonsense"], 2).contains("bash"));
}
