//! Chess rooms, without sockets.

use serde_json::Value;

use super::*;

const HERE: Place<'_> = Place { backend: "ada", room: "berlin" };

struct Guest {
    id: MemberId,
    inbox: mpsc::Receiver<Line>,
}

fn join(room: &mut GameRoom, token: &str, role: Role) -> Guest {
    let (id, inbox) = room.join(Some(token), role, HERE).unwrap();
    Guest { id, inbox }
}

impl Guest {
    fn says(&self, room: &mut GameRoom, text: &str) {
        room.hear(self.id, text, Instant::now(), HERE);
    }

    fn plays(&self, room: &mut GameRoom, uci: &str) {
        self.says(room, &format!(r#"{{"type":"move","uci":"{uci}"}}"#));
    }

    /// The last thing this guest was told.
    fn sees(&mut self) -> Value {
        let mut last = Value::Null;
        while let Ok(line) = self.inbox.try_recv() {
            last = serde_json::from_str(&line).unwrap();
        }
        last
    }
}

#[test]
fn the_first_two_play_and_the_third_watches() {
    let mut room = GameRoom::default();
    let mut guests = ["a", "b", "c"].map(|token| join(&mut room, token, Role::Any));
    let seen = guests.each_mut().map(|guest| guest.sees()["you"].as_str().unwrap().to_owned());
    assert_eq!(seen, ["white", "black", "spectator"]);
}

#[test]
fn who_comes_back_gets_seat_and_board_back() {
    let mut room = GameRoom::default();
    let white = join(&mut room, "a", Role::Any);
    let _black = join(&mut room, "b", Role::Any);
    white.plays(&mut room, "e2e4");
    room.leave(white.id, Instant::now(), HERE);
    let seen = join(&mut room, "a", Role::Watch).sees();
    assert_eq!(seen["you"], "white");
    assert_eq!(seen["moves"][0]["san"], "e4");
    assert_eq!(seen["turn"], "black");
}

#[test]
fn a_move_out_of_turn_is_refused_to_its_sender_only() {
    let mut room = GameRoom::default();
    let mut white = join(&mut room, "a", Role::Any);
    let mut black = join(&mut room, "b", Role::Any);
    let _ = (white.sees(), black.sees());
    black.plays(&mut room, "e7e5");
    assert_eq!(black.sees()["message"], "it is the other side's turn");
    assert_eq!(white.sees(), Value::Null);
}

#[test]
fn only_the_mover_gets_the_legal_moves() {
    let mut room = GameRoom::default();
    let mut white = join(&mut room, "a", Role::Any);
    let mut black = join(&mut room, "b", Role::Any);
    assert_eq!(white.sees()["legal"].as_array().unwrap().len(), 20);
    assert!(black.sees()["legal"].as_array().unwrap().is_empty());
}

#[test]
fn a_seat_is_kept_for_five_seconds() {
    let mut room = GameRoom::default();
    let white = join(&mut room, "a", Role::Any);
    let mut guest = join(&mut room, "c", Role::Watch);
    let start = Instant::now();
    room.leave(white.id, start, HERE);
    let sit = r#"{"type":"sit","seat":"white"}"#;
    room.hear(guest.id, sit, start + Duration::from_secs(4), HERE);
    assert_eq!(guest.sees()["message"], "this seat is taken");
    room.hear(guest.id, sit, start + Duration::from_secs(5), HERE);
    assert_eq!(guest.sees()["you"], "white");
}

#[test]
fn a_new_game_needs_both_and_swaps_sides() {
    let mut room = GameRoom::default();
    let mut white = join(&mut room, "a", Role::Any);
    let black = join(&mut room, "b", Role::Any);
    white.plays(&mut room, "e2e4");
    white.says(&mut room, r#"{"type":"new_game"}"#);
    assert_eq!(white.sees()["new_game"][0], "white");
    black.says(&mut room, r#"{"type":"new_game"}"#);
    let seen = white.sees();
    assert_eq!((&seen["you"], &seen["game"]), (&"black".into(), &2.into()));
    assert!(seen["moves"].as_array().unwrap().is_empty());
}

#[test]
fn a_lost_game_is_replayed_as_a_whole_or_not_at_all() {
    let mut room = GameRoom::default();
    let mut white = join(&mut room, "a", Role::Any);
    white.says(&mut room, r#"{"type":"replay","moves":["e2e4","e2e4"]}"#);
    assert_eq!(room.plies(), 0);
    white.says(&mut room, r#"{"type":"replay","moves":["e2e4","e7e5"]}"#);
    assert_eq!(room.plies(), 2);
    white.says(&mut room, r#"{"type":"replay","moves":["e2e4"]}"#);
    assert_eq!(white.sees()["message"], "the board has moves already");
}
