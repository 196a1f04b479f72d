//! The files of the dashboard, compiled in. They hold no data of the proxy: the page asks the API for all it shows, as
//! anybody else does, and shows it the token.

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::answer::{Answer, Refusal};

/// The page's own address.
pub(super) const PAGE: &str = "/";
/// Where its other files are.
pub(super) const FILES_BELOW: &str = "/dashboard/{file}";

/// The page runs what came with it and talks to whom it came from, nothing else; and no script can turn text into
/// markup, not even the page's own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file.
#[derive(Debug)]
struct File {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        File { name: $name, media_type: $media_type, text: include_str!(concat!("dashboard/", $name)) }
    };
}

const INDEX: File = file!("index.html", HTML);

const FILES: &[File] = &[
    file!("base.css", CSS),
    file!("controls.css", CSS),
    file!("fleet.css", CSS),
    file!("panels.css", CSS),
    file!("api.js", SCRIPT),
    file!("app.js", SCRIPT),
    file!("dialogs.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("explain.js", SCRIPT),
    file!("fleet.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("machine.js", SCRIPT),
    file!("orders.js", SCRIPT),
    file!("plan.js", SCRIPT),
    file!("poll.js", SCRIPT),
    file!("pool.js", SCRIPT),
    file!("problems.js", SCRIPT),
    file!("rates.js", SCRIPT),
    file!("row.js", SCRIPT),
    file!("share.js", SCRIPT),
    file!("stream.js", SCRIPT),
    file!("summary.js", SCRIPT),
    file!("token.js", SCRIPT),
    file!("icon.svg", SVG),
];

/// Whether a path leads to a file of the dashboard, or to none of its folder.
pub(super) fn holds(path: &str) -> bool {
    path == PAGE || path.starts_with("/dashboard/")
}

/// The page.
pub(super) async fn page(asked: HeaderMap) -> Response {
    answer(&INDEX, &asked)
}

/// One of the files that the page asks for.
pub(super) async fn file(name: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Answer {
    let found = name.ok().and_then(|Path(name)| FILES.iter().find(|file| file.name == name));
    found.map(|file| answer(file, &asked)).ok_or_else(|| Refusal::not_found("the dashboard has no such file"))
}

/// Browsers ask each time and are told when theirs is still good: so a page never runs with the scripts of the version
/// before.
fn answer(file: &'static File, asked: &HeaderMap) -> Response {
    let tag = format!("\"{:x}\"", xxhash_rust::xxh3::xxh3_64(file.text.as_bytes()));
    let known = asked.get_all(IF_NONE_MATCH).iter().any(|known| known.as_bytes() == tag.as_bytes());
    let body = if known { Bytes::new() } else { Bytes::from_static(file.text.as_bytes()) };
    let status = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    response
}
