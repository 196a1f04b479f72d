//! How a connection is ended that has nothing wrong with it (RFC 9113 §6.8).

use h2::Reason;

use super::frame;
use super::state::State;

/// Whether this side ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    Not,
    /// It was said; requests that the client has sent before it has heard of it are answered.
    Said,
    /// The client has heard of it: what follows is not looked at.
    Heard,
}

/// What the client gives back when it has heard that the connection ends.
const GOODBYE: [u8; 8] = *b"goodbye!";

impl State {
    /// Whether a stream came after the last that is answered: what is on it is not looked at (§6.8).
    pub(super) fn is_late(&self, id: u32) -> bool {
        self.going == Going::Heard && id > self.last
    }

    /// Says that the connection ends: streams that begin before the client has heard of it are still answered.
    pub(super) fn say_goodbye(&mut self) {
        if self.going == Going::Not {
            self.going = Going::Said;
            frame::write_go_away(self.out(), frame::LAST_STREAM, Reason::NO_ERROR);
            frame::write_ping(self.out(), 0, GOODBYE);
            self.wake_carrier();
        }
    }

    /// The client has answered a PING.
    pub(super) fn hear_pong(&mut self, octets: [u8; 8]) {
        if self.going == Going::Said && octets == GOODBYE {
            self.say_last();
        }
    }

    /// Says which stream is the last that is answered, unless that was said.
    pub(super) fn say_last(&mut self) {
        if self.going == Going::Heard || self.failure.is_some() {
            return;
        }
        self.going = Going::Heard;
        let last = self.last;
        frame::write_go_away(self.out(), last, Reason::NO_ERROR);
    }
}
