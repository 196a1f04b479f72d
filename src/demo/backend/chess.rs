//! Chess rooms: seats, spectators, and what is said on `/game/{room}`. The rules are in [`super::rules`].
//!
//! # Protocol
//! A WebSocket on `/game/{room}?player=TOKEN&role=ROLE`, JSON text messages both ways.
//!
//! - `player` (letters, digits, `-`, `_`; up to 64) names a person. Whoever comes back with the same token gets
//!   the same seat back. Without one, or when both seats are taken, one watches.
//! - `role` is `any` (the default: the first free seat), `white`, `black` (that seat if it is free, else the other)
//!   or `watch`.
//!
//! The server says, at once and after every change, the whole state:
//! ```json
//! {"type":"state", "backend":"ada", "room":"berlin", "game":1, "you":"white",
//!  "fen":"rnbqkbnr/…", "moves":[{"uci":"e2e4","san":"e4"}], "turn":"black", "legal":[], "check":false,
//!  "outcome":null, "seats":{"white":{"taken":true,"present":true},"black":{"taken":false,"present":false}},
//!  "spectators":0, "new_game":[]}
//! ```
//! `you` is `white`, `black` or `spectator`; `legal` holds UCI moves, for the player to move only; `outcome` is
//! `{"winner":"white"|"black"|null,"reason":"checkmate"|"resignation"|"stalemate"|"fifty_moves"|"repetition"|
//! "material"|"move_limit"}` once the game is over; `new_game` lists the sides that asked for a new game;
//! `game` counts the games of the room. What was wrong with one's own message: `{"type":"error","message":"…"}`.
//!
//! The client says:
//! - `{"type":"move","uci":"e2e4"}`
//! - `{"type":"resign"}`
//! - `{"type":"new_game"}`: begins when both players asked, or one whose opponent is absent; sides are swapped.
//! - `{"type":"sit","seat":"white"}`: takes a seat that is free, or whose holder has been away for five seconds.
//! - `{"type":"replay","moves":["e2e4",…]}`: from a player, on a board without moves; brings back a game that was
//!   lost with its backend.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::rooms::{MemberId, Members, Room};
use super::rules::{Game, Illegal, Outcome, Ply, Side};
use crate::demo::socket::{Line, line};

/// How long a seat is kept for a player who left.
const SEAT_KEPT: Duration = Duration::from_secs(5);

/// One room: a game and the people around it.
#[derive(Default)]
pub(super) struct GameRoom {
    game: Game,
    /// Games finished here before this one.
    finished: u32,
    white: Seat,
    black: Seat,
    members: Members<Player>,
}

#[derive(Default)]
struct Seat {
    /// The token of who sits here.
    holder: Option<String>,
    /// When the holder was last seen leaving.
    left: Option<Instant>,
    wants_new_game: bool,
}

struct Player {
    token: Option<String>,
    side: Option<Side>,
}

/// Where someone would like to sit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Any,
    Seat(Side),
    Watch,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Move { uci: String },
    Resign,
    NewGame,
    Sit { seat: SeatName },
    Replay { moves: Vec<String> },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum SeatName {
    White,
    Black,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this message is not understood")]
    Unknown,
    #[error("you are watching: take a seat first")]
    Watching,
    #[error("it is the other side's turn")]
    NotYourTurn,
    #[error("this seat is taken")]
    SeatTaken,
    #[error("you already play")]
    Seated,
    #[error("the board has moves already")]
    NotEmpty,
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

/// Where a room is: said to its members with every state.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) backend: &'a str,
    pub(super) room: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "state")]
struct State<'a> {
    backend: &'a str,
    room: &'a str,
    game: u32,
    you: &'static str,
    fen: &'a str,
    moves: &'a [Ply],
    turn: Side,
    legal: &'a [String],
    check: bool,
    outcome: Option<Outcome>,
    seats: Seats,
    spectators: usize,
    new_game: &'a [Side],
}

#[derive(Clone, Copy, Serialize)]
struct Seats {
    white: SeatState,
    black: SeatState,
}

#[derive(Clone, Copy, Serialize)]
struct SeatState {
    taken: bool,
    present: bool,
}

impl GameRoom {
    /// Lets someone in and tells everybody; `None` when the room is full.
    pub(super) fn join(
        &mut self,
        token: Option<&str>,
        role: Role,
        place: Place<'_>,
    ) -> Option<(MemberId, mpsc::Receiver<Line>)> {
        let side = token.and_then(|token| self.seat_for(token, role));
        let joined = self.members.join(Player { token: token.map(str::to_owned), side })?;
        if let (Some(side), Some(token)) = (side, token) {
            let seat = self.seat_mut(side);
            seat.holder = Some(token.to_owned());
            seat.left = None;
        }
        self.tell_state(place);
        Some(joined)
    }

    pub(super) fn leave(&mut self, id: MemberId, now: Instant, place: Place<'_>) {
        let side = self.members.get(id).and_then(|player| player.side);
        self.members.leave(id);
        if let Some(side) = side
            && !self.present(side)
        {
            self.seat_mut(side).left = Some(now);
        }
        self.tell_state(place);
    }

    /// Does what a member asks for, or tells them why not.
    pub(super) fn hear(&mut self, id: MemberId, text: &str, now: Instant, place: Place<'_>) {
        match self.act(id, text, now) {
            Ok(()) => self.tell_state(place),
            Err(refusal) => {
                let error = serde_json::json!({ "type": "error", "message": refusal.to_string() });
                self.members.tell(id, &line(&error));
            }
        }
    }

