//! docs/openapi.json as the tests read it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::support::Response;

/// The document.
pub(crate) struct Document(Value);

/// One operation of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) is_open: bool,
}

impl Document {
    pub(crate) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    pub(crate) fn whole(&self) -> &Value {
        &self.0
    }

    /// The methods of each path.
    pub(crate) fn paths(&self) -> BTreeMap<String, Vec<String>> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths
            .map(|(path, methods)| (path.clone(), methods.as_object().unwrap().keys().cloned().collect()))
            .collect()
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.paths().into_iter();
        let all = paths
            .flat_map(|(path, methods)| methods.into_iter().map(move |method| Operation::of(&path, &method)));
        all.map(|operation| Operation {
            is_open: !self.described(&operation)["security"].is_null(),
            ..operation
        })
        .collect()
    }

    /// What the document says of an operation.
    pub(crate) fn described(&self, operation: &Operation) -> &Value {
        let described = &self.0["paths"][&operation.path][&operation.method];
        assert!(!described.is_null(), "{operation} is not in docs/openapi.json: describe it there");
        described
    }

    /// That an answer is as it is described.
    #[track_caller]
    pub(crate) fn check(&self, operation: &Operation, response: &Response) {
        let status = response.status.to_string();
        let described = &self.described(operation)["responses"][&status];
        assert!(
            !described.is_null(),
            "{operation}: {status} is not in docs/openapi.json: {}",
            response.text()
        );
        let media = response.field("content-type").unwrap_or_default().split(';').next().unwrap();
        let schema = &described["content"][media];
        assert!(!schema.is_null(), "{operation}: {status} as {media:?} is not in docs/openapi.json");
        if media == "application/json" {
            let answer = serde_json::from_slice(&response.body).unwrap();
            self.check_value(&format!("{operation} {status}"), &schema["schema"], &answer);
        }
    }

    /// That a value fits a schema; `what` names it.
    #[track_caller]
    pub(crate) fn check_value(&self, what: &str, schema: &Value, value: &Value) {
        let alone = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator =
            jsonschema::draft202012::new(&alone).unwrap_or_else(|error| panic!("{what}: {error}"));
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("at {:?}: {error}", error.instance_path().to_string()))
            .collect();
        assert!(
            errors.is_empty(),
            "{what} is not what docs/openapi.json describes; a new field is to be described there.\n{}\n{value:#}",
            errors.join("\n")
        );
    }

    /// A named schema.
    pub(crate) fn schema(&self, name: &str) -> Value {
        assert!(!self.0["components"]["schemas"][name].is_null(), "there is no schema {name}");
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}

impl Operation {
    pub(crate) fn of(path: &str, method: &str) -> Self {
        Self { path: path.to_owned(), method: method.to_owned(), is_open: false }
    }

    /// The path with names that there are.
    pub(crate) fn target(&self) -> String {
        self.path.replace("{pool}", "app").replace("{backend}", "a").replace("{file}", "app.js")
    }

    /// Whether it may change something, so that a page of another site must not call it.
    pub(crate) fn changes(&self) -> bool {
        self.method != "get"
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.to_uppercase(), self.path)
    }
}
