//! `[pool.sticky.cookie]`: the cookie of `mode = "cookie"`, and its secrets from files and the environment.
//! What browsers would silently refuse is refused here.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::cookie::{Cookie, Origin, SameSite, Secret, Secure};
use crate::config::file::Section;
use crate::config::key::is_token;
use crate::config::report::Complaint;
use crate::config::value::{self, Outcome, choice, flag, octets_of, parsed};

/// A forged cookie is tried with every secret, so there are few.
const MOST_SECRETS: usize = 8;
/// No secret is that long.
const LONGEST_SECRET: u64 = 64 << 10;
const SITES: &[(&str, SameSite)] =
    &[("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];
const NEEDS_SECURE: &str =
    "add `secure = true`: with \"auto\" a listener without TLS would set a cookie that nobody keeps";
const HOW_TO_MAKE_ONE: &str = "make one with `openssl rand -base64 48`";

/// The cookie of the pool called `pool`.
pub(super) fn read(section: &Section<'_>, pool: Option<&str>) -> Cookie {
    let cookie = Cookie {
        name: section.or("name", default_name(pool.unwrap_or_default()), parsed(name)),
        secrets: secrets(section),
        same_site: section.or("same_site", SameSite::Lax, choice(SITES)),
        secure: section.or("secure", Secure::Auto, secure),
        http_only: section.or("http_only", true, flag),
        path: section.or("path", "/".to_owned(), parsed(path)),
        domain: section.read("domain", parsed(domain)),
        max_age: section.read("max_age", max_age),
        partitioned: section.or("partitioned", false, flag),
    };
    check_secure(section, &cookie);
    check_prefix(section, &cookie);
    cookie
}

fn default_name(pool: &str) -> String {
    let safe = |c: char| if is_token(c.encode_utf8(&mut [0; 4])) { c } else { '_' };
    format!("homing_{}", pool.chars().map(safe).collect::<String>())
}

fn name(text: &str) -> Outcome<String> {
    if !text.is_empty() && is_token(text) {
        return Ok(text.to_owned());
    }
    let complaint = Complaint::invalid(format!("{text:?} cannot be the name of a cookie"));
    Err(complaint.help("letters, digits and - _ . are safe"))
}

fn path(text: &str) -> Outcome<String> {
    let fits = |octet: u8| octet.is_ascii_graphic() && octet != b';';
    if text.starts_with('/') && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    let complaint = Complaint::invalid(format!("{text:?} cannot be the path of a cookie"));
    Err(complaint.help("write \"/\" or \"/game\", without spaces and `;`"))
}

fn domain(text: &str) -> Outcome<String> {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    if text.split('.').all(|label| !label.is_empty() && label.bytes().all(fits)) {
        return Ok(text.to_owned());
    }
    let complaint = Complaint::invalid(format!("{text:?} cannot be the domain of a cookie"));
    Err(complaint.help("write a name like \"example.com\", without a dot before it"))
}

fn secure(value: &DeValue<'_>) -> Outcome<Secure> {
    match (value.as_bool(), value.as_str()) {
        (Some(true), _) => Ok(Secure::Always),
        (Some(false), _) => Ok(Secure::Never),
        (None, Some("auto")) => Ok(Secure::Auto),
        (None, Some(word)) => Err(Complaint::invalid(format!("{word:?} is not \"auto\", true or false"))),
        (None, None) => Err(value::expected("\"auto\", true or false", value)),
    }
}

/// `Max-Age` counts seconds, and would have a client forget at once what it should keep for less than one.
fn max_age(value: &DeValue<'_>) -> Outcome<Duration> {
    let age = value::positive(value)?;
    match age.as_secs() {
        0 => Err(Complaint::invalid("must be at least a second")),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// What browsers ignore unless it is `Secure`.
fn check_secure(section: &Section<'_>, cookie: &Cookie) {
    let needy = [
        ("same_site", cookie.same_site == SameSite::None, "`same_site = \"none\"`"),
        ("partitioned", cookie.partitioned, "`partitioned = true`"),
    ];
    for (key, _, what) in needy.into_iter().filter(|&(_, is_set, _)| is_set) {
        if cookie.secure != Secure::Always {
            let complaint =
                Complaint::invalid(format!("browsers drop a cookie with {what} that is not secure"));
            section.complain(key, complaint.help(NEEDS_SECURE));
        }
    }
}

/// Names that promise something (RFC 6265bis §4.1.3), which browsers hold them to.
fn check_prefix(section: &Section<'_>, cookie: &Cookie) {
    let starts = |prefix: &str| {
        cookie.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_host = starts("__Host-");
    if (is_host || starts("__Secure-")) && cookie.secure != Secure::Always {
        let complaint = Complaint::invalid("browsers drop a cookie of such a name that is not secure");
        section.complain("name", complaint.help(NEEDS_SECURE));
    }
    if is_host && (cookie.path != "/" || cookie.domain.is_some()) {
        let complaint = Complaint::invalid("a `__Host-` cookie has `path = \"/\"` and no domain");
        section.complain("name", complaint.help("use `__Secure-`, or leave `path` and `domain` out"));
    }
}

fn secrets(section: &Section<'_>) -> Vec<Secret> {
    let wrong = |key, what: &str, help: &str| section.complain(key, Complaint::invalid(what).help(help));
    if section.has("secret_file") && section.has("secret_env") {
        wrong(
            "secret_env",
            "secrets are in files or in the environment, not in both",
            "leave one of them out",
        );
    }
    for key in ["secret_file", "secret_env"] {
        if section.has(key) && section.lacks(key) {
            wrong(key, "an empty list has no secret", "leave it out to have a random one made at the start");
        }
    }
    let in_file = |text: &str| in_file(&section.near(text));
    let files = section.one_or_more("secret_file", parsed(in_file));
    let variables = section.one_or_more("secret_env", parsed(in_variable));
    if files.len() > MOST_SECRETS || variables.len() > MOST_SECRETS {
        let key = if files.len() > MOST_SECRETS { "secret_file" } else { "secret_env" };
        section.complain(key, Complaint::invalid(format!("more than {MOST_SECRETS} secrets")));
    }
    files.into_iter().chain(variables).collect()
}

fn in_file(path: &Path) -> Outcome<Secret> {
    Ok(secret(&octets_of(path, LONGEST_SECRET)?)?.from(Origin::File(path.to_owned())))
}

fn in_variable(name: &str) -> Outcome<Secret> {
    let value = std::env::var_os(name);
    let value = value.ok_or_else(|| Complaint::invalid("there is no such variable in the environment"))?;
    Ok(secret(value.as_encoded_bytes())?.from(Origin::Variable(name.to_owned())))
}

fn secret(text: &[u8]) -> Outcome<Secret> {
    if text.len() as u64 > LONGEST_SECRET {
        return Err(Complaint::invalid(format!("a secret has at most {LONGEST_SECRET} octets")));
    }
    Secret::new(text).ok_or_else(|| {
        let least = Secret::LEAST;
        Complaint::invalid(format!("a secret needs at least {least} octets")).help(HOW_TO_MAKE_ONE)
    })
}
