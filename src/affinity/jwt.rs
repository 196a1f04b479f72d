//! A claim of a JSON Web Token (RFC 7519) as a session key. The token is decoded for routing only: its **signature is
//! not verified**, nor its time, so a claim is an address like any other key and never a permission.
//!
//! Decoded with `base64` and `serde_json`, which are here anyway. `jsonwebtoken` 11 can do it without a cryptographic
//! backend (`dangerous::insecure_decode_claims`), but copies every claim, has numbers as its parser sees them instead
//! of as they are written, refuses padded tokens, and brings crates of signatures that nothing would call.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header;
use serde_json::value::RawValue;

use super::{Facts, source};
use crate::config::TokenPlace;
use crate::headers::Fields;

/// Octets of the longest token that is looked at.
const LONGEST: usize = 8 << 10;

/// RFC 7515 has no padding; some issuers add it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The claim called `name` of the token at `place`: a string, or a number as it is written. Nothing else is a key.
/// O(length of the token).
pub(super) fn claim(name: &str, place: &TokenPlace, facts: &Facts<'_>) -> Option<Vec<u8>> {
    let token = match place {
        TokenPlace::Bearer => Cow::Borrowed(bearer(facts.headers)?),
        TokenPlace::Cookie(name) => Cow::Borrowed(source::cookie(facts.headers, name)?),
        TokenPlace::Query(name) => source::query(facts.uri.query()?, name)?,
    };
    let claims = payload(&token)?;
    // Of a claim that is there twice the last counts, as RFC 7519 §4 allows.
    let claims: HashMap<String, &RawValue> = serde_json::from_slice(&claims).ok()?;
    key(claims.get(name)?)
}

/// The token in `Authorization: Bearer`; a scheme is written in any case (RFC 9110 §11.1).
fn bearer(headers: &Fields) -> Option<&[u8]> {
    headers.get_all(&header::AUTHORIZATION).find_map(|field| {
        let (scheme, token) = field.trim_ascii().split_at_checked(b"Bearer".len())?;
        let is_apart = token.first() == Some(&b' ');
        (is_apart && scheme.eq_ignore_ascii_case(b"Bearer")).then(|| token.trim_ascii())
    })
}

/// The middle of `header.payload.signature`, decoded. Encrypted tokens have five parts, and nothing to be read.
fn payload(token: &[u8]) -> Option<Vec<u8>> {
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split(|&octet| octet == b'.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(payload), Some(_), None) => BASE64.decode(payload).ok(),
        _ => None,
    }
}

