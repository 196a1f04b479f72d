//! One stateful backend of the demo: logins, chess and chat rooms, a cache, a stateless API; all in its own memory,
//! lost when it is killed. It knows nothing about the proxy in front of it.

mod cache;
mod chat;
mod chess;
mod logins;
mod rooms;
mod rules;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cookie::{Cookie, SameSite};
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::cache::Cache;
use self::chat::ChatRoom;
use self::chess::{GameRoom, Place, Role};
use self::logins::Logins;
use self::rooms::{Room, Rooms};
use super::http::{Answer, body, content, json, problem};
use super::socket::{self, Socket};

/// The cookie that names a login.
const SESSION_COOKIE: &str = "sessionId";

/// Characters of a room's name, a player's token or a cache key.
const MAX_NAME: usize = 64;

/// A backend and everything it remembers.
pub(crate) struct Backend {
    name: String,
    answered: AtomicU64,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    logins: Logins,
    cache: Cache,
    games: Rooms<GameRoom>,
    chats: Rooms<ChatRoom>,
}

/// A room on a backend, as an outsider sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RoomInfo {
    /// The last segment of its path.
    pub room: String,
    /// What it is for.
    pub kind: RoomKind,
    /// People connected.
    pub members: usize,
    /// Half-moves played; 0 in a chat.
    pub plies: usize,
}

/// What a room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Chess, on `/game/{room}`.
    Game,
    /// Talk, on `/chat/{room}`.
    Chat,
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
}

