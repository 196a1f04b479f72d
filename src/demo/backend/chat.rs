//! Chat rooms on `/chat/{room}?name=NAME`: the latest ten messages, kept in memory.
//!
//! On joining, the server says
//! `{"type":"history","backend":"ada","room":"berlin","members":2,"messages":[{"id":7,"name":"Ann","text":"Hi","at":0}]}`
//! (`at` in Unix milliseconds), then `{"type":"message",…}` for each message and `{"type":"members","count":2}` as
//! people come and go. The client says `{"type":"say","text":"Hi"}`.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::chess::Place;
use super::rooms::{MemberId, Members, Room};
use crate::demo::socket::{Line, line};

/// Messages a room remembers.
pub(super) const KEPT: usize = 10;

/// Characters of one message.
const MAX_TEXT: usize = 500;

/// Characters of a name; the rest is cut off.
const MAX_NAME: usize = 24;

/// One chat.
#[derive(Default)]
pub(super) struct ChatRoom {
    kept: VecDeque<Message>,
    said: u64,
    members: Members<String>,
}

#[derive(Clone, Serialize)]
struct Message {
    id: u64,
    name: String,
    text: String,
    at: u64,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Say { text: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told<'a> {
    History { backend: &'a str, room: &'a str, members: usize, messages: &'a VecDeque<Message> },
    Message(&'a Message),
    Members { count: usize },
    Error { message: &'a str },
}

impl ChatRoom {
    /// Lets someone in: they get the history, the others the new count. `None` when the room is full.
    pub(super) fn join(&mut self, name: &str, place: Place<'_>) -> Option<(MemberId, mpsc::Receiver<Line>)> {
        let name = name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect::<String>();
        let name = if name.trim().is_empty() { "guest".to_owned() } else { name };
        let (id, inbox) = self.members.join(name)?;
        let members = self.members.len();
        let history =
            Told::History { backend: place.backend, room: place.room, members, messages: &self.kept };
        self.members.tell(id, &line(&history));
        self.tell_count();
        Some((id, inbox))
    }

    pub(super) fn leave(&mut self, id: MemberId) {
        self.members.leave(id);
        self.tell_count();
    }

    pub(super) fn hear(&mut self, id: MemberId, text: &str, now: SystemTime) {
        match self.accept(id, text, now) {
            Ok(message) => {
                let told = line(&Told::Message(&message));
                self.kept.push_back(message);
                self.kept.drain(..self.kept.len().saturating_sub(KEPT));
                self.members.tell_each(|_| told.clone());
            }
            Err(message) => self.members.tell(id, &line(&Told::Error { message })),
        }
    }

    fn accept(&mut self, id: MemberId, text: &str, now: SystemTime) -> Result<Message, &'static str> {
        let Ok(Said::Say { text }) = serde_json::from_str(text) else {
            return Err("this message is not understood");
        };
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_TEXT {
            return Err("a message has 1 to 500 characters");
        }
        let name = self.members.get(id).cloned().unwrap_or_default();
        self.said += 1;
        Ok(Message { id: self.said, name, text: text.to_owned(), at: super::unix_millis(now) })
    }

    fn tell_count(&mut self) {
        let told = line(&Told::Members { count: self.members.len() });
        self.members.tell_each(|_| told.clone());
    }
}

impl Room for ChatRoom {
    fn occupancy(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { backend: "ada", room: "berlin" };

    fn last(inbox: &mut mpsc::Receiver<Line>, kind: &str) -> serde_json::Value {
        std::iter::from_fn(|| inbox.try_recv().ok())
            .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap())
            .filter(|told| told["type"] == kind)
            .last()
            .unwrap()
    }

    #[test]
    fn the_latest_ten_are_kept() {
        let mut room = ChatRoom::default();
        let (ann, _inbox) = room.join("Ann", HERE).unwrap();
        for n in 1..=12 {
            room.hear(ann, &format!(r#"{{"type":"say","text":"{n}"}}"#), SystemTime::now());
        }
        let (_, mut inbox) = room.join("Bob", HERE).unwrap();
        let told = last(&mut inbox, "history");
        let texts: Vec<_> =
            told["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
        assert_eq!(told["members"], 2);
    }

    #[test]
    fn long_and_empty_messages_are_refused() {
        let mut room = ChatRoom::default();
        let (ann, mut inbox) = room.join("Ann", HERE).unwrap();
        for text in [String::new(), "x".repeat(501)] {
            room.hear(
                ann,
                &serde_json::json!({ "type": "say", "text": text }).to_string(),
                SystemTime::now(),
            );
            assert_eq!(last(&mut inbox, "error")["message"], "a message has 1 to 500 characters");
        }
        assert!(room.kept.is_empty());
    }

    #[test]
    fn everybody_hears_everybody() {
        let mut room = ChatRoom::default();
        let (ann, mut at_ann) = room.join("Ann", HERE).unwrap();
        let (_, mut at_bob) = room.join("", HERE).unwrap();
        room.hear(ann, r#"{"type":"say","text":"Hi"}"#, SystemTime::now());
        for inbox in [&mut at_ann, &mut at_bob] {
            assert_eq!(last(inbox, "message")["name"], "Ann");
        }
    }
}
