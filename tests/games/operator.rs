//! Who replaces backends, by nothing but the public admin API.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use homing::transport::call::call;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::sleep;

/// For one call. Waiting for a backend takes many.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// One who calls the admin listener.
pub(crate) struct Operator {
    admin: SocketAddr,
}

impl Operator {
    pub(crate) fn new(admin: SocketAddr) -> Self {
        Self { admin }
    }

    /// Says that a backend is to be empty by then.
    pub(crate) async fn drain(&self, backend: &str, timeout: &str) {
        let order = json!({ "state": "drain", "timeout": timeout });
        let said = self.done("PUT", &format!("{}/state", path(backend)), &order).await;
        assert_eq!(said["state"], "drain");
    }

    /// Waits until nothing is left of it.
    pub(crate) async fn drained(&self, backend: &str) {
        let target = format!("{}/drained?wait=5s", path(backend));
        while self.call("GET", &target, &Value::Null).await.0 != StatusCode::OK {}
    }

    /// Says that a backend takes new games again, and waits until it does.
    pub(crate) async fn ready(&self, backend: &str) {
        self.done("PUT", &format!("{}/state", path(backend)), &json!({ "state": "ready" })).await;
        loop {
            let said = self.done("GET", &path(backend), &Value::Null).await;
            if said["health"] == "up" && said["state"] == "ready" && said["outlier"] == false {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Lets the proxy read its file again.
    pub(crate) async fn reload(&self) {
        self.done("POST", "/api/reload", &Value::Null).await;
    }

    async fn done(&self, method: &str, target: &str, body: &Value) -> Value {
        let (status, said) = self.call(method, target, body).await;
        assert_eq!(status, StatusCode::OK, "{method} {target}: {said}");
        said
    }

    async fn call(&self, method: &str, target: &str, body: &Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request =
            Request::builder().method(method).uri(target).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (status, said) = call(&self.admin.to_string(), request, PATIENCE).await.unwrap();
        (status, serde_json::from_slice(&said).unwrap())
    }
}

fn path(backend: &str) -> String {
    format!("/api/pools/games/backends/{backend}")
}
