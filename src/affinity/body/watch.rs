//! Where in a JSON value a parser is, as far as it matters to some pointers, and which of them it has reached.
//! It sees events only; octets and chunks are [`super::Value`]'s.

use std::ops::ControlFlow;
use std::sync::Arc;

use json_event_parser::JsonEvent;

use crate::config::Pointer;

/// Follows pointers through one JSON value. Since of equal keys the first counts, each pointer has one way, and is
/// decided as soon as that way ends.
pub(super) struct Watch {
    pointers: Arc<[Pointer]>,
    /// One for each of `pointers`.
    places: Vec<Place>,
    /// The arrays and objects that are open and that a pointer leads into, from the outermost.
    open: Vec<Container>,
    /// How many are open within the last of `open`, which no pointer leads into.
    skipped: usize,
}

/// How far a pointer has been followed.
#[derive(Clone, Copy)]
enum Place {
    /// Its first so many tokens lead to an array or object that is open.
    Inside(usize),
    /// They lead to the value that comes next.
    Ahead(usize),
    /// Its value was found, or there is none.
    Decided,
}

enum Container {
    Object,
    /// With the index of the element that comes next.
    Array(usize),
}

impl Watch {
    pub(super) fn new(pointers: Arc<[Pointer]>) -> Self {
        let places = vec![Place::Ahead(0); pointers.len()];
        Self { pointers, places, open: Vec::new(), skipped: 0 }
    }

    /// Takes the next event. Breaks when all pointers are decided.
    pub(super) fn see(&mut self, event: &JsonEvent<'_>, found: &mut dyn FnMut(&[u8])) -> ControlFlow<()> {
        if self.skipped > 0 {
            match event {
                JsonEvent::StartObject | JsonEvent::StartArray => self.skipped += 1,
                JsonEvent::EndObject | JsonEvent::EndArray => self.skipped -= 1,
                _ => {}
            }
            return ControlFlow::Continue(());
        }
        match event {
            JsonEvent::ObjectKey(key) => self.advance(|token| token == key),
            JsonEvent::StartObject => self.enter(Container::Object),
            JsonEvent::StartArray => self.enter(Container::Array(0)),
            JsonEvent::EndObject | JsonEvent::EndArray => self.leave(),
            JsonEvent::String(text) | JsonEvent::Number(text) => self.scalar(text, found),
            JsonEvent::Boolean(_) | JsonEvent::Null => self.scalar("", found),
            JsonEvent::Eof => return ControlFlow::Break(()),
        }
        let is_over = self.places.iter().all(|place| matches!(place, Place::Decided));
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The next value has the key or index that `is_meant` says.
    fn advance(&mut self, is_meant: impl Fn(&str) -> bool) {
        // The way into the innermost container has one token less than there are open ones; the root has none.
        let Some(length) = self.open.len().checked_sub(1) else { return };
        for (pointer, place) in self.pointers.iter().zip(&mut self.places) {
            let here = matches!(place, Place::Inside(followed) if *followed == length);
            if here && pointer.tokens().get(length).is_some_and(|token| is_meant(token)) {
                *place = Place::Ahead(length + 1);
            }
        }
    }

    /// The next value begins; in an array its index is its name.
    fn begin(&mut self) {
        if let Some(Container::Array(next)) = self.open.last_mut() {
            let index = *next;
            *next += 1;
            self.advance(|token| array_index(token) == Some(index));
        }
    }

    fn enter(&mut self, container: Container) {
        self.begin();
        let mut is_watched = false;
        for (pointer, place) in self.pointers.iter().zip(&mut self.places) {
            let Place::Ahead(followed) = *place else { continue };
            let leads_on = followed < pointer.tokens().len();
            *place = if leads_on { Place::Inside(followed) } else { Place::Decided };
            is_watched |= leads_on;
        }
        if is_watched {
            self.open.push(container);
        } else {
            self.skipped = 1;
        }
    }

    fn leave(&mut self) {
        self.open.pop();
        let length = self.open.len();
        for place in &mut self.places {
            if matches!(place, Place::Inside(followed) if *followed == length) {
                *place = Place::Decided;
            }
        }
    }

    /// A value that nothing leads into; empty where it cannot be a key.
    fn scalar(&mut self, text: &str, found: &mut dyn FnMut(&[u8])) {
        self.begin();
        for (pointer, place) in self.pointers.iter().zip(&mut self.places) {
            let Place::Ahead(followed) = *place else { continue };
            *place = Place::Decided;
            if followed == pointer.tokens().len() && !text.is_empty() {
                found(text.as_bytes());
            }
        }
    }
}

/// A token as the index of an array: digits without a leading zero (RFC 6901 §4).
fn array_index(token: &str) -> Option<usize> {
    let is_index = token == "0" || token.starts_with(|first: char| matches!(first, '1'..='9'));
    token.parse().ok().filter(|_| is_index)
}
