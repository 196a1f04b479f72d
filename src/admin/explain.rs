//! The question `POST /api/explain` asks: a request as one would describe it, turned into what the decision reads.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;

use super::answer::Refusal;

/// What would be right.
pub(super) const EXAMPLE: &str =
    r#"{"method":"GET","url":"/game/7","headers":{"Cookie":"id=1"},"client_ip":"192.0.2.1"}"#;

/// A request as a caller describes it. Without `method` it is a GET, without `client_ip` it comes from 127.0.0.1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    client_ip: Option<IpAddr>,
}

/// The values of one field.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a header's value is a string or a list of strings")]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// A request as the decision reads it.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) client_ip: IpAddr,
}

impl Described {
    /// # Errors
    /// A part of it could not be in a request.
    pub(super) fn question(self) -> Result<Question, Refusal> {
        let method = self.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Refusal::bad(format!("method: {method:?} is no method")))?;
        let uri = uri(&self.url)?;
        let mut headers = fields(&self.headers)?;
        let host = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host.filter(|_| !headers.contains_key(HOST)) {
            headers.insert(HOST, host);
        }
        let client_ip = self.client_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Ok(Question { method, uri, headers, client_ip })
    }
}

fn uri(text: &str) -> Result<Uri, Refusal> {
    let fits =
        |uri: &Uri| uri.path().starts_with('/') && (uri.scheme().is_some() || uri.authority().is_none());
    let uri = text.parse().ok().filter(fits);
    uri.ok_or_else(|| {
        let right = "write a path like \"/game/7\", or all of \"http://example.com/game/7\"";
        Refusal::bad(format!("url: {text:?} is not a URL: {right}"))
    })
}

fn fields(said: &BTreeMap<String, Values>) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, values) in said {
        let name: HeaderName =
            name.parse().map_err(|_| Refusal::bad(format!("headers: {name:?} is no header's name")))?;
        let values = match values {
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(values) => values,
        };
        for value in values {
            let value = HeaderValue::from_str(value);
            let value =
                value.map_err(|_| Refusal::bad(format!("headers: the value of {name} cannot be sent")))?;
            headers.try_append(name.clone(), value).map_err(|_| Refusal::bad("headers: too many"))?;
        }
    }
    Ok(headers)
}
