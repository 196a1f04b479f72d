//! What HTTP/2 demands of a server and of a proxy, each with where that is written: RFC 9113 unless another is named.
//! Frames are written by hand, and what reaches the backend is read as octets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::too_many_lines, clippy::type_complexity, reason = "tables of cases")]

mod support;

#[path = "conformance_http2/bodies.rs"]
mod bodies;
#[path = "conformance_http2/case.rs"]
mod case;
#[path = "conformance_http2/connection.rs"]
mod connection;
#[path = "conformance_http2/ends.rs"]
mod ends;
#[path = "conformance_http2/fields.rs"]
mod fields;
#[path = "conformance_http2/floods.rs"]
mod floods;
#[path = "conformance_http2/flow.rs"]
mod flow;
#[path = "conformance_http2/preface.rs"]
mod preface;
#[path = "conformance_http2/responses.rs"]
mod responses;
#[path = "conformance_http2/routing.rs"]
mod routing;
#[path = "conformance_http2/sections.rs"]
mod sections;
#[path = "conformance_http2/streams.rs"]
mod streams;
#[path = "conformance_http2/websocket.rs"]
mod websocket;
