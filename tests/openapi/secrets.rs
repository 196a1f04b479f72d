//! Secrets are shown nowhere: in no answer, no line of the log, and no figure.

use rustix::process::Signal;

use crate::document::Document;
use crate::support::authority::Authority;
use crate::support::process::{File, Process};
use crate::support::{Backend, Setup};
use crate::{JSON, call};

/// What all operations answer who shows the token, and who shows another.
fn everything_told(process: &Process, shown: &str) -> String {
    let mut told = String::new();
    let operations = Document::read().operations().into_iter();
    for operation in operations.filter(|operation| operation.path != "/api/events") {
        let (method, target) = (operation.method.to_uppercase(), operation.target());
        for fields in [[JSON, shown], [JSON, "Authorization: Bearer wrong-token-0123456789"]] {
            let response = call(&mut process.connect_admin(), &method, &target, &fields, r#"{"url":"/"}"#);
            for part in [response.message.head.as_str(), "\n", &response.text(), "\n"] {
                told.push_str(part);
            }
        }
    }
    told
}

#[test]
fn no_secret_is_shown_anywhere() {
    let backend = Backend::named("a");
    let (token, secret) = ("marked-token-0123456789", "marked-secret-0123456789-0123456789-0123456789");
    let (token_file, secret_file) = (File::with(token), File::with(secret));
    let authority = Authority::new("own");
    let issued = authority.issue(&["localhost"]);
    let key = std::fs::read_to_string(&issued.key).unwrap();
    let key = key.lines().nth(1).unwrap();
    // Set by cargo for every test, and passed on.
    let variable = std::env::var("CARGO_PKG_DESCRIPTION").unwrap();
    let cookie = |source: String| format!("mode = \"cookie\"\n[pool.sticky.cookie]\n{source}");
    for source in
        [format!("secret_file = '{}'", secret_file.path()), "secret_env = \"CARGO_PKG_DESCRIPTION\"".into()]
    {
        let setup = Setup::of(&[&backend])
            .admin(&format!("token_file = '{}'", token_file.path()))
            .log("level = \"trace\"")
            .listener(&format!(
                "tls = [{{ cert = '{}', key = '{}' }}]",
                issued.cert.display(),
                issued.key.display()
            ))
            .table("sticky", &cookie(source));
        let file = File::with(&setup.toml());
        let (process, _) = Process::of_file(&file);
        let shown = format!("Authorization: Bearer {token}");
        let mut told = everything_told(&process, &shown);
        let named = secret_file.path();
        assert!(
            told.contains(token_file.path()) && (told.contains(named) || told.contains("secret_env")),
            "files are named"
        );
        std::fs::write(&file.0, setup.toml().replace("weight = 1", "wieght = 1")).unwrap();
        let wrong = call(&mut process.connect_admin(), "POST", "/api/reload", &[JSON, &shown], "");
        assert_eq!(wrong.status, 422, "{}", wrong.text());
        told += &wrong.text();
        process.signal(Signal::TERM);
        let (_, lines) = process.wait();
        told += &lines.join("\n");
        for secret in [token, secret, key, variable.as_str()] {
            let at = told.find(secret).map(|at| told.get(at.saturating_sub(200)..at));
            assert!(at.is_none(), "{secret} is shown after {at:?}");
        }
    }
}
