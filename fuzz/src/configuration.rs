//! A configuration file → problems that say where they are, or a configuration that can be shown.

use homing::config::{Config, Errors, Summary};

pub fn run(input: &[u8]) {
    let Ok(source) = std::str::from_utf8(input) else { return };
    // Files that a machine has would make it depend on the machine.
    if source.contains("_file")
        || source.contains("cert")
        || source.contains("_ca")
        || source.contains("_env")
    {
        return;
    }
    match Config::parse(source, "fuzz") {
        Ok(config) => check_config(&config),
        Err(errors) => check_errors(&errors, source),
    }
}

fn check_config(config: &Config) {
    assert!(!config.listeners.is_empty() && !config.routes.is_empty());
    assert!(config.routes.iter().all(|route| route.pool < config.pools.len()));
    assert!(config.pools.iter().all(|pool| !pool.backends.is_empty()));
    let summary = Summary(config).to_string();
    assert!(summary.contains("Listeners") && summary.contains("Pools"));
}

fn check_errors(errors: &Errors, source: &str) {
    let lines = source.split('\n').count();
    assert!(!errors.problems().is_empty(), "refused without a reason");
    for problem in errors.problems() {
        assert!(problem.line <= lines, "line {} of {lines}: {problem}", problem.line);
        assert_eq!(problem.line == 0, problem.column == 0, "{problem}");
        assert!(!problem.message.is_empty());
    }
    let shown = errors.to_string();
    assert!(shown.lines().all(|line| !line.contains(|c: char| c.is_control())), "{shown:?}");
}
