//! Walks a request body along its shape before it is decoded, so that no length or count a client claims is ever
//! believed: the generated decoders reserve memory for a claimed array length, which this walk proves to be present.
//!
//! A shape is a text: `h` 2 bytes, `b` 1, `i` 4, `l` 8, `u` 16; `s` text, `y` bytes (both may be null); `[x]` array of
//! one thing; `{...}` a structure inside an array. Flexible versions write compact lengths, and tagged fields behind
//! each structure. Cost: one pass over the request's own fields; record bytes are skipped, not read.

/// A shape does not nest deeper than the deepest table of `apis`; a bound keeps the recursion provably small.
const DEPTH_MAX: usize = 8;
/// Zero bytes overlooked behind the last field.
const SLACK_MAX: usize = 3;

/// Why a body does not have its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShapeError {
    /// It ends inside a field.
    Short,
    /// A length or count is negative or runs past the end.
    Length,
    /// Bytes are left behind the last field.
    Rest(usize),
}

impl std::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ShapeError::Short => f.write_str("it ends inside a field"),
            ShapeError::Length => f.write_str("a length runs past its end"),
            ShapeError::Rest(bytes) => write!(f, "{bytes} bytes are left behind its last field"),
        }
    }
}

/// TRUE result when `body` is exactly one `shape`.
pub(crate) fn check(body: &[u8], shape: &str, flexible: bool) -> Result<(), ShapeError> {
    let mut walk = Walk { rest: body, flexible };
    walk.fields(shape.as_bytes(), 0)?;
    walk.tags()?;
    // librdkafka 2.12 leaves three zero bytes behind a Metadata request for all topics; brokers overlook them.
    if walk.rest.len() <= SLACK_MAX && walk.rest.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(ShapeError::Rest(walk.rest.len()))
    }
}

/// Length of a request header's tagged fields, for version 2 headers.
pub(crate) fn tags_len(bytes: &[u8]) -> Result<usize, ShapeError> {
    let mut walk = Walk { rest: bytes, flexible: true };
    walk.tags()?;
    Ok(bytes.len() - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Walk<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], ShapeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(ShapeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<usize, ShapeError> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if value <= u32::MAX as usize { Ok(value) } else { Err(ShapeError::Length) };
            }
        }
        Err(ShapeError::Length)
    }

    /// A length or a count; null counts as nothing.
    fn length(&mut self, wide: bool) -> Result<usize, ShapeError> {
        if self.flexible {
            return Ok(self.varint()?.saturating_sub(1));
        }
        let claimed = if wide {
            i32::from_be_bytes(self.take(4)?.try_into().map_err(|_| ShapeError::Short)?)
        } else {
            i32::from(i16::from_be_bytes(self.take(2)?.try_into().map_err(|_| ShapeError::Short)?))
        };
        if claimed < -1 { Err(ShapeError::Length) } else { Ok(claimed.max(0) as usize) }
    }

    fn tags(&mut self) -> Result<(), ShapeError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.take(size)?;
        }
        Ok(())
    }

    fn fields(&mut self, shape: &[u8], depth: usize) -> Result<(), ShapeError> {
        let mut at = 0;
        while at < shape.len() {
            match shape[at] {
                b'b' => drop(self.take(1)?),
                b'h' => drop(self.take(2)?),
                b'i' => drop(self.take(4)?),
                b'l' => drop(self.take(8)?),
                b'u' => drop(self.take(16)?),
                kind @ (b's' | b'y') => {
                    let length = self.length(kind == b'y')?;
                    self.take(length).map_err(|_| ShapeError::Length)?;
                }
                open => {
                    let end = closing(shape, at);
                    self.nested(&shape[at + 1..end], open == b'[', depth + 1)?;
                    at = end;
                }
            }
            at += 1;
        }
        Ok(())
    }

    fn nested(&mut self, inner: &[u8], array: bool, depth: usize) -> Result<(), ShapeError> {
        debug_assert!(depth <= DEPTH_MAX, "shapes are constants and not deep");
        if !array {
            self.fields(inner, depth)?;
            return self.tags();
        }
        let count = self.length(true)?;
        // Everything in an array takes at least a byte: a count above the rest is a lie, and is found here.
        if count > self.rest.len() {
            return Err(ShapeError::Length);
        }
        for _ in 0..count {
            self.fields(inner, depth)?;
        }
        Ok(())
    }
}

/// Where the bracket at `open` closes. Shapes are constants of `apis`, whose test walks them all.
fn closing(shape: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in shape.iter().enumerate().skip(open) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    shape.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_not_believed() {
        let check_one = |bytes: &[u8], shape: &str, flexible, want| assert_eq!(check(bytes, shape, flexible), want);
        check_one(&[0, 1, b'a', 0, 0, 0, 7], "si", false, Ok(()));
        check_one(&[0xff, 0xff], "s", false, Ok(()));
        check_one(&[0, 0, 0, 0, 0, 0, 0], "[{us}]bb", true, Ok(()));
        check_one(&[0, 0, 0, 0, 1, 0, 0], "[{us}]bb", true, Err(ShapeError::Rest(3)));
        check_one(&[0xff, 0xfe], "s", false, Err(ShapeError::Length));
        check_one(&[0, 9, b'a'], "s", false, Err(ShapeError::Length));
        check_one(&[0x7f, 0xff, 0xff, 0xff], "[{si}]", false, Err(ShapeError::Length));
        check_one(&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0], "[i]", false, Err(ShapeError::Short));
        check_one(&[0, 1], "b", false, Err(ShapeError::Rest(1)));
        check_one(&[2, b'a', 0], "s", true, Ok(()));
        check_one(&[2, 2, b'a', 0, 0], "[{s}]", true, Ok(()));
        check_one(&[0xff, 0xff, 0xff, 0xff, 0x7f], "s", true, Err(ShapeError::Length));
        check_one(&[1, 1, 3, 5, 0], "s", true, Err(ShapeError::Short));
    }
}
