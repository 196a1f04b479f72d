//! Who may call: the token, where there is one; and that no page in an operator's browser calls behind their back,
//! be it by a form (RFC 9110 media types), from another site, or by a name that it points at this machine.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::answer::Refusal;
use super::dashboard;
use crate::config::Token;

/// Told without a token, as are the files of the dashboard, which is where a token is typed in: whoever probes the
/// process should not need a secret.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The rules of one listener.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    token: Option<Token>,
}

impl Guard {
    pub(super) fn new(token: Option<Token>) -> Self {
        Self { token }
    }

    /// # Errors
    /// The call is not to be answered.
    pub(super) fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = host(uri, headers);
        match &self.token {
            Some(token) => check_token(token, uri.path(), headers)?,
            None => check_host(host.as_ref())?,
        }
        if method.is_safe() {
            return Ok(());
        }
        check_site(host.as_ref(), headers)?;
        check_type(headers)
    }
}

fn check_token(token: &Token, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let open = OPEN.contains(&path) || dashboard::holds(path);
    if open || shown(headers).is_some_and(|shown| token.is(shown)) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "show the token: Authorization: Bearer …"))
}

/// The credentials of `Authorization: Bearer` (RFC 6750 §2.1).
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// A page whose own name leads to this machine is, to the browser, of the same site. It cannot have a name that is an
/// address, nor `localhost`.
fn check_host(host: Option<&Authority>) -> Result<(), Refusal> {
    let is_own = |host: &Authority| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    };
    if host.is_some_and(is_own) {
        return Ok(());
    }
    let why = "without a token the host must be an IP address or localhost";
    Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, why))
}

/// What a browser says of where a call comes from. Scripts that are no browser say nothing.
fn check_site(host: Option<&Authority>, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut sites = headers.get_all(FETCH_SITE).iter();
    let mut origins = headers.get_all(ORIGIN).iter();
    let is_same = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host.as_str()))
    };
    if sites.all(|site| site == "same-origin" || site == "none") && origins.all(is_same) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, "a page of another site must not do this"))
}

/// No form can send this type, and no script to another site without asking it first.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_json = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/json")
    };
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    if types.next().is_some_and(is_json) && types.next().is_none() {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json"))
}

/// Whom the call is for (RFC 9112 §3.2.2); `None` if that is not clear.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok()?.parse().ok()
}
