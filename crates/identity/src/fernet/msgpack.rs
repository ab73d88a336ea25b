//! The part of MessagePack that token payloads use. Decoding takes both
//! strings and binaries for texts, because older writers mixed them.

/// A value of a payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(u64),
    Bool(bool),
    Float(f64),
    Str(String),
    Bin(Vec<u8>),
    List(Vec<Value>),
}

/// Appends the value in the form of Python's `msgpack.packb`.
pub(super) fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(n) => write_int(out, *n),
        Value::Bool(b) => out.push(if *b { 0xc3 } else { 0xc2 }),
        Value::Float(f) => {
            out.push(0xcb);
            out.extend_from_slice(&f.to_be_bytes());
        }
        Value::Str(s) => {
            match u8::try_from(s.len()) {
                Ok(n) if n < 32 => out.push(0xa0 | n),
                Ok(n) => out.extend_from_slice(&[0xd9, n]),
                Err(_) => sized(out, 0xda, s.len()),
            }
            out.extend_from_slice(s.as_bytes());
        }
        Value::Bin(b) => {
            match u8::try_from(b.len()) {
                Ok(n) => out.extend_from_slice(&[0xc4, n]),
                Err(_) => sized(out, 0xc5, b.len()),
            }
            out.extend_from_slice(b);
        }
        Value::List(items) => {
            match u8::try_from(items.len()) {
                Ok(n) if n < 16 => out.push(0x90 | n),
                _ => sized(out, 0xdc, items.len()),
            }
            for item in items {
                write(out, item);
            }
        }
    }
}

/// Payloads are far below 64 KiB, so two bytes of length always do.
fn sized(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    out.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
}

fn write_int(out: &mut Vec<u8>, n: u64) {
    match n {
        0..=0x7f => out.push(n.to_be_bytes()[7]),
        0x80..=0xff => out.extend_from_slice(&[0xcc, n.to_be_bytes()[7]]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&n.to_be_bytes()[6..]);
        }
        _ => {
            out.push(0xcf);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

/// Reads exactly one value; `None` where the bytes are anything else.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader(bytes);
    let value = reader.value(0)?;
    reader.0.is_empty().then_some(value)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(
            self.take(bytes)?
                .iter()
                .fold(0, |n, b| (n << 8) | u64::from(*b)),
        )
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.number(bytes)?).ok()
    }

    fn text(&mut self, len: usize) -> Option<Value> {
        let bytes = self.take(len)?;
        Some(match std::str::from_utf8(bytes) {
            Ok(text) => Value::Str(text.to_owned()),
            Err(_) => Value::Bin(bytes.to_vec()),
        })
    }

    fn list(&mut self, len: usize, depth: u8) -> Option<Value> {
        // Every item takes a byte at least: no allocation by a made-up length.
        if len > self.0.len() || depth > 4 {
            return None;
        }
        let items = (0..len).map(|_| self.value(depth + 1));
        Some(Value::List(items.collect::<Option<_>>()?))
    }

    fn value(&mut self, depth: u8) -> Option<Value> {
        let tag = self.number(1)?;
        Some(match tag {
            0x00..=0x7f => Value::Int(tag),
            0x90..=0x9f => self.list(usize::try_from(tag & 0x0f).ok()?, depth)?,
            0xa0..=0xbf => self.text(usize::try_from(tag & 0x1f).ok()?)?,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4 => {
                let n = self.length(1)?;
                Value::Bin(self.take(n)?.to_vec())
            }
            0xc5 => {
                let n = self.length(2)?;
                Value::Bin(self.take(n)?.to_vec())
            }
            0xcb => Value::Float(f64::from_bits(self.number(8)?)),
            0xcc => Value::Int(self.number(1)?),
            0xcd => Value::Int(self.number(2)?),
            0xce => Value::Int(self.number(4)?),
            0xcf => Value::Int(self.number(8)?),
            0xd9 => {
                let n = self.length(1)?;
                self.text(n)?
            }
            0xda => {
                let n = self.length(2)?;
                self.text(n)?
            }
            0xdc => {
                let n = self.length(2)?;
                self.list(n, depth)?
            }
            _ => return None,
        })
    }
}