impl Backend {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), answered: AtomicU64::new(0), memory: Mutex::default() }
    }

    /// Every room, games first, by name.
    pub(crate) fn rooms(&self) -> Vec<RoomInfo> {
        let memory = self.memory();
        let games = memory.games.iter().map(|(name, room)| RoomInfo {
            room: name.to_owned(),
            kind: RoomKind::Game,
            members: room.occupancy(),
            plies: room.plies(),
        });
        let chats = memory.chats.iter().map(|(name, room)| RoomInfo {
            room: name.to_owned(),
            kind: RoomKind::Chat,
            members: room.occupancy(),
            plies: 0,
        });
        let mut rooms: Vec<RoomInfo> = games.chain(chats).collect();
        rooms.sort_by(|a, b| (a.kind, &a.room).cmp(&(b.kind, &b.room)));
        rooms
    }

    /// Sessions opened by `POST /login`.
    pub(crate) fn logins(&self) -> usize {
        self.memory().logins.count()
    }

    /// Answers one request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path().to_owned();
        let mut segments = path.trim_start_matches('/').splitn(2, '/');
        match (segments.next().unwrap_or_default(), segments.next()) {
            ("healthz", None) => json(StatusCode::OK, &json!({ "backend": self.name })),
            ("login", None) => self.login(request).await,
            ("profile", None) => self.profile(request.headers()),
            ("game", Some(room)) if is_name(room) => self.game(request, room.to_owned()),
            ("chat", Some(room)) if is_name(room) => self.chat(request, room.to_owned()),
            ("cache", Some(key)) if is_name(key) => self.cached(request, key).await,
            ("api", Some(call)) => self.api(call),
            ("game" | "chat" | "cache", _) => {
                problem(StatusCode::BAD_REQUEST, "a name has 1 to 64 letters, digits, '-' or '_'")
            }
            _ => problem(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    async fn login(&self, request: Request<Incoming>) -> Answer {
        if request.method() != Method::POST {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "log in with POST");
        }
        let form = is_form(request.headers());
        let body = match body(request).await {
            Ok(body) => body,
            Err(error) => return error.into(),
        };
        let user = if form { form_field(&body, "user") } else { json_user(&body) };
        let opened = user.and_then(|user| Some((self.memory().logins.open(&user)?, user)));
        let Some((id, user)) = opened else {
            return problem(
                StatusCode::BAD_REQUEST,
                "say who you are: {\"user\": \"Ann\"}, up to 32 characters",
            );
        };
        let mut answer = json(StatusCode::OK, &json!({ "user": user.trim(), "backend": self.name }));
        if let Some(cookie) = session_cookie(id) {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        answer
    }

    fn profile(&self, headers: &HeaderMap) -> Answer {
        let session = session_id(headers).and_then(|id| self.memory().logins.visit(&id));
        match session {
            Some(session) => json(
                StatusCode::OK,
                &json!({ "user": session.user, "visits": session.visits, "backend": self.name }),
            ),
            None => json(
                StatusCode::UNAUTHORIZED,
                &json!({ "error": format!("{} does not know you", self.name), "backend": self.name }),
            ),
        }
    }

    fn game(self: Arc<Self>, request: Request<Incoming>, room: String) -> Answer {
        let query = query(&request);
        let token = query.get("player").filter(|token| is_name(token)).cloned();
        let role = query.get("role").map_or(Role::Any, |role| Role::parse(role));
        socket::upgrade(request, move |socket| async move { self.play(socket, &room, token, role).await })
    }

    async fn play(&self, socket: Socket, room: &str, token: Option<String>, role: Role) {
        let place = Place { backend: &self.name, room };
        let joined = {
            let mut memory = self.memory();
            memory.games.enter(room, Instant::now()).and_then(|game| game.join(token.as_deref(), role, place))
        };
        let Some((id, inbox)) = joined else { return };
        let leave = OnDrop(|| {
            if let Some(game) = self.memory().games.find(room) {
                game.leave(id, Instant::now(), place);
            }
        });
        socket::converse(socket, inbox, |text| {
            if let Some(game) = self.memory().games.find(room) {
                game.hear(id, text, Instant::now(), place);
            }
        })
        .await;
        drop(leave);
    }

    fn chat(self: Arc<Self>, request: Request<Incoming>, room: String) -> Answer {
        let name = query(&request).remove("name").unwrap_or_default();
        socket::upgrade(request, move |socket| async move { self.talk(socket, &room, &name).await })
    }

    async fn talk(&self, socket: Socket, room: &str, name: &str) {
        let place = Place { backend: &self.name, room };
        let joined = {
            let mut memory = self.memory();
            memory.chats.enter(room, Instant::now()).and_then(|chat| chat.join(name, place))
        };
        let Some((id, inbox)) = joined else { return };
        let leave = OnDrop(|| {
            if let Some(chat) = self.memory().chats.find(room) {
                chat.leave(id);
            }
        });
        socket::converse(socket, inbox, |text| {
            if let Some(chat) = self.memory().chats.find(room) {
                chat.hear(id, text, SystemTime::now());
            }
        })
        .await;
        drop(leave);
    }

    async fn cached(&self, request: Request<Incoming>, key: &str) -> Answer {
        let done = |known: bool| json(StatusCode::OK, &json!({ "backend": self.name, "known": known }));
        match *request.method() {
            Method::GET | Method::HEAD => match self.memory().cache.get(key) {
                Some(value) => content(StatusCode::OK, "application/octet-stream", value),
                None => problem(StatusCode::NOT_FOUND, "not in this backend's cache"),
            },
            Method::PUT => match body(request).await {
                Ok(value) => done(!self.memory().cache.put(key, value)),
                Err(error) => error.into(),
            },
            Method::DELETE => done(self.memory().cache.remove(key)),
            _ => problem(StatusCode::METHOD_NOT_ALLOWED, "GET, PUT or DELETE"),
        }
    }

    fn api(&self, call: &str) -> Answer {
        let answered = self.answered.load(Ordering::Relaxed);
        match call {
            "whoami" => json(StatusCode::OK, &json!({ "backend": self.name, "answered": answered })),
            "time" => json(
                StatusCode::OK,
                &json!({ "backend": self.name, "unix_ms": unix_millis(SystemTime::now()) }),
            ),
            _ => problem(StatusCode::NOT_FOUND, "try /api/whoami or /api/time"),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic while the lock was held cost one connection; what the others stored is still good.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs its closure when dropped, so that a member leaves also when the conversation is cancelled.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
}

fn query(request: &Request<Incoming>) -> HashMap<String, String> {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

fn form_field(body: &[u8], wanted: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

fn json_user(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Credentials>(body).ok().map(|credentials| credentials.user)
}

fn session_cookie(id: String) -> Option<HeaderValue> {
    let cookie =
        Cookie::build((SESSION_COOKIE, id)).path("/").http_only(true).same_site(SameSite::Lax).build();
    HeaderValue::from_str(&cookie.to_string()).ok()
}

fn session_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| Cookie::split_parse(line.to_owned()))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == SESSION_COOKIE)
        .map(|cookie| cookie.value().to_owned())
}

fn unix_millis(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
