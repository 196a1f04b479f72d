//! Which proxy is called, what it is shown, and what is said where nobody answers as they should.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::support::process::{File, command};
use crate::support::{Backend, Proxy};
use crate::{asking, refused, said, setup, told, url};

const TOKEN: &str = "0123456789abcdef0123456789abcdef\n";

/// A directory of a test's own; removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A proxy that wants this token.
fn guarded(token: &File) -> Proxy {
    let admin = format!("token_file = \"{}\"", token.path());
    setup(&[&Backend::named("ada")]).admin(&admin).start()
}

#[test]
fn the_proxy_is_found_by_a_flag_the_environment_or_a_file() {
    let (token, directory) = (File::with(TOKEN), Directory::new("found"));
    let proxy = guarded(&token);
    let url = url(&proxy);
    said(
        command(&["status", "--admin", &url, "--token-file", token.path()]).env("HOMING_ADMIN", "nonsense"),
        0,
    );
    said(command(&["status"]).env("HOMING_ADMIN", &url).env("HOMING_TOKEN_FILE", token.path()), 0);
    // Found also where the rest of it is wrong; its token's path begins at it.
    let address = url.trim_start_matches("http://");
    let text = format!("nonsense = \n[admin]\naddress = \"{address}\"\ntoken_file = \"admin.token\"\n");
    let file = directory.with("proxy.toml", &text);
    directory.with("admin.token", TOKEN);
    said(command(&["status", "-c", &file]).env("HOMING_ADMIN", "nonsense"), 0);
    said(command(&["status"]).current_dir(&directory.0), 0);
}

#[test]
fn where_no_proxy_is_said_one_learns_how() {
    let directory = Directory::new("nowhere");
    refused(
        command(&["status"]).current_dir(&directory.0),
        &["--admin http://127.0.0.1:9900", "HOMING_ADMIN", "-c FILE"],
    );
    let file = directory.with("proxy.toml", "[[pool]]\n");
    refused(
        &mut command(&["status", "-c", &file]),
        &[&file, "no [admin] table", "address = \"127.0.0.1:9900\""],
    );
    refused(&mut command(&["status", "-c", "/nonexistent"]), &["/nonexistent cannot be read"]);
    refused(
        command(&["status"]).env("HOMING_ADMIN", "nonsense"),
        &["HOMING_ADMIN", "write http://127.0.0.1:9900"],
    );
    refused(&mut command(&["status", "--admin", "https://127.0.0.1:1"]), &["speaks plain HTTP"]);
    refused(
        &mut command(&["status", "--admin", "http://127.0.0.1:1", "-c", &file]),
        &["cannot be used with"],
    );
}

#[test]
fn an_unreachable_proxy_is_told_with_what_to_look_at() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let url = format!("http://{address}");
    let help = format!("address = \"{address}\"");
    for arguments in
        [&["status"][..], &["drain", "a/b", "--wait"], &["sessions", "a"], &["reload"], &["ready", "a/b"]]
    {
        let mut asked = command(arguments);
        refused(
            asked.env("HOMING_ADMIN", &url),
            &[&url, "HOMING_ADMIN", "refused", "is the proxy running", &help],
        );
    }
}

#[test]
fn what_is_no_admin_listener_is_not_taken_for_one() {
    let (web, silent) = (Backend::named("web"), Backend::start("silent", |_| {}));
    let ask = |backend: &Backend| command(&["status", "--admin", &backend.address.to_string()]);
    refused(&mut ask(&web), &["answers 200 OK", "is it one?"]);
    refused(&mut ask(&silent), &["is that the admin listener of a proxy?"]);
}

#[test]
fn a_token_that_is_missing_or_wrong_is_told() {
    let (token, other) = (File::with(TOKEN), File::with("fedcba9876543210\n"));
    let proxy = guarded(&token);
    refused(&mut asking(&proxy, &["status"]), &["401", "--token-file FILE", "HOMING_TOKEN_FILE"]);
    let wrong = ["status", "--token-file", other.path()];
    refused(&mut asking(&proxy, &wrong), &["401", "does not take the token in", other.path()]);
    let short = File::with("short");
    refused(
        &mut asking(&proxy, &["status", "--token-file", short.path()]),
        &["no token in it", short.path()],
    );
    refused(
        &mut asking(&proxy, &["status", "--token-file", "/nonexistent"]),
        &["/nonexistent cannot be read"],
    );
}

#[test]
fn without_a_token_a_name_must_be_localhost() {
    let proxy = setup(&[&Backend::named("ada")]).start();
    let port = proxy.admin.as_ref().unwrap().address().port();
    let status = |host: &str| command(&["status", "--admin", &format!("http://{host}:{port}")]);
    said(&mut status("localhost"), 0);
    assert!(told(&proxy, &["status"]).contains("ada"));
}

#[test]
fn names_that_are_nearly_right_are_offered() {
    let proxy = setup(&[&Backend::named("chess-1"), &Backend::named("chess-2")]).start();
    refused(
        &mut asking(&proxy, &["drain", "ap/chess-1"]),
        &["there is no pool \"ap\"", "did you mean `app`?"],
    );
    refused(
        &mut asking(&proxy, &["ready", "app/ches-2"]),
        &["no backend \"ches-2\"", "did you mean `chess-2`?"],
    );
    refused(
        &mut asking(&proxy, &["maint", "app/nobody"]),
        &["no backend \"nobody\"", "there is chess-1, chess-2"],
    );
    refused(&mut asking(&proxy, &["status", "apo"]), &["did you mean `app`?"]);
    refused(&mut asking(&proxy, &["sessions", "apo", "--key", "7"]), &["did you mean `app`?"]);
    refused(&mut asking(&proxy, &["drain", "chess-1"]), &["POOL/BACKEND"]);
    refused(
        &mut asking(&proxy, &["drain", "app/chess-1", "--timeout", "soon"]),
        &["\"soon\" is not a duration"],
    );
}
