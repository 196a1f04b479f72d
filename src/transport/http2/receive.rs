//! What comes from a client, frame by frame (RFC 9113 §6).

use bytes::BytesMut;
use h2::Reason;

use super::fault::Fault;
use super::frame::{HEAD, Head, Kind, LONGEST, flag, setting};
use super::section;
use super::state::{Awaited, Partial, State};
use super::window::{self, Window};
use super::{PREFACE, frame};

/// What a client may not do to a window.
const TOO_LARGE: Fault = Fault::Connection(Reason::FLOW_CONTROL_ERROR, "a window is too large");
/// Frames that a field section may be cut into, beside one for each KiB that it may have.
const CUTS: usize = 16;

impl State {
    /// How long the next thing is that octets begin with, as far as they tell.
    pub(super) fn length_of_next(&self, octets: &[u8]) -> usize {
        match (self.awaited, octets.first_chunk()) {
            (Awaited::Preface, _) => PREFACE.len(),
            (_, Some(head)) => HEAD + Head::parse(head).length,
            (_, None) => HEAD,
        }
    }

    /// Takes what of octets is whole; returns how many those were.
    pub(super) fn take(&mut self, octets: &[u8]) -> usize {
        let mut taken = 0;
        while self.failure.is_none() {
            let rest = octets.get(taken..).unwrap_or_default();
            let is_too_long = self.awaited != Awaited::Preface
                && rest.first_chunk().is_some_and(|head| Head::parse(head).length > LONGEST);
            if is_too_long {
                self.punish(Fault::size("a frame is longer than was agreed"));
                break;
            }
            let Some(next) = rest.get(..self.length_of_next(rest)) else { return taken };
            taken += next.len();
            if let Err(fault) = self.take_next(next) {
                self.punish(fault);
            }
        }
        octets.len()
    }

    fn take_next(&mut self, octets: &[u8]) -> Result<(), Fault> {
        if self.awaited == Awaited::Preface {
            if octets != PREFACE {
                return Err(Fault::protocol("it does not begin as HTTP/2 does"));
            }
            self.awaited = Awaited::Settings;
            return Ok(());
        }
        let Some((head, payload)) = octets.split_first_chunk() else { return Ok(()) };
        let head = Head::parse(head);
        if self.awaited == Awaited::Settings {
            if head.kind != Kind::Settings || head.has(flag::ACK) {
                return Err(Fault::protocol("its first frame is not SETTINGS"));
            }
            self.awaited = Awaited::Frames;
        }
        self.take_frame(head, payload)
    }