fn key(value: &RawValue) -> Option<Vec<u8>> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok().map(String::into_bytes),
        b'-' | b'0'..=b'9' => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{URL_SAFE as PADDED, URL_SAFE_NO_PAD};
    use http::{HeaderValue, Uri};
    use proptest::prelude::*;

    use crate::affinity::extract;
    use crate::config::KeySource;

    /// A token with these claims, signed by nobody.
    fn token(claims: &str) -> String {
        token_in(&URL_SAFE_NO_PAD, claims)
    }

    fn token_in(encoding: &GeneralPurpose, claims: &str) -> String {
        format!("{}.{}.forged", encoding.encode(r#"{"alg":"ES256K"}"#), encoding.encode(claims))
    }

    fn found(source: &str, uri: &str, fields: &[(header::HeaderName, &str)]) -> Option<String> {
        let uri: Uri = uri.parse().expect("a URI");
        let mut headers = Fields::new();
        for (name, value) in fields {
            headers.append(name.clone(), HeaderValue::from_str(value).expect("a value"));
        }
        let facts =
            Facts { host: "h", uri: &uri, headers: &headers, client_ip: [127, 0, 0, 1].into(), sni: None };
        let source = KeySource::parse(source).expect("a source");
        extract(&source, &facts).map(|key| String::from_utf8(key.into_owned()).expect("text"))
    }

    fn authorised(source: &str, authorization: &str) -> Option<String> {
        found(source, "/", &[(header::AUTHORIZATION, authorization)])
    }

    /// What the claim `sub` comes to.
    fn sub(claims: &str) -> Option<String> {
        authorised("jwt:sub", &format!("Bearer {}", token(claims)))
    }

    #[test]
    fn a_token_is_where_the_source_says() {
        let token = token(r#"{"sub":"ada"}"#);
        for scheme in ["Bearer", "bearer", "BEARER", "Bearer  "] {
            assert_eq!(authorised("jwt:sub", &format!("{scheme} {token}")).as_deref(), Some("ada"));
        }
        assert_eq!(authorised("jwt:sub", &format!("Basic {token}")), None);
        assert_eq!(authorised("jwt:sub", &format!("Bearer{token}")), None);
        let cookie = [(header::COOKIE, &*format!("a=1; t={token}"))];
        assert_eq!(found("jwt:sub@cookie:t", "/", &cookie).as_deref(), Some("ada"));
        assert_eq!(found("jwt:sub@cookie:a", "/", &cookie), None);
        let query = format!("/?a=1&token={token}");
        assert_eq!(found("jwt:sub@query:token", &query, &[]).as_deref(), Some("ada"));
        assert_eq!(found("jwt:sub", &query, &cookie), None);
    }

    #[test]
    fn another_scheme_before_it_does_not_hide_a_token() {
        let bearer = format!("Bearer {}", token(r#"{"sub":"ada"}"#));
        let fields = [(header::AUTHORIZATION, "Basic YTpi"), (header::AUTHORIZATION, &*bearer)];
        assert_eq!(found("jwt:sub", "/", &fields).as_deref(), Some("ada"));
    }

    /// Whoever needs to know whether a claim is true must ask the backend, which verifies it.
    #[test]
    fn the_signature_is_not_verified() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"ada"}"#);
        for token in [format!("x.{claims}.x"), format!(".{claims}."), format!("e30.{claims}.AAAA")] {
            assert_eq!(authorised("jwt:sub", &format!("Bearer {token}")).as_deref(), Some("ada"), "{token}");
        }
    }

    #[test]
    fn padding_is_no_matter() {
        for claims in [r#"{"sub":"a"}"#, r#"{"sub":"ab"}"#, r#"{"sub":"ü?>"}"#] {
            let padded = authorised("jwt:sub", &format!("Bearer {}", token_in(&PADDED, claims)));
            assert!(padded.is_some());
            assert_eq!(padded, sub(claims));
        }
    }

    #[test]
    fn strings_and_numbers_are_keys() {
        assert_eq!(sub(r#"{"a":[{"sub":1}],"sub":"\u00e4 \"b\""}"#).as_deref(), Some("ä \"b\""));
        assert_eq!(sub(r#"{ "sub" : 9007199254740993 }"#).as_deref(), Some("9007199254740993"));
        assert_eq!(sub(r#"{"sub":-1.50e3}"#).as_deref(), Some("-1.50e3"));
        assert_eq!(sub(r#"{"sub":"first","sub":"last"}"#).as_deref(), Some("last"));
        for other in ["\"\"", "true", "false", "null", "[\"a\"]", "{\"a\":1}", "\"\\ud800\"", "01", "\"a"] {
            assert_eq!(sub(&format!("{{\"sub\":{other}}}")), None, "{other}");
        }
    }

    #[test]
    fn a_claim_may_be_called_like_a_url() {
        let bearer = format!("Bearer {}", token(r#"{"https://example.com/tenant":"t1"}"#));
        assert_eq!(authorised("jwt:https://example.com/tenant", &bearer).as_deref(), Some("t1"));
        assert_eq!(authorised("jwt:https", &bearer), None);
    }

    #[test]
    fn a_token_that_is_too_long_is_not_looked_at() {
        let long = |padding: usize| sub(&format!("{{\"sub\":\"x\",\"pad\":\"{}\"}}", "y".repeat(padding)));
        assert!(long(6_000).is_some());
        assert_eq!(long(6_200), None);
    }

    #[test]
    fn parts_must_be_three() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"ada"}"#);
        for token in [claims.clone(), format!("x.{claims}"), format!("x.{claims}.x.x.x"), String::new()] {
            assert_eq!(authorised("jwt:sub", &format!("Bearer {token}")), None, "{token}");
        }
    }

    #[test]
    fn nesting_takes_no_stack() {
        assert_eq!(sub(&format!("{{\"a\":{}", "[".repeat(6_000))), None);
    }

    proptest! {
        #[test]
        fn no_field_panics(field in "([Bb]earer )?[ -~]{0,60}") {
            authorised("jwt:sub", &field);
        }

        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..80)) {
            authorised("jwt:sub", &format!("Bearer e30.{}.", URL_SAFE_NO_PAD.encode(payload)));
        }

        #[test]
        fn every_text_survives(text in "\\PC{1,40}") {
            let claims = serde_json::json!({ "iss": "x", "sub": text });
            prop_assert_eq!(sub(&claims.to_string()), Some(text));
        }
    }
}
