//! One connection: reads a frame, carries out its request, writes the answer, until either side closes. Garbage closes
//! the connection with a line in the log; nothing a client sends can do more.

use std::io::{BufReader, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::apis::Api;
use super::frame::{self, FrameError};
use super::{Shared, dispatch, shape};
use crate::fault::Met;

/// Small requests are read in one system call, length included; long bodies pass the buffer by.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// A request, the connection it came on, and what the handlers need of both.
pub(crate) struct Call<'a> {
    pub shared: &'a Shared,
    /// Node id of the listener.
    pub node: i32,
    pub api: &'static Api,
    pub version: i16,
    pub correlation: i32,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub met: Met,
    stream: &'a TcpStream,
}

impl Call<'_> {
    /// FALSE once the client has gone, for those who wait long.
    pub(crate) fn client_is_there(&self) -> bool {
        let mut byte = [0u8; 1];
        if self.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let gone = match self.stream.peek(&mut byte) {
            Ok(n) => n == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        self.stream.set_nonblocking(false).is_ok() && !gone
    }
}

/// What a request leads to.
pub(crate) enum Reply {
    /// One frame, in parts, its length included.
    Frame(Vec<Bytes>),
    /// No answer (acks=0).
    Nothing,
    /// The connection closes: why.
    Close(String),
}

/// Why a connection ends.
enum End {
    /// The other side closed, or the broker stops.
    Closed,
    /// The client sent what cannot be answered; the text goes to the log.
    Refused(String),
}

/// Serves a connection to its end.
pub(crate) fn serve(shared: &Shared, node: i32, stream: &TcpStream) {
    let client_host = stream.peer_addr().map_or_else(|_| "unknown".to_owned(), |peer| peer.ip().to_string());
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
    let end = loop {
        if let Err(end) = serve_one(shared, node, stream, &client_host, &mut reader) {
            break end;
        }
    };
    if let End::Refused(why) = end {
        shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        shared.log(&format!("node {node} closed the connection of {client_host}: {why}"));
    }
    drop(stream.shutdown(Shutdown::Both));
}

fn serve_one(
    shared: &Shared,
    node: i32,
    stream: &TcpStream,
    client_host: &str,
    reader: &mut impl Read,
) -> Result<(), End> {
    let frame = frame::read(reader).map_err(|error| match error {
        FrameError::Closed => End::Closed,
        FrameError::Length(n) => End::Refused(format!("a frame of {n} bytes; at most {}", frame::FRAME_BYTES_MAX)),
        FrameError::Io(error) => End::Refused(format!("reading failed: {error}")),
    })?;
    if shared.stopping() {
        return Err(End::Closed);
    }
    shared.counters.requests.fetch_add(1, Ordering::Relaxed);
    let (header, body) = parse_header(&frame).map_err(End::Refused)?;
    let name = header.api.name();
    let met = if shared.faults.armed() { shared.faults.meet(node, name) } else { Met::default() };
    if met.delay_ms > 0 {
        shared.alarm.rest(Duration::from_millis(met.delay_ms.into()));
    }
    if met.drop_before {
        shared.log(&format!("node {node} drops a connection before {name}, as asked"));
        return Err(End::Closed);
    }
    let call = Call {
        shared,
        node,
        api: header.api,
        version: header.version,
        correlation: header.correlation,
        client_id: &header.client_id,
        client_host,
        met,
        stream,
    };
    let parts = match dispatch::dispatch(&call, body) {
        Reply::Frame(parts) => parts,
        Reply::Nothing => Vec::new(),
        Reply::Close(why) => return Err(End::Refused(format!("{name} version {}: {why}", header.version))),
    };
    if met.drop_after {
        shared.log(&format!("node {node} drops a connection after {name}, as asked"));
        return Err(End::Closed);
    }
    frame::write(stream, &parts, met.short_read_bytes as usize).map_err(|_| End::Closed)?;
    if met.throttle_ms > 0 && dispatch::is_throttled(header.api.key) {
        shared.alarm.rest(Duration::from_millis(met.throttle_ms.into()));
    }
    Ok(())
}

/// A request header, version 1 or 2; both begin alike.
struct Header {
    api: &'static Api,
    version: i16,
    correlation: i32,
    client_id: String,
}

fn parse_header(frame: &Bytes) -> Result<(Header, Bytes), String> {
    let short = || format!("a request of {} bytes ends inside its header", frame.len());
    let (fixed, rest) = frame.split_first_chunk::<8>().ok_or_else(short)?;
    let [k0, k1, v0, v1, c0, c1, c2, c3] = *fixed;
    let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
    let api = Api::of(key).ok_or_else(|| format!("request kind {key} is not known"))?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let length = usize::try_from(i16::from_be_bytes(*length)).unwrap_or(0);
    let (client_id, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    let mut body_at = frame.len() - rest.len();
    if version >= api.flexible {
        // A version newer than ours still has this header; only ApiVersions may be answered then.
        body_at += shape::tags_len(rest).map_err(|_| short())?;
    }
    let header = Header {
        api,
        version,
        correlation: i32::from_be_bytes([c0, c1, c2, c3]),
        client_id: String::from_utf8_lossy(client_id).into_owned(),
    };
    Ok((header, frame.slice(body_at..)))
}
