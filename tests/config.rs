//! What `proxy.toml` may say: values and defaults, every error with its line, and that nothing makes it panic.
//!
//! Files in `tests/config/errors` say themselves what is wrong with them: `#~ PART | PART` at the end of a line
//! stands for one problem in that line that has these parts; `#~^` is for the line above, `#~ 0` for the file.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "config/fleet.rs"]
mod fleet;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homing::config::{
    Address, Balance, Config, Errors, HostPattern, KeySource, LogFormat, Mode, Probe, Problem, ProblemKind,
    SameSite, Sealed, Secret, Secure, Summary, Table, Token,
};
use proptest::prelude::*;
use toml::de::DeTable;

const SHORTEST: &str = r#"
listener = [{ address = "127.0.0.1:8080" }]
route = [{ pool = "app" }]
pool = [{ name = "app", backend = [{ address = "127.0.0.1:9000" }] }]
"#;

// === Errors ===

#[test]
fn every_error_is_found_in_its_line() {
    let mut files: Vec<_> =
        fs::read_dir(fixture("errors")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let wrong: Vec<_> = files.iter().flat_map(|path| differences(path)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a file says is wrong with it and is not found, and the other way round.
fn differences(path: &Path) -> Vec<String> {
    let source = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let mut found: Vec<Problem> = errors(&source).problems().to_vec();
    let mut wrong = Vec::new();
    for (line, parts) in expectations(&source) {
        let is_meant = |p: &Problem| p.line == line && parts.iter().all(|part| told(p).contains(part));
        match found.iter().position(is_meant) {
            Some(index) => drop(found.remove(index)),
            None => wrong.push(format!("{name}:{line}: not found: {}", parts.join(" | "))),
        }
    }
    wrong.extend(found.iter().map(|p| format!("{name}:{}: not expected: {}", p.line, told(p))));
    wrong
}

fn expectations(source: &str) -> Vec<(usize, Vec<&str>)> {
    let lines = source.lines().enumerate();
    let marked = lines.flat_map(|(index, line)| line.split("#~").skip(1).map(move |mark| (index + 1, mark)));
    let placed = marked.map(|(line, mark)| match (mark.strip_prefix('^'), mark.strip_prefix(" 0 ")) {
        (Some(mark), _) => (line - 1, mark),
        (_, Some(mark)) => (0, mark),
        _ => (line, mark),
    });
    placed.map(|(line, mark)| (line, mark.split(" | ").map(str::trim).collect())).collect()
}

fn told(problem: &Problem) -> String {
    format!("{}: {} | {}", problem.key, problem.message, problem.help.as_deref().unwrap_or_default())
}

#[test]
fn the_whole_contract_is_known() {
    if let Err(errors) = contract() {
        panic!("{errors}");
    }
}

/// The contract, with the files it names beside it.
fn contract() -> Result<Config, Errors> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let beside = |name: &str, from: &str| fs::copy(fixture(from), folder.join(name)).unwrap();
    for name in ["contract.toml", "admin.token", "cookie.key"] {
        beside(name, name);
    }
    for name in ["site.pem", "clients.pem", "backends.pem"] {
        beside(name, "keys/proxy.pem");
    }
    beside("site.key", "keys/proxy.key");
    let config = Config::load(&folder.join("contract.toml"));
    fs::remove_dir_all(folder).unwrap();
    config
}

#[test]
fn too_many_backends() {
    let backends = "{ address = \"10.0.0.1:1\" },\n".repeat(65_536);
    let source = SHORTEST.replace("{ address = \"127.0.0.1:9000\" }", &backends);
    let problems = errors(&source);
    assert!(problems.problems().iter().any(|p| p.message == "a pool cannot have more than 65535 backends"));
}

#[test]
fn errors_show_place_line_caret_and_help() {
    let source = "[log]\n\tformat = \"jsn\" # ü\n";
    let expected = "\
proxy.toml: listener: there is no listener
      = help: add [[listener]] with an address, like \"0.0.0.0:8080\"
proxy.toml: route: there is no route
      = help: add [[route]] with the name of a pool
proxy.toml: pool: there is no pool
      = help: add [[pool]] with a name, and [[pool.backend]] with an address
proxy.toml:2:11: log.format: \"jsn\" is not one of \"text\", \"json\"
    2 |  format = \"jsn\" # ü
      |           ^^^^^
      = help: did you mean `json`?";
    assert_eq!(sorted_blocks(&errors(source).to_string()), sorted_blocks(expected));
}

/// The order of problems without a place means nothing.
fn sorted_blocks(text: &str) -> BTreeSet<&str> {
    text.split("\nproxy.toml").map(|block| block.trim_start_matches("proxy.toml")).collect()
}

#[test]
fn long_lines_are_shown_around_the_caret() {
    let source = format!("{}x = \"{}\"\u{1b}", " ".repeat(500), "y".repeat(500));
    let text = errors(&source).to_string();
    assert!(text.lines().all(|line| line.chars().count() < 120), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_file_that_is_not_there() {
    let errors = Config::load(Path::new("/does/not/exist.toml")).unwrap_err();
    assert_eq!(errors.origin(), "/does/not/exist.toml");
    assert_eq!(errors.problems()[0].kind, ProblemKind::Unreadable);
    assert!(errors.to_string().starts_with("/does/not/exist.toml: cannot be read: No such file"));
}

// === Values and defaults ===

#[test]
fn defaults() {
    let config = parse(SHORTEST);
    assert!(config.trusted_proxies.is_empty());
    assert_eq!(config.server.workers, std::thread::available_parallelism().unwrap());
    assert_eq!(config.server.shutdown_timeout, seconds(20));
    assert_eq!((config.server.reload_on_change, config.server.reload_on_signal), (false, true));
    assert_eq!((config.server.state_dir, config.server.state_interval), (None, seconds(10)));
    assert_eq!(
        (config.log.level.as_str(), config.log.format, config.log.access),
        ("info", LogFormat::Text, true)
    );
    let limits = &config.limits;
    assert_eq!((limits.connections, limits.headers, limits.queue), (100_000, 100, 1_000));
    assert_eq!((limits.header_bytes, limits.uri_bytes, limits.body_bytes), (64 << 10, 16 << 10, 0));
    assert_eq!(
        [limits.header_timeout, limits.body_timeout, limits.keep_alive],
        [seconds(10), seconds(30), seconds(75)]
    );
    let route = &config.routes[0];
    assert_eq!((&route.host, route.path.as_str(), &route.key), (&HostPattern::Any, "/", &None));
}

#[test]
fn defaults_of_a_pool() {
    let pool = parse(SHORTEST).pools.remove(0);
    assert_eq!(pool.balance, Balance::RoundRobin);
    assert!(pool.sticky.is_none() && pool.health.is_none());
    assert_eq!((pool.outlier.consecutive_failures, pool.outlier.eject), (5, seconds(10)));
    assert_eq!(pool.outlier.max_ejected_percent, 50);
    assert_eq!((pool.retry.attempts, pool.retry.budget_percent), (2, 20));
    let times = &pool.timeouts;
    assert_eq!([times.connect, times.response, times.idle], [seconds(2), seconds(60), seconds(60)]);
    assert_eq!([times.tunnel_idle, times.keep_alive], [seconds(3600), seconds(4)]);
    let backend = &pool.backends[0];
    assert_eq!((backend.name.as_str(), backend.weight), ("127.0.0.1:9000", 1));
}

#[test]
fn defaults_of_sticky_and_health() {
    let pool = pool_with("sticky = { key = [\"path:/{room}\", \"cookie:sid\"] }\nhealth = {}");
    assert_eq!(pool.balance, Balance::Rendezvous);
    let table = table(&pool);
    assert_eq!(table.learn, sources(&["cookie:sid"]));
    assert_eq!((table.idle_timeout, table.max_lifetime), (seconds(1800), Duration::ZERO));
    assert_eq!(table.capacity.get(), 1_000_000);
    let health = pool.health.unwrap();
    assert_eq!((health.interval, health.timeout, health.rise, health.fall), (seconds(2), seconds(1), 2, 3));
    assert!(matches!(health.probe, Probe::Tcp));
}

#[test]
fn every_policy_is_read_and_shown_by_its_name() {
    let policies = [
        ("round_robin", Balance::RoundRobin, false),
        ("least_request", Balance::LeastRequest, false),
        ("random", Balance::Random, false),
        ("least_sessions", Balance::LeastSessions, false),
        ("first", Balance::First, false),
        ("rendezvous", Balance::Rendezvous, true),
        ("ring_hash", Balance::RingHash, true),
        ("maglev", Balance::Maglev, true),
    ];
    for (name, policy, hashes) in policies {
        let mode = if hashes { "hash" } else { "table" };
        let settings =
            format!("balance = \"{name}\"\nsticky = {{ key = [\"client_ip\"], mode = \"{mode}\" }}");
        let pool = pool_with(&settings);
        assert_eq!(
            (pool.balance, pool.balance.hashes(), pool.balance.to_string()),
            (policy, hashes, name.into())
        );
    }
}

#[test]
fn the_heaviest_ring_is_accepted() {
    let ring = "balance = \"ring_hash\", sticky = { key = [\"client_ip\"] }, backend";
    let heavy = SHORTEST.replace("backend", ring).replace(":9000\"", ":9000\", weight = 26214");
    let pool = parse(&heavy).pools.remove(0);
    assert_eq!((pool.balance, pool.backends[0].weight), (Balance::RingHash, 26_214));
}

#[test]
fn an_http_check_is_good_from_200_to_399_by_default() {
    let pool = pool_with("health = { path = \"/\", host = \"\" }");
    let Probe::Http { path, host, status } = pool.health.unwrap().probe else {
        panic!("a path is asked for")
    };
    assert_eq!((path.as_str(), host, status), ("/", None, vec![200..=399]));
}

#[test]
fn every_top_level_value_is_read() {
    let config = Config::load(&fixture("full.toml")).unwrap();
    let networks: Vec<_> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "::1/128"]);
    assert_eq!((config.server.workers.get(), config.server.shutdown_timeout), (3, Duration::ZERO));
    assert_eq!((config.server.reload_on_change, config.server.reload_on_signal), (true, false));
    assert!(config.admin.is_some_and(|admin| !admin.reload));
    let directory = config.server.state_dir.as_deref();
    assert_eq!(
        (directory, config.server.state_interval),
        (Some(&*fixture("kept")), Duration::from_millis(2500))
    );
    let log = &config.log;
    assert_eq!(
        (log.level.as_str(), log.format, log.access),
        ("info,homing::health=debug", LogFormat::Json, false)
    );
    let addresses: Vec<_> = config.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:0", "[::1]:8080"]);
    let limits = &config.limits;
    assert_eq!((limits.connections, limits.headers, limits.queue), (1, 7, 0));
    assert_eq!((limits.header_bytes, limits.uri_bytes, limits.body_bytes), (8192, 1024, 1 << 20));
    assert_eq!([limits.header_timeout, limits.body_timeout, limits.keep_alive], [1, 2, 3].map(seconds));
}

#[test]
fn every_value_of_a_route_is_read() {
    let routes = Config::load(&fixture("full.toml")).unwrap().routes;
    let shown: Vec<_> = routes.iter().map(|r| (r.host.to_string(), r.path.as_str(), r.pool)).collect();
    let host = |name: &str| name.to_owned();
    let expected = [
        (host("chess.example.com"), "/game", 0),
        (host("*.example.com"), "/", 0),
        (host("[::1]"), "/", 1),
        (host("*"), "/", 2),
    ];
    assert_eq!(shown, expected);
    assert_eq!(routes[0].key, Some(sources(&["query:room", "header:x-room", "cookie:sid"])));
    assert_eq!((&routes[1].key, &routes[2].key), (&Some(Vec::new()), &None));
    assert_eq!(routes[1].host, HostPattern::Wildcard("example.com".to_owned()));
}

#[test]
fn every_value_of_a_pool_is_read() {
    let pool = Config::load(&fixture("full.toml")).unwrap().pools.remove(0);
    assert_eq!(pool.balance, Balance::LeastRequest);
    let backends: Vec<_> =
        pool.backends.iter().map(|b| (b.name.as_str(), b.address.to_string(), b.weight)).collect();
    let address = |text: &str| text.to_owned();
    let expected = [
        ("chess-1", address("10.0.0.1:9000"), 10),
        ("chess-2", address("[::1]:9000"), 0),
        ("localhost:9000", address("localhost:9000"), 1),
    ];
    assert_eq!(backends, expected);
    assert!(matches!(&pool.backends[2].address, Address::Name { host, port: 9000 } if host == "localhost"));
    assert_eq!((pool.outlier.consecutive_failures, pool.outlier.eject), (7, seconds(1)));
    assert_eq!(pool.outlier.max_ejected_percent, 100);
    assert_eq!((pool.retry.attempts, pool.retry.budget_percent), (16, 100));
    let times = &pool.timeouts;
    let expected = [seconds(1), seconds(2), seconds(3), seconds(86_400), Duration::ZERO];
    assert_eq!([times.connect, times.response, times.idle, times.tunnel_idle, times.keep_alive], expected);
}

#[test]
fn every_value_of_health_is_read() {
    let health = Config::load(&fixture("full.toml")).unwrap().pools.remove(0).health.unwrap();
    assert_eq!((health.interval, health.timeout), (Duration::from_millis(500), seconds(3)));
    assert_eq!((health.rise, health.fall), (1, 1));
    let Probe::Http { path, host, status } = health.probe else { panic!("a path is asked for") };
    assert_eq!((path.as_str(), host.as_deref()), ("/healthz?deep=1", Some("app.internal:80")));
    assert_eq!(status, [200..=299, 401..=401]);
}

#[test]
fn routes_add_to_what_is_learned() {
    let pools = Config::load(&fixture("full.toml")).unwrap().pools;
    let table = table(&pools[0]);
    assert_eq!(table.learn, sources(&["cookie:sid", "header:x-sid", "header:x-room"]));
    assert_eq!((table.idle_timeout, table.max_lifetime), (seconds(5400), seconds(43_200)));
    assert_eq!(table.capacity.get(), 5);
    assert!(matches!(pools[1].sticky.as_ref().unwrap().mode, Mode::Hash));
}

#[test]
fn the_token_of_the_admin_listener_is_in_a_file_beside_the_configuration() {
    let token = admin_with_token(b" 0123456789abcdef\r\n").unwrap();
    assert!(token.is(b"0123456789abcdef") && !token.is(b"0123456789abcdeF") && !token.is(b"0123456789abcde"));
    assert_eq!(format!("{token:?}"), "Token");
    assert_eq!(admin_with_token(b"0123456789abcdef").unwrap(), token);
}

#[test]
fn what_could_be_no_token_is_refused() {
    let not_one_line = "a token is one line of at least 16 visible ASCII characters";
    for (content, part) in [
        (&b""[..], not_one_line),
        (b"0123456789abcde\n", not_one_line),
        (b"0123456789abcdef 0123", not_one_line),
        ("0123456789abcdefü".as_bytes(), not_one_line),
        (&[b'x'; 5000], "at most 4096 octets"),
    ] {
        let told = admin_with_token(content).unwrap_err().to_string();
        assert!(told.contains("admin.token_file: ") && told.contains(part), "{told}");
        assert!(!told.contains("0123"), "it shows itself to nobody: {told}");
    }
    let missing = errors(&format!("admin.address = \"[::1]:0\"\nadmin.token_file = \"nowhere\"\n{SHORTEST}"));
    assert!(missing.to_string().contains("admin.token_file: \"nowhere\" cannot be read"), "{missing}");
}

/// The token of a configuration that names it by a relative path.
fn admin_with_token(content: &[u8]) -> Result<Token, Errors> {
    let directory = tempdir();
    let source = format!("admin = {{ address = \"0.0.0.0:0\", token_file = \"token\" }}\n{SHORTEST}");
    fs::write(directory.join("token"), content).unwrap();
    fs::write(directory.join("proxy.toml"), source).unwrap();
    let config = Config::load(&directory.join("proxy.toml"));
    fs::remove_dir_all(&directory).unwrap();
    Ok(config?.admin.unwrap().token.unwrap())
}

/// A directory of the test's own.
fn tempdir() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn durations_are_read_for_others_too() {
    assert_eq!(homing::config::duration("1h30m"), Ok(Duration::from_mins(90)));
    assert!(homing::config::duration("90").unwrap_err().contains("write a number and ms, s, m, h or d"));
}

#[test]
fn defaults_of_a_cookie() {
    let pool = pool_with("sticky = { mode = \"cookie\" }");
    assert_eq!((pool.balance, pool.sticky.as_ref().unwrap().key.len()), (Balance::RoundRobin, 0));
    let Sealed { cookie, idle_timeout, max_lifetime, capacity } = sealed(&pool);
    assert_eq!((idle_timeout, max_lifetime, capacity.get()), (seconds(1800), Duration::ZERO, 1_000_000));
    assert_eq!((cookie.name.as_str(), cookie.secrets.len(), cookie.path.as_str()), ("homing_a", 0, "/"));
    assert_eq!((cookie.same_site, cookie.secure, cookie.http_only), (SameSite::Lax, Secure::Auto, true));
    assert_eq!((cookie.domain, cookie.max_age, cookie.partitioned), (None, None, false));
}

#[test]
fn a_key_in_cookie_mode_places_new_sessions() {
    let pool = pool_with("sticky = { mode = \"cookie\", key = [\"path:/{room}\"] }");
    assert_eq!((pool.balance, pool.sticky.unwrap().key), (Balance::Rendezvous, sources(&["path:/{room}"])));
}

#[test]
fn every_value_of_a_cookie_is_read() {
    let pool = Config::load(&fixture("full.toml")).unwrap().pools.remove(3);
    let Sealed { cookie, idle_timeout, max_lifetime, capacity } = sealed(&pool);
    assert_eq!((idle_timeout, max_lifetime, capacity.get()), (seconds(1200), seconds(86_400), 7));
    assert_eq!((cookie.name.as_str(), cookie.path.as_str()), ("__Secure-home", "/shop"));
    assert_eq!((cookie.same_site, cookie.secure, cookie.http_only), (SameSite::None, Secure::Always, false));
    assert_eq!((cookie.domain.as_deref(), cookie.max_age), (Some("example.com"), Some(seconds(90))));
    assert!(cookie.partitioned);
    let secrets: [&[u8]; 2] =
        [b"not-a-secret-only-for-these-tests-first", b"0123456789abcdef0123456789abcdef"];
    assert_eq!(cookie.secrets, secrets.map(|secret| Secret::new(secret).unwrap()));
}

#[test]
fn a_cookie_is_called_like_its_pool_as_far_as_it_can_be() {
    let source =
        SHORTEST.replace("\"app\"", "\"schäch:a.b\"").replace("name =", "sticky.mode = \"cookie\", name =");
    assert_eq!(sealed(&parse(&source).pools[0]).cookie.name, "homing_sch_ch_a.b");
}

#[test]
fn of_a_secret_one_newline_is_left_out() {
    let secret = |text: &str| Secret::new(text.as_bytes());
    let plain = "x".repeat(32);
    assert_eq!(secret(&format!("{plain}\n")), secret(&plain));
    assert_eq!(secret(&format!("{plain}\r\n")), secret(&plain));
    assert_ne!(secret(&format!("{plain}\n\n")), secret(&plain));
    assert_ne!(secret(&format!(" {plain}")), secret(&plain));
    assert!(secret(&plain).is_some() && secret(&plain[1..]).is_none());
    assert!(secret(&format!("{}\n", &plain[1..])).is_none());
}

#[test]
fn secrets_come_from_the_environment() {
    let (new, old) = ("new-secret-".repeat(4), "old-secret-".repeat(4));
    let (code, said) = check_with_secrets(&new, &old);
    assert!(code == Some(0) && said.contains("2 secrets"), "{said}");
    assert!(!said.contains("secret-"), "{said}");
    let (code, said) = check_with_secrets(&new, "old-secret-");
    assert!(code == Some(1) && said.contains("secret_env[1]: a secret needs at least 32 octets"), "{said}");
    assert!(!said.contains("secret-"), "{said}");
}

/// What `homing check` says of `env.toml`, and its exit code.
fn check_with_secrets(new: &str, old: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.arg("check").arg("-c").arg(fixture("env.toml"));
    let output = command.env("HOMING_TEST_NEW", new).env("HOMING_TEST_OLD", old).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code(), said)
}

#[test]
fn secrets_are_shown_to_nobody() {
    let config = Config::load(&fixture("full.toml")).unwrap();
    let shown = format!("{config:?} {config:#?} {}", Summary(&config));
    assert!(shown.contains("[Secret, Secret]"), "{shown}");
    let octets = format!("{:?}", b"not-a-secret");
    assert!(!shown.contains("not-a-secret") && !shown.contains(octets.trim_matches(['[', ']'])));
    let wrong = fs::read_to_string(fixture("errors/cookie.toml")).unwrap();
    let told = format!("{0} {0:?}", errors(&wrong));
    assert!(!told.contains("not-a-secret") && !told.contains("0123456789"), "{told}");
}

#[test]
fn learning_can_be_chosen_and_turned_off() {
    let learnt =
        |learn| table(&pool_with(&format!("sticky = {{ key = [\"cookie:a\"], learn = {learn} }}"))).learn;
    assert_eq!(learnt("[]"), []);
    assert_eq!(learnt("[\"header:x-b\"]"), sources(&["header:x-b"]));
    assert_eq!(learnt("[\"body:/a/0\"]"), sources(&["body:/a/0"]));
}

#[test]
fn key_sources_are_shown_as_they_are_written() {
    let plain = [
        "cookie:a.b",
        "header:x-room",
        "query:room id",
        "path:/*/{room}/a",
        "client_ip",
        "host",
        "body:/a/0/b~1c~0",
    ];
    let tokens = ["jwt:sub", "jwt:https://a.example/b", "jwt:a b@cookie:t.u", "jwt:sub@query:t@cookie:x"];
    for text in plain.into_iter().chain(tokens) {
        assert_eq!(KeySource::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn off_is_accepted_for_what_is_not_supported_yet() {
    Config::load(&fixture("accepted.toml")).unwrap();
}

// === Summary ===

#[test]
fn the_summary_shows_what_the_file_comes_to() {
    let shown = Summary(&Config::load(&fixture("full.toml")).unwrap()).to_string();
    assert_eq!(shown, fs::read_to_string(fixture("full.summary")).unwrap());
}

#[test]
fn the_summary_shows_how_backends_are_spoken_to() {
    let shown = |settings: &str| {
        let shown =
            Summary(&parse(&SHORTEST.replace("name = ", &format!("{settings}, name = ")))).to_string();
        let start = shown.find("speaks").map(|at| at + "speaks".len());
        let end = shown.find("health").unwrap();
        start.map(|start| shown[start..end].split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(shown("protocol = \"http1\""), None);
    assert_eq!(
        shown("protocol = \"http2\", proxy_protocol = \"v2\"").as_deref(),
        Some("HTTP/2, behind a PROXY header v2")
    );
    let files = "ca = \"tests/config/keys/proxy.pem\", cert = \"tests/config/keys/proxy.pem\", key = \"tests/config/keys/proxy.key\"";
    assert_eq!(
        shown(&format!("tls = {{ {files}, server_name = \"a.internal\" }}")).as_deref(),
        Some(
            "HTTP/1.1, TLS by tests/config/keys/proxy.pem, for a.internal, showing tests/config/keys/proxy.pem"
        )
    );
    assert_eq!(
        shown("tls = { verify = false }").as_deref(),
        Some("HTTP/1.1, TLS WITHOUT VERIFICATION: anybody could be a backend")
    );
}

#[test]
fn the_summary_fits_80_columns() {
    let long = "x".repeat(200);
    let mut source =
        SHORTEST.replace("app", &long).replace("name =", "sticky.key = [\"cookie:LONG\"], name =");
    source = source
        .replace("pool = \"x", "path = \"/LONG\", key = [\"query:LONG\"], pool = \"x")
        .replace("LONG", &long);
    let backend = |n| format!("{{ name = \"{long}{n}\", address = \"10.0.0.1:1\" }},");
    let backends = (1..=30).map(backend).collect::<Vec<_>>().concat();
    let shown = Summary(&parse(&source.replace("{ address = \"127.0.0.1:9000\" }", &backends))).to_string();
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(shown.contains("… and 10 more"), "{shown}");
}

// === Nothing panics ===

proptest! {
    #[test]
    fn no_text_panics(source in "(?s).{0,200}") {
        survives(&source);
    }

    #[test]
    fn no_toml_like_text_panics(source in "([\\[\\]{}=.,\"'#\n -]|\\[\\[pool\\]\\]|\\[pool\\.sticky\\]|key|name|true|10|\"\"\"|'''|\r\n|ü|\u{feff}){0,40}") {
        survives(&source);
    }

    #[test]
    fn no_change_to_a_good_file_panics(file in 0..3_usize, edits in edits()) {
        let file = ["full.toml", "accepted.toml", "contract.toml"][file];
        let source = fs::read_to_string(fixture(file)).unwrap();
        survives(&edits.iter().fold(source, |source, edit| edit.apply(&source)));
    }

    #[test]
    fn no_key_source_panics(text in "(cookie|header|query|path|host|client_ip|jwt|body)?:?[/{}*a-z@:\\PC]{0,10}(@cookie:|@query:)?[a-z@\\PC]{0,10}") {
        if let Ok(source) = KeySource::parse(&text) {
            prop_assert_eq!(KeySource::parse(&source.to_string()), Ok(source));
        }
    }
}

/// Replaces part of a text; places are in thousandths of it.
#[derive(Debug, Clone)]
struct Edit {
    at: usize,
    removed: usize,
    inserted: String,
}

impl Edit {
    fn apply(&self, source: &str) -> String {
        let chars: Vec<char> = source.chars().collect();
        let at = chars.len() * self.at / 1000;
        let end = (at + self.removed).min(chars.len());
        chars[..at].iter().copied().chain(self.inserted.chars()).chain(chars[end..].iter().copied()).collect()
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let inserted =
        prop_oneof!["", "[\\[\\]{}=\"'.,\n #0-9a-z-]{1,5}", "\\PC{1,3}", Just("\n[[pool]]\n".to_owned())];
    let edit = (0..1000_usize, 0..30_usize, inserted);
    proptest::collection::vec(edit.prop_map(|(at, removed, inserted)| Edit { at, removed, inserted }), 1..6)
}

fn survives(source: &str) {
    match Config::parse(source, "proxy.toml") {
        Ok(config) => {
            assert!(DeTable::parse(source).is_ok());
            assert!(!Summary(&config).to_string().is_empty());
        }
        Err(errors) => {
            let last = source.split('\n').count();
            assert!(!errors.problems().is_empty() && !errors.to_string().is_empty());
            assert!(errors.problems().is_sorted_by_key(|problem| problem.line));
            assert!(errors.problems().iter().all(|problem| problem.line <= last));
        }
    }
}

// === Helpers ===

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn parse(source: &str) -> Config {
    Config::parse(source, "proxy.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(source: &str) -> Errors {
    Config::parse(source, "proxy.toml").expect_err("the source has errors")
}

fn pool_with(settings: &str) -> homing::config::Pool {
    let source =
        "listener = [{ address = \"[::]:80\" }]\nroute = [{ pool = \"a\" }]\n[[pool]]\nname = \"a\"\n";
    parse(&format!("{source}backend = [{{ address = \"a:1\" }}]\n{settings}\n")).pools.remove(0)
}

fn table(pool: &homing::config::Pool) -> Table {
    match &pool.sticky.as_ref().unwrap().mode {
        Mode::Table(table) => table.clone(),
        Mode::Hash | Mode::Cookie(_) => panic!("the pool has a table"),
    }
}

fn sealed(pool: &homing::config::Pool) -> Sealed {
    match &pool.sticky.as_ref().unwrap().mode {
        Mode::Cookie(sealed) => sealed.clone(),
        Mode::Hash | Mode::Table(_) => panic!("the pool has a cookie"),
    }
}

fn sources(texts: &[&str]) -> Vec<KeySource> {
    texts.iter().map(|text| KeySource::parse(text).unwrap()).collect()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