    fn take_frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let goes_on = head.kind == Kind::Continuation;
        match &self.partial {
            Some(partial) if !goes_on || partial.stream != head.stream => {
                return Err(Fault::protocol("a field section is interrupted"));
            }
            None if goes_on => return Err(Fault::protocol("CONTINUATION of nothing")),
            _ => {}
        }
        match head.kind {
            Kind::Data => self.take_data(head, payload),
            Kind::Headers => self.take_headers(head, payload),
            Kind::Continuation => self.take_continuation(head, payload),
            Kind::Priority => priority(head, payload),
            Kind::ResetStream => self.take_reset(head, payload),
            Kind::Settings => self.take_settings(head, payload),
            Kind::PushPromise => Err(Fault::protocol("a client pushes nothing")),
            Kind::Ping => self.take_ping(head, payload),
            Kind::GoAway => self.take_go_away(head, payload),
            Kind::WindowUpdate => self.take_window_update(head, payload),
            Kind::Unknown => Ok(()),
        }
    }

    fn take_data(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        self.check_begun(head)?;
        // Padding counts (§6.9.1).
        let length = payload.len() as u32;
        if !self.receive(length) {
            return Err(Fault::Connection(Reason::FLOW_CONTROL_ERROR, "more octets than there is room for"));
        }
        let octets = unpad(head, payload)?;
        let Some(key) = self.find(head.stream) else {
            self.release(length);
            return if self.remembers(head.stream) || self.is_late(head.stream) {
                Ok(())
            } else {
                Err(Fault::Stream(head.stream, Reason::STREAM_CLOSED, "DATA on a stream that has ended"))
            };
        };
        self.take_octets(key, (length, octets), head.has(flag::END_STREAM)).map_err(|(reason, what)| {
            self.release(length);
            Fault::Stream(head.stream, reason, what)
        })
    }

    fn take_octets(
        &mut self,
        key: usize,
        (length, octets): (u32, &[u8]),
        ends: bool,
    ) -> Result<(), (Reason, &'static str)> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if stream.has_ended {
            return Err((Reason::STREAM_CLOSED, "DATA behind the end of a request"));
        }
        if !stream.receive_window.take(length) {
            return Err((Reason::FLOW_CONTROL_ERROR, "more octets than there is room for"));
        }
        if let Some(left) = &mut stream.left {
            const WRONG: (Reason, &str) = (Reason::PROTOCOL_ERROR, "a body is not as long as was said");
            *left = left.checked_sub(octets.len() as u64).ok_or(WRONG)?;
            if ends && *left > 0 {
                return Err(WRONG);
            }
        }
        stream.has_ended |= ends;
        let kept = if stream.is_unwanted { 0 } else { octets.len() as u32 };
        if kept > 0 {
            stream.input.extend_from_slice(octets);
        }
        if kept > 0 || ends {
            stream.wake_reader();
        }
        if length > kept {
            self.release_on(key, length - kept);
        }
        if ends {
            self.settle(key);
        }
        Ok(())
    }

    fn take_headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream.is_multiple_of(2) {
            return Err(Fault::protocol("HEADERS on a stream that a client cannot begin"));
        }
        let mut block = unpad(head, payload)?;
        let mut fault = None;
        if head.has(flag::PRIORITY) {
            let priority = block.split_off(..5).ok_or(Fault::size("HEADERS without their priority"))?;
            if depends_on(priority) == Some(head.stream) {
                let what = "a stream depends on itself";
                fault = Some(Fault::Stream(head.stream, Reason::PROTOCOL_ERROR, what));
            }
        }
        let ends_stream = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.take_section(head.stream, block, ends_stream, fault);
        }
        let block = BytesMut::from(block);
        self.partial = Some(Partial { stream: head.stream, block, frames: 0, ends_stream, fault });
        Ok(())
    }

    fn take_continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let Some(mut partial) = self.partial.take() else { return Ok(()) };
        partial.block.extend_from_slice(payload);
        partial.frames += 1;
        // What can be decompressed within the limits is smaller (CVE-2024-27316).
        let most = self.agreed.limits.octets;
        if partial.block.len() > most.saturating_mul(2) + LONGEST || partial.frames > CUTS + most / 1024 {
            return Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM, "a field section that does not end"));
        }
        if !head.has(flag::END_HEADERS) {
            self.partial = Some(partial);
            return Ok(());
        }
        let Partial { stream, block, ends_stream, fault, .. } = partial;
        self.take_section(stream, &block, ends_stream, fault)
    }

    /// A whole field section. It is decompressed whatever becomes of it, for the table that all sections share.
    fn take_section(
        &mut self,
        stream: u32,
        block: &[u8],
        ends_stream: bool,
        fault: Option<Fault>,
    ) -> Result<(), Fault> {
        if stream <= self.last {
            return self.take_trailers(stream, block, ends_stream);
        }
        let request = section::request(&mut self.decoder, block, &self.agreed.limits, stream);
        if let Err(fault @ Fault::Connection(..)) = request {
            return Err(fault);
        }
        if self.is_late(stream) {
            return Ok(());
        }
        self.last = stream;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let request = request?;
        let length = request.as_ref().ok().and_then(|head| head.length);
        if ends_stream && length.is_some_and(|length| length > 0) {
            let what = "there is no body where one was said";
            return Err(Fault::Stream(stream, Reason::PROTOCOL_ERROR, what));
        }
        if self.open_count() >= self.agreed.streams as usize {
            return Err(Fault::Stream(stream, Reason::REFUSED_STREAM, "more streams than were agreed"));
        }
        self.begin(stream, ends_stream, request)
    }

    fn take_trailers(&mut self, id: u32, block: &[u8], ends_stream: bool) -> Result<(), Fault> {
        let trailers = section::trailers(&mut self.decoder, block, &self.agreed.limits, id);
        if let Err(fault @ Fault::Connection(..)) = trailers {
            return Err(fault);
        }
        let Some(key) = self.find(id) else {
            return if self.remembers(id) {
                Ok(())
            } else {
                Err(Fault::Connection(Reason::STREAM_CLOSED, "HEADERS on a stream that has ended"))
            };
        };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if stream.has_ended {
            return Err(Fault::Stream(id, Reason::STREAM_CLOSED, "HEADERS behind the end of a request"));
        }
        let malformed = |what| Fault::Stream(id, Reason::PROTOCOL_ERROR, what);
        if !ends_stream {
            return Err(malformed("trailer fields that are not the last"));
        }
        if stream.left.is_some_and(|left| left > 0) {
            return Err(malformed("a body is not as long as was said"));
        }
        let trailers = trailers?;
        if !trailers.is_empty() {
            stream.trailers = Some(Box::new(trailers));
        }
        stream.has_ended = true;
        stream.wake_reader();
        self.settle(key);
        Ok(())
    }

    fn take_reset(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let reason = payload.as_array().ok_or(Fault::size("RST_STREAM is not as long as it is"))?;
        self.check_begun(head)?;
        if let Some(key) = self.find(head.stream) {
            self.given_up(key, u32::from_be_bytes(*reason).into());
        }
        Ok(())
    }

    fn take_settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("SETTINGS of a stream"));
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() || head.has(flag::ACK) && !settings.is_empty() {
            return Err(Fault::size("SETTINGS are not as long as they are"));
        }
        if head.has(flag::ACK) {
            return Ok(());
        }
        let mut first_window = self.first_window;
        for &[a, b, value @ ..] in settings {
            match (u16::from_be_bytes([a, b]), u32::from_be_bytes(value)) {
                (setting::INITIAL_WINDOW_SIZE, value) if value > window::LARGEST => return Err(TOO_LARGE),
                (setting::INITIAL_WINDOW_SIZE, value) => first_window = value,
                (name, value) => self.set(name, value)?,
            }
        }
        // Of several the last counts, and each costs a look at all streams.
        if !self.change_windows(first_window) {
            return Err(TOO_LARGE);
        }
        frame::write_settings_ack(self.out());
        Ok(())
    }

    fn set(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        const WRONG: Fault = Fault::protocol("a setting has a value that it cannot have");
        match name {
            setting::HEADER_TABLE_SIZE => self.encoder.resize(value),
            setting::ENABLE_PUSH | setting::ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(WRONG),
            setting::MAX_FRAME_SIZE if !(LONGEST..1 << 24).contains(&(value as usize)) => return Err(WRONG),
            _ => {}
        }
        Ok(())
    }

    fn take_ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("PING of a stream"));
        }
        let octets = *payload.as_array().ok_or(Fault::size("PING is not as long as it is"))?;
        if head.has(flag::ACK) {
            self.hear_pong(octets);
        } else {
            frame::write_ping(self.out(), flag::ACK, octets);
        }
        Ok(())
    }

    fn take_go_away(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(Fault::protocol("GOAWAY of a stream"));
        }
        if payload.len() < 8 {
            return Err(Fault::size("GOAWAY is shorter than it is"));
        }
        self.client_goes = true;
        Ok(())
    }

    fn take_window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let octets = payload.as_array().ok_or(Fault::size("WINDOW_UPDATE is not as long as it is"))?;
        let octets = u32::from_be_bytes(*octets) & window::LARGEST;
        if head.stream == 0 {
            let grown = grow(&mut self.send_window, octets);
            return grown.map_err(|(reason, what)| Fault::Connection(reason, what));
        }
        self.check_begun(head)?;
        let Some(key) = self.find(head.stream) else { return Ok(()) };
        if let Some(stream) = self.streams.get_mut(key) {
            let grown = grow(&mut stream.send_window, octets);
            grown.map_err(|(reason, what)| Fault::Stream(head.stream, reason, what))?;
        }
        self.enqueue(key);
        Ok(())
    }

    /// Whether a frame is on a stream that there is or was (§5.1), or that is not looked at any more.
    fn check_begun(&self, head: Head) -> Result<(), Fault> {
        let is_begun = head.stream <= self.last || self.is_late(head.stream);
        if head.stream.is_multiple_of(2) || !is_begun {
            return Err(Fault::protocol("a frame on a stream that nobody has begun"));
        }
        Ok(())
    }
}

