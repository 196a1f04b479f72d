//! The figures that are published come from a recorded run: its tables and plots are what the scripts in
//! `benches/compare/` make of it. Nothing is measured here.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// One round as `benches/compare/run` records it, in microseconds of CPU time.
fn round(workload: &str, subject: &str, number: u32, cpu_us: f64) -> String {
    format!(
        r#"{{"kind": "round", "workload": "{workload}", "subject": "{subject}", "round": {number}, "requests": 1000,
"seconds": 1.0, "errors": 0, "void": false, "cpu_us": {cpu_us}}}"#
    )
    .replace('\n', " ")
}

/// What `pload` records of a workload: the rounds with their microseconds and where the host had the processors.
fn pload(subject: &str, rounds: &[(f64, &str)]) -> String {
    let all: Vec<_> = rounds
        .iter()
        .map(|(us, mode)| {
            format!(r#"{{"us": {us}, "rpcs": {}, "rps": 1.0, "errs": 0, "mode": "{mode}"}}"#, 1e6 / us)
        })
        .collect();
    format!(r#"{{"w": "W8", "s": "{subject}", "mode": "near", "med": {{}}, "all": [{}]}}"#, all.join(", "))
}

/// A folder of its own with what was recorded.
fn recorded(name: &str, lines: &[String]) -> (PathBuf, PathBuf) {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("comparison-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("rounds.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    (folder, file)
}

/// Runs one of the scripts, or says why it cannot and is not missed.
fn script(name: &str, arguments: &[&str]) -> Option<Output> {
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: there is no python3");
        return None;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare").join(name);
    Some(Command::new("python3").arg(path).args(arguments).output().unwrap())
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_ratio_is_of_one_round_and_a_void_one_does_not_count() {
    // The machine is twice as slow in round 2. Ratios of rounds: 2, 2 and 1.5; of medians: 20 / 12 ≈ 1.67.
    let mut lines: Vec<_> = [(1, 10.0, 20.0), (2, 20.0, 40.0), (3, 12.0, 18.0)]
        .iter()
        .flat_map(|&(number, ours, theirs)| {
            [round("W1", "homing", number, ours), round("W1", "haproxy", number, theirs)]
        })
        .collect();
    let void = |line: String| line.replace("\"void\": false", "\"void\": true");
    lines.push(void(round("W1", "homing", 4, 1.0)));
    lines.push(void(round("W1", "haproxy", 4, 900.0)));
    let (folder, file) = recorded("ratio", &lines);
    let Some(output) = script("table", &[file.to_str().unwrap()]) else { return };
    let text = printed(&output);
    assert!(text.contains("| 83,330 | 50,000 | 2.00 (1.50–2.00) |"), "{text}");
    assert!(text.contains("- In none of these."), "{text}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_lost_is_said_and_rounds_of_another_mode_do_not_count() {
    let lines =
        [pload("homing", &[(10.0, "near"), (1.0, "far")]), pload("nginx", &[(8.0, "near"), (9.0, "far")])];
    let (folder, file) = recorded("loss", &lines);
    let Some(output) = script("table", &[file.to_str().unwrap()]) else { return };
    let text = printed(&output);
    assert!(text.contains("requests per CPU second 0.80 of nginx."), "{text}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_number_that_is_changed_by_hand_is_found() {
    let lines = [round("W1", "homing", 1, 10.0), round("W1", "haproxy", 1, 20.0)];
    let (folder, file) = recorded("drift", &lines);
    let page = folder.join("performance.md");
    fs::write(&page, "# Page\n\n<!-- against -->\n<!-- /against -->\n").unwrap();
    let (docs, record) = (folder.to_str().unwrap(), folder.join("performance.json"));
    let Some(output) = script("record", &[record.to_str().unwrap(), file.to_str().unwrap()]) else { return };
    printed(&output);
    printed(&script("table", &["--write", "--docs", docs]).unwrap());
    printed(&script("table", &["--check", "--docs", docs]).unwrap());
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.contains("2.00 (2.00–2.00)"), "{text}");
    fs::write(&page, text.replace("2.00 (", "2.10 (")).unwrap();
    assert!(!script("table", &["--check", "--docs", docs]).unwrap().status.success());

    printed(&script("plot", &["--docs", docs]).unwrap());
    printed(&script("plot", &["--check", "--docs", docs]).unwrap());
    let plot = folder.join("performance.svg");
    let drawn = fs::read_to_string(&plot).unwrap();
    assert!(drawn.contains("HAProxy = 1") && drawn.contains(">2.00<"), "{drawn}");
    fs::write(&plot, drawn.replace(">2.00<", ">2.10<")).unwrap();
    assert!(!script("plot", &["--check", "--docs", docs]).unwrap().status.success());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_documentation_says_what_was_recorded() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let compares = fs::read_to_string(docs.join("performance.md")).unwrap().contains("<!-- against -->");
    assert_eq!(compares, docs.join("performance.json").exists(), "tables and their record come together");
    for name in ["table", "plot"] {
        if compares && let Some(output) = script(name, &["--check"]) {
            printed(&output);
        }
    }
}
