//! Rows on standard output: lines as they come, or tables laid out for people.
//!
//! When the reader goes away (`velo-sql run … | head`), nothing more is written and the run is asked to stop; that is
//! no error. Rows are never split between two writes of the block by an interrupted run.

use std::io::{ErrorKind, Write};

use velostream_types::{Chunk, Fatal, SinkWriter};

use super::table::Table;
use crate::stop::StopHandle;

/// Bytes gathered between two flushes.
const BLOCK: usize = 256 << 10;

/// A sink on a stream that cannot be renamed or cut back.
pub struct StdoutSink<W> {
    out: W,
    block: Vec<u8>,
    /// Lays rows out in columns; `None` writes them as they are.
    table: Option<Table>,
    /// The reader is gone.
    closed: bool,
    stop: StopHandle,
}

impl<W: Write> StdoutSink<W> {
    /// A sink of lines, after `header`.
    pub fn lines(out: W, header: Vec<u8>, stop: StopHandle) -> StdoutSink<W> {
        StdoutSink { out, block: header, table: None, closed: false, stop }
    }

    /// A sink of tables.
    pub fn table(out: W, table: Table, stop: StopHandle) -> StdoutSink<W> {
        StdoutSink { out, block: Vec::new(), table: Some(table), closed: false, stop }
    }

    fn write_block(&mut self) -> Result<(), Fatal> {
        if self.closed || self.block.is_empty() {
            self.block.clear();
            return Ok(());
        }
        let outcome = self.out.write_all(&self.block).and_then(|()| self.out.flush());
        self.block.clear();
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                self.stop.output_closed();
                Ok(())
            }
            Err(error) => Err(Fatal::new(format!("cannot write to standard output: {error}"))),
        }
    }
}

impl<W: Write> SinkWriter for StdoutSink<W> {
    fn write(&mut self, rows: &Chunk) -> Result<(), Fatal> {
        match &mut self.table {
            Some(table) => table.add(rows, &mut self.block),
            None => self.block.extend_from_slice(&rows.bytes),
        }
        if self.block.len() >= BLOCK { self.write_block() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        self.write_block()
    }

    fn finish(&mut self) -> Result<(), Fatal> {
        if let Some(table) = &mut self.table {
            table.finish(&mut self.block);
        }
        self.write_block()
    }

    fn interrupt(&mut self) -> Result<(), Fatal> {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::StopReason;

    /// Takes `room` bytes, then says its reader is gone, or that the device is full.
    struct Pipe<'a> {
        room: usize,
        got: &'a mut Vec<u8>,
        error: ErrorKind,
    }

    impl Write for Pipe<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let n = bytes.len().min(self.room);
            self.room -= n;
            self.got.extend_from_slice(&bytes[..n]);
            if n == 0 { Err(self.error.into()) } else { Ok(n) }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn chunk(row: &[u8]) -> Chunk {
        let mut chunk = Chunk { bytes: row.to_vec(), ..Chunk::default() };
        chunk.end_row();
        chunk
    }

    #[test]
    fn lines_come_at_the_flush() {
        let (mut got, stop) = (Vec::new(), StopHandle::new());
        let pipe = Pipe { room: 100, got: &mut got, error: ErrorKind::BrokenPipe };
        let mut sink = StdoutSink::lines(pipe, b"a\n".to_vec(), stop.clone());
        sink.write(&chunk(b"1\n")).unwrap();
        sink.flush().unwrap();
        sink.write(&chunk(b"2\n")).unwrap();
        sink.interrupt().unwrap();
        drop(sink);
        assert_eq!((got.as_slice(), stop.reason()), (&b"a\n1\n2\n"[..], None));
    }

    #[test]
    fn a_gone_reader_stops_the_run_quietly() {
        let (mut got, stop) = (Vec::new(), StopHandle::new());
        let pipe = Pipe { room: 2, got: &mut got, error: ErrorKind::BrokenPipe };
        let mut sink = StdoutSink::lines(pipe, Vec::new(), stop.clone());
        for _ in 0..3 {
            sink.write(&chunk(b"1\n")).unwrap();
            sink.flush().unwrap();
        }
        sink.finish().unwrap();
        assert_eq!(stop.reason(), Some(StopReason::OutputClosed));
        let pipe = Pipe { room: 0, got: &mut got, error: ErrorKind::StorageFull };
        let mut sink = StdoutSink::lines(pipe, Vec::new(), StopHandle::new());
        sink.write(&chunk(b"1\n")).unwrap();
        assert!(sink.flush().unwrap_err().message.contains("standard output"));
    }
}
