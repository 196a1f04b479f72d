//! What a health answer says beside its status: which life of the backend answers, and whether it wants to leave.

use serde_json::Value;

use crate::config::Field;
use crate::transport::probe::Answer;

/// What a backend says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Report {
    /// The name of its life; none if it does not say.
    pub(super) instance: Option<String>,
    /// It wants to be drained.
    pub(super) draining: bool,
}

/// A longer name is cut: it only has to differ from others.
const LONGEST_INSTANCE: usize = 256;

impl Report {
    /// Reads the fields that the configuration names.
    pub(super) fn read(answer: &Answer, instance: Option<&Field>, drain: Option<&Field>) -> Self {
        let document = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let said = |field: Option<&Field>| text(field?, answer, &document);
        let instance = said(instance).map(|text| text.chars().take(LONGEST_INSTANCE).collect());
        let draining = said(drain).is_some_and(|text| is_yes(&text));
        Self { instance, draining }
    }
}

/// A string, number or truth value; empty counts as not said.
fn text(field: &Field, answer: &Answer, document: &Value) -> Option<String> {
    let text = match field {
        Field::Header(name) => answer.headers.get(name)?.to_str().ok()?.trim().to_owned(),
        Field::Json(pointer) => match document.pointer(&pointer.to_string())? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        },
    };
    Some(text).filter(|text| !text.is_empty())
}

fn is_yes(text: &str) -> bool {
    ["true", "yes", "1", "draining"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pointer;
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    fn answer(fields: &[(&'static str, &'static str)], body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Answer { status: StatusCode::OK, headers, body: body.into(), trailers: None }
    }

    fn header(name: &'static str) -> Field {
        Field::Header(HeaderName::from_static(name))
    }

    fn json(pointer: &str) -> Field {
        Field::Json(Pointer::parse(pointer).unwrap())
    }

    #[test]
    fn fields_are_found_in_the_head_and_in_the_body() {
        let answer =
            answer(&[("x-id", " a1 "), ("x-draining", "True")], r#"{"id": 7, "state": {"draining": true}}"#);
        let read = |instance: Field, drain: Field| Report::read(&answer, Some(&instance), Some(&drain));
        let in_head = read(header("x-id"), header("x-draining"));
        assert_eq!(in_head, Report { instance: Some("a1".into()), draining: true });
        let in_body = read(json("/id"), json("/state/draining"));
        assert_eq!(in_body, Report { instance: Some("7".into()), draining: true });
        assert_eq!(read(json("/none"), json("/id")), Report::default());
        assert_eq!(read(header("x-none"), header("x-id")), Report::default());
    }

    #[test]
    fn nonsense_says_nothing() {
        for body in ["", "no", "[1", "{\"id\": \"\", \"draining\": \"false\"}", "{\"id\": {}}"] {
            let answer = answer(&[("x-id", "")], body);
            assert_eq!(
                Report::read(&answer, Some(&json("/id")), Some(&json("/draining"))),
                Report::default()
            );
            assert_eq!(Report::read(&answer, Some(&header("x-id")), None), Report::default());
        }
    }
}
