//! The command line: what it answers, where, and with which exit code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use support::process::{File, Process, run};
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
fn keys_of_later_versions_are_refused_not_ignored() {
    let backend = Backend::named("a");
    let file = File::with(&Setup::of(&[&backend]).pool("protocol = \"http2\"").toml());
    let output = run(&["check", "-c", file.path()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not supported yet"), "{}", stderr(&output));
}

#[test]
fn the_example_at_the_top_is_good() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let output = run(&["check", "-c", example.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn help_names_the_commands() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    assert!(["run", "check", "demo"].iter().all(|command| said.contains(command)), "{said}");
    for command in ["run", "check", "demo"] {
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