    /// Half-moves of the game on the board.
    pub(super) fn plies(&self) -> usize {
        self.game.played().len()
    }

    fn act(&mut self, id: MemberId, text: &str, now: Instant) -> Result<(), Refusal> {
        let said = serde_json::from_str(text).map_err(|_| Refusal::Unknown)?;
        let side = self.members.get(id).and_then(|player| player.side);
        match said {
            Said::Sit { seat } => self.sit(id, seat.into(), now),
            Said::Move { uci } => self.play(side.ok_or(Refusal::Watching)?, &uci),
            Said::Resign => Ok(self.game.resign(side.ok_or(Refusal::Watching)?)?),
            Said::NewGame => side.ok_or(Refusal::Watching).map(|side| self.ask_for_new_game(side)),
            Said::Replay { moves } => side.ok_or(Refusal::Watching).and_then(|_| self.replay(&moves)),
        }
    }

    fn play(&mut self, side: Side, uci: &str) -> Result<(), Refusal> {
        if self.game.turn() != side && self.game.outcome().is_none() {
            return Err(Refusal::NotYourTurn);
        }
        Ok(self.game.play(uci)?)
    }

    fn sit(&mut self, id: MemberId, side: Side, now: Instant) -> Result<(), Refusal> {
        let Some(Player { token: Some(token), side: None }) = self.members.get(id) else {
            return Err(Refusal::Seated);
        };
        let token = token.clone();
        let seat = self.seat(side);
        let deserted = seat.left.is_some_and(|left| now.duration_since(left) >= SEAT_KEPT);
        if seat.holder.is_some() && !deserted {
            return Err(Refusal::SeatTaken);
        }
        *self.seat_mut(side) = Seat { holder: Some(token.clone()), ..Seat::default() };
        for player in self.members.iter_mut().filter(|player| player.token.as_ref() == Some(&token)) {
            player.side = Some(side);
        }
        Ok(())
    }

    fn ask_for_new_game(&mut self, side: Side) {
        self.seat_mut(side).wants_new_game = true;
        let agreed = self.seat(side.other()).wants_new_game || !self.present(side.other());
        if agreed {
            self.game = Game::default();
            self.finished += 1;
            self.swap_sides();
        }
    }

    fn swap_sides(&mut self) {
        std::mem::swap(&mut self.white, &mut self.black);
        self.white.wants_new_game = false;
        self.black.wants_new_game = false;
        for player in self.members.iter_mut() {
            player.side = player.side.map(Side::other);
        }
    }

    /// All of `moves`, or none.
    fn replay(&mut self, moves: &[String]) -> Result<(), Refusal> {
        if self.plies() > 0 {
            return Err(Refusal::NotEmpty);
        }
        let mut game = Game::default();
        for uci in moves {
            game.play(uci)?;
        }
        self.game = game;
        Ok(())
    }

    fn seat_for(&self, token: &str, role: Role) -> Option<Side> {
        let held = [Side::White, Side::Black]
            .into_iter()
            .find(|&side| self.seat(side).holder.as_deref() == Some(token));
        let first = match role {
            Role::Any => Side::White,
            Role::Seat(side) => side,
            Role::Watch => return held,
        };
        held.or_else(|| [first, first.other()].into_iter().find(|&side| self.seat(side).holder.is_none()))
    }

    fn seat(&self, side: Side) -> &Seat {
        match side {
            Side::White => &self.white,
            Side::Black => &self.black,
        }
    }

    fn seat_mut(&mut self, side: Side) -> &mut Seat {
        match side {
            Side::White => &mut self.white,
            Side::Black => &mut self.black,
        }
    }

    fn present(&self, side: Side) -> bool {
        self.members.iter().any(|player| player.side == Some(side))
    }

    fn seat_state(&self, side: Side) -> SeatState {
        SeatState { taken: self.seat(side).holder.is_some(), present: self.present(side) }
    }

    fn tell_state(&mut self, place: Place<'_>) {
        let (fen, legal, turn) = (self.game.fen(), self.game.legal(), self.game.turn());
        let (check, outcome) = (self.game.check(), self.game.outcome());
        let seats = Seats { white: self.seat_state(Side::White), black: self.seat_state(Side::Black) };
        let spectators = self.members.iter().filter(|player| player.side.is_none()).count();
        let new_game: Vec<Side> =
            [Side::White, Side::Black].into_iter().filter(|&side| self.seat(side).wants_new_game).collect();
        self.members.tell_each(|player| {
            line(&State {
                backend: place.backend,
                room: place.room,
                game: self.finished + 1,
                you: player.name(),
                fen: &fen,
                moves: self.game.played(),
                turn,
                legal: if player.side == Some(turn) { &legal } else { &[] },
                check,
                outcome,
                seats,
                spectators,
                new_game: &new_game,
            })
        });
    }
}

impl Room for GameRoom {
    fn occupancy(&self) -> usize {
        self.members.len()
    }
}

impl Player {
    fn name(&self) -> &'static str {
        match self.side {
            Some(Side::White) => "white",
            Some(Side::Black) => "black",
            None => "spectator",
        }
    }
}

impl Role {
    /// What `?role=` says; anything unknown is [`Role::Any`].
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "white" => Self::Seat(Side::White),
            "black" => Self::Seat(Side::Black),
            "watch" => Self::Watch,
            _ => Self::Any,
        }
    }
}

impl From<SeatName> for Side {
    fn from(name: SeatName) -> Self {
        match name {
            SeatName::White => Self::White,
            SeatName::Black => Self::Black,
        }
    }
}

#[cfg(test)]
mod tests;
