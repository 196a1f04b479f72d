//! One person at a board: a WebSocket through the proxy, and what is seen through it.
//! What that means is for the table to judge.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// For whatever must come. Far beyond what a slow machine needs.
const DEADLINE: Duration = Duration::from_secs(20);

/// Who someone is at a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    White,
    Black,
    Spectator,
}

/// An open socket to a room.
pub(crate) struct Player {
    socket: WebSocketStream<TcpStream>,
}

/// The part of a state message that matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct State {
    pub(crate) backend: String,
    pub(crate) you: String,
    pub(crate) moves: Vec<Ply>,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ply {
    uci: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) winner: Option<String>,
    pub(crate) reason: String,
}

/// Why someone does not see what should be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The handshake was answered with this status.
    Refused(u16),
    /// The socket has ended.
    Ended,
    /// Nothing came in time.
    Silent,
    /// The board has other moves on it, so many.
    OtherBoard(usize),
    /// Told something else than what should be: another seat, outcome or backend, or an error.
    Told(String),
}

impl Who {
    pub(crate) const ALL: [Self; 3] = [Self::White, Self::Black, Self::Spectator];

    /// Whose turn it is after so many plies.
    pub(crate) fn to_move(played: usize) -> Self {
        if played.is_multiple_of(2) { Self::White } else { Self::Black }
    }

    /// The name of the seat in state messages.
    pub(crate) fn seat(self) -> &'static str {
        match self {
            Self::White => "white",
            Self::Black => "black",
            Self::Spectator => "spectator",
        }
    }

    fn role(self) -> &'static str {
        if self == Self::Spectator { "watch" } else { self.seat() }
    }
}

impl State {
    /// Whether exactly these moves are on the board.
    pub(crate) fn shows(&self, moves: &[String]) -> bool {
        self.moves.len() == moves.len() && self.begins(moves)
    }

    /// Whether the moves on the board are the first of these.
    fn begins(&self, moves: &[String]) -> bool {
        self.moves.len() <= moves.len() && self.moves.iter().zip(moves).all(|(ply, uci)| ply.uci == *uci)
    }
}

impl Player {
    /// Comes into a room, by the token that names this person there; with the first state that is told.
    pub(crate) async fn enter(proxy: SocketAddr, room: usize, who: Who) -> Result<(Self, State), Trouble> {
        in_time(async {
            let stream = TcpStream::connect(proxy).await.map_err(|_| Trouble::Ended)?;
            stream.set_nodelay(true).map_err(|_| Trouble::Ended)?;
            let query = format!("player={room}-{}&role={}", who.seat(), who.role());
            let (socket, _) = client_async(format!("ws://{proxy}/game/{room}?{query}"), stream).await?;
            let mut this = Self { socket };
            let state = this.hear().await?;
            Ok((this, state))
        })
        .await
    }

    /// Makes a move.
    pub(crate) async fn play(&mut self, uci: &str) -> Result<(), Trouble> {
        self.say(&json!({ "type": "move", "uci": uci })).await
    }

    /// Brings a lost game back.
    pub(crate) async fn replay(&mut self, moves: &[String]) -> Result<(), Trouble> {
        self.say(&json!({ "type": "replay", "moves": moves })).await
    }

    /// Waits until exactly these moves are on the board; not one on the way there may be another.
    pub(crate) async fn sees(&mut self, moves: &[String]) -> Result<State, Trouble> {
        in_time(async {
            loop {
                let state = self.hear().await?;
                if !state.begins(moves) {
                    return Err(Trouble::OtherBoard(state.moves.len()));
                }
                if state.moves.len() == moves.len() {
                    return Ok(state);
                }
            }
        })
        .await
    }

    /// Sits still until something is wrong: the socket ends, or the board changes.
    pub(crate) async fn watch(&mut self, moves: &[String]) -> Trouble {
        loop {
            match self.hear().await {
                Ok(state) if state.shows(moves) => {}
                Ok(state) => return Trouble::OtherBoard(state.moves.len()),
                Err(trouble) => return trouble,
            }
        }
    }

    async fn say(&mut self, said: &Value) -> Result<(), Trouble> {
        in_time(async { Ok(self.socket.send(Message::text(said.to_string())).await?) }).await
    }

    /// The next state. Cancel safe.
    async fn hear(&mut self) -> Result<State, Trouble> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|_| Trouble::Told(text.to_string()));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Trouble::Ended),
                Some(Ok(_)) => {}
            }
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Http(response) => Self::Refused(response.status().as_u16()),
            _ => Self::Ended,
        }
    }
}

async fn in_time<T>(what: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(DEADLINE, what).await.unwrap_or(Err(Trouble::Silent))
}
