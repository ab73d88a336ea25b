//! The frames of an endless response stream.

use hyper::body::Incoming;
use kernel::{Error, Result};
use nodewire::Received;

use crate::http::Lines;

pub(super) struct Frames(Lines);

impl Frames {
    pub(super) fn of(body: Incoming) -> Self {
        Self(Lines::of(body))
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// Unavailable: the stream or its connection has ended.
    pub(super) async fn next(&mut self) -> Result<Received> {
        let line = self.0.next().await?;
        line.map(|line| Received::read(&line))
            .ok_or_else(|| Error::unavailable("the server ended the session"))
    }
}
