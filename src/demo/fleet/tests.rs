//! The fleet over real sockets.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::demo::RoomKind;

struct Client(WebSocketStream<TcpStream>);

async fn connect(fleet: &Fleet, path: &str) -> Client {
    let address = fleet.address("ada").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    Client(client_async(format!("ws://{address}{path}"), stream).await.unwrap().0)
}

impl Client {
    async fn say(&mut self, said: Value) {
        self.0.send(Message::text(said.to_string())).await.unwrap();
    }

    /// The first message for which `wanted` holds.
    async fn hear(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let heard = async {
            loop {
                let text = self.0.next().await.unwrap().unwrap().into_text().unwrap();
                let told = serde_json::from_str(&text).unwrap();
                if wanted(&told) {
                    return told;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), heard).await.unwrap()
    }

    async fn ends(&mut self) {
        while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_secs(5), self.0.next()).await {}
    }
}

async fn http(fleet: &Fleet, request: &str) -> String {
    let mut stream = TcpStream::connect(fleet.address("ada").unwrap()).await.unwrap();
    let request =
        request.replace('\n', "\r\n").replacen("HTTP/1.1", "HTTP/1.1\r\nhost: a\r\nconnection: close", 1);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn ada() -> Fleet {
    Fleet::start(&["ada"], 0).unwrap()
}

#[tokio::test]
async fn two_play_and_one_watches() {
    let fleet = ada();
    let mut white = connect(&fleet, "/game/berlin?player=a").await;
    white.hear(|told| told["you"] == "white").await;
    let mut black = connect(&fleet, "/game/berlin?player=b").await;
    let mut guest = connect(&fleet, "/game/berlin?player=c&role=watch").await;
    white.say(json!({ "type": "move", "uci": "e2e4" })).await;
    black.hear(|told| told["turn"] == "black").await;
    black.say(json!({ "type": "move", "uci": "e7e5" })).await;
    let told = guest.hear(|told| told["moves"][1]["san"] == "e5").await;
    assert_eq!((&told["you"], &told["backend"]), (&"spectator".into(), &"ada".into()));
    assert_eq!(
        fleet.rooms(),
        [("ada".to_owned(), RoomInfo { room: "berlin".into(), kind: RoomKind::Game, members: 3, plies: 2 })]
    );
}

#[tokio::test]
async fn a_kill_closes_sockets_and_loses_memory() {
    let fleet = ada();
    let address = fleet.address("ada").unwrap();
    let mut chat = connect(&fleet, "/chat/berlin?name=Ann").await;
    chat.say(json!({ "type": "say", "text": "Hi" })).await;
    chat.hear(|told| told["type"] == "message").await;

    assert!(fleet.kill("ada").unwrap());
    chat.ends().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!fleet.kill("ada").unwrap());

    fleet.restart("ada").unwrap();
    assert_eq!(fleet.address("ada"), Some(address));
    let mut chat = connect(&fleet, "/chat/berlin?name=Ann").await;
    assert_eq!(chat.hear(|_| true).await["messages"], json!([]));
}

#[tokio::test]
async fn a_login_is_known_where_it_was_made() {
    let fleet = ada();
    let login = "POST /login HTTP/1.1\ncontent-type: application/x-www-form-urlencoded\ncontent-length: 8\n\nuser=Ann";
    let answer = http(&fleet, login).await;
    let id = answer.split("sessionId=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    assert!(answer.contains("HttpOnly") && id.len() == 32, "{answer}");
    let profile = format!("GET /profile HTTP/1.1\ncookie: a=b; sessionId={id}\n\n");
    http(&fleet, &profile).await;
    assert!(http(&fleet, &profile).await.contains(r#""visits":2"#));
    assert!(http(&fleet, "GET /profile HTTP/1.1\n\n").await.starts_with("HTTP/1.1 401"));
    assert_eq!(fleet.backends()[0].logins, 1);
}

#[tokio::test]
async fn the_cache_keeps_what_was_put() {
    let fleet = ada();
    let put = http(&fleet, "PUT /cache/a HTTP/1.1\ncontent-length: 1\n\nx").await;
    assert!(put.contains(r#""known":false"#), "{put}");
    assert!(http(&fleet, "GET /cache/a HTTP/1.1\n\n").await.ends_with("\r\n\r\nx"));
    http(&fleet, "DELETE /cache/a HTTP/1.1\n\n").await;
    assert!(http(&fleet, "GET /cache/a HTTP/1.1\n\n").await.starts_with("HTTP/1.1 404"));
    let long = format!("PUT /cache/a HTTP/1.1\ncontent-length: 65537\n\n{}", "x".repeat(65_537));
    assert!(http(&fleet, &long).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_plain_request_to_a_room_is_told_to_upgrade() {
    let fleet = ada();
    assert!(http(&fleet, "GET /game/berlin HTTP/1.1\n\n").await.starts_with("HTTP/1.1 426"));
    assert!(http(&fleet, "GET /game/no%20name HTTP/1.1\n\n").await.starts_with("HTTP/1.1 400"));
}

#[test]
fn names_are_unique_and_taken_ports_are_passed_over() {
    let fleet = ada();
    assert!(matches!(fleet.add("ada"), Err(FleetError::Taken(_))));
    let taken = fleet.address("ada").unwrap().port();
    let other = Fleet::start(&["bob"], taken).unwrap();
    assert_ne!(other.address("bob"), fleet.address("ada"));
    assert!(matches!(other.kill("ada"), Err(FleetError::Unknown(_))));
}

#[test]
fn only_added_backends_leave() {
    let fleet = ada();
    assert!(matches!(fleet.retire("ada"), Err(FleetError::Stays(_))));
    let address = fleet.add("dora").unwrap();
    fleet.retire("dora").unwrap();
    let dora = fleet.backends().pop().unwrap();
    assert_eq!((dora.stay, dora.running), (Stay::Leaving, true));
    fleet.forget("dora");
    assert!(fleet.address("dora").is_none() && std::net::TcpStream::connect(address).is_err());
}