/// Grants more (§6.9).
fn grow(window: &mut Window, octets: u32) -> Result<(), (Reason, &'static str)> {
    match octets {
        0 => Err((Reason::PROTOCOL_ERROR, "a window that grows by nothing")),
        _ if !window.grow(octets) => Err((Reason::FLOW_CONTROL_ERROR, "a window is too large")),
        _ => Ok(()),
    }
}

/// Priorities are ignored (§5.3.2).
fn priority(head: Head, payload: &[u8]) -> Result<(), Fault> {
    if head.stream == 0 {
        return Err(Fault::protocol("PRIORITY of the connection"));
    }
    if payload.len() != 5 {
        return Err(Fault::size("PRIORITY is not as long as it is"));
    }
    Ok(())
}

/// The stream that another depends on, as a priority says.
fn depends_on(priority: &[u8]) -> Option<u32> {
    priority.first_chunk().map(|stream| u32::from_be_bytes(*stream) & frame::LAST_STREAM)
}

/// What is in a frame beside its padding (§6.1).
fn unpad(head: Head, payload: &[u8]) -> Result<&[u8], Fault> {
    const WRONG: Fault = Fault::protocol("padding is longer than its frame");
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(Fault::size("there is no length of the padding"))?;
    let length = rest.len().checked_sub(usize::from(*padding)).ok_or(WRONG)?;
    rest.get(..length).ok_or(WRONG)
}
