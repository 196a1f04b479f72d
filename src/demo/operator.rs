//! Orders as an operator's script gives them: calls to the proxy's admin listener, over a socket.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::config::Wanted;

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

type Failed = Box<dyn Error + Send + Sync>;

/// Says what a backend of a pool shall be.
///
/// # Errors
/// What the proxy says against it, or that it does not answer.
pub(super) async fn set_state(admin: SocketAddr, place: (&str, &str), wanted: Wanted) -> Result<(), String> {
    let (pool, backend) = place;
    let target = format!("/api/pools/{pool}/backends/{backend}/state");
    match tokio::time::timeout(PATIENCE, put(admin, &target, &json!({ "state": wanted.as_str() }))).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("the admin listener does not answer".to_owned()),
    }
}

async fn put(admin: SocketAddr, target: &str, body: &Value) -> Result<(), Failed> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the one answer that there is.
    tokio::spawn(connection);
    let request = Request::put(target)
        .header(HOST, admin.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    let answer = sender.send_request(request).await?;
    if answer.status().is_success() {
        return Ok(());
    }
    let told: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
    Err(told["error"].as_str().unwrap_or("refused").to_owned().into())
}
