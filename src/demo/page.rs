//! The files of the demo's page, compiled in.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::http::{Answer, content};

/// The page runs what came with it and talks to whom it came from, nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $media_type:expr) => {
        ($name, $media_type, include_str!(concat!("page/", $name)))
    };
}

const FILES: [(&str, &str, &str); 13] = [
    file!("index.html", HTML),
    file!("style.css", CSS),
    file!("board.css", CSS),
    file!("app.js", SCRIPT),
    file!("board.js", SCRIPT),
    file!("chat.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("fleet.js", SCRIPT),
    file!("game.js", SCRIPT),
    file!("net.js", SCRIPT),
    file!("pieces.js", SCRIPT),
    file!("visits.js", SCRIPT),
    file!("pigeon.svg", SVG),
];

/// The page's file of that name. Browsers ask each time and are told when theirs is still good.
pub(super) fn file(name: &str, asked: &HeaderMap) -> Option<Answer> {
    let (_, media_type, text) = FILES.iter().find(|(known, ..)| *known == name)?;
    let tag = format!("\"{:x}\"", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
    let known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if known {
        content(StatusCode::NOT_MODIFIED, media_type, Bytes::new())
    } else {
        content(StatusCode::OK, media_type, text.as_bytes())
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    Some(answer)
}
