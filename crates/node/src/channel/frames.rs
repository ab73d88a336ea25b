//! The frames of an endless response stream.

use std::collections::VecDeque;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use kernel::{Error, Result};
use nodewire::{Lines, Received};

pub(super) struct Frames {
    body: Incoming,
    lines: Lines,
    ready: VecDeque<Received>,
}

impl Frames {
    pub(super) fn of(body: Incoming) -> Self {
        Self {
            body,
            lines: Lines::default(),
            ready: VecDeque::new(),
        }
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// Unavailable: the stream or its connection has ended.
    pub(super) async fn next(&mut self) -> Result<Received> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            let part = self
                .body
                .frame()
                .await
                .ok_or_else(|| Error::unavailable("the server ended the session"))?
                .map_err(|e| Error::unavailable(format!("the session broke off: {e}")))?;
            let Some(bytes) = part.data_ref() else {
                continue;
            };
            let lines = self
                .lines
                .add(bytes)
                .map_err(|_| Error::unavailable("the server sent a line without an end"))?;
            self.ready.extend(lines.iter().map(|l| Received::read(l)));
        }
    }
}
