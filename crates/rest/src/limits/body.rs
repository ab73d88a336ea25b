//! Bodies of requests with timeouts, and bodies of answers that end an
//! exchange.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::{BoxError, Error};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::BODY_PROGRESS;
use super::connection::Exchange;

/// The body of a request. Its timeouts begin when the handler begins to read it, so
/// that a handler may do something else first.
pub(super) struct RequestBody {
    inner: Incoming,
    exchange: Arc<Exchange>,
    timer: Option<Timer>,
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    end: Instant,
    /// Bytes since the timeout was last reset.
    bytes: u64,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, exchange: Arc<Exchange>) -> Self {
        Self {
            inner,
            exchange,
            timer: None,
        }
    }

    fn timer(&mut self) -> &mut Timer {
        let timeouts = self.exchange.timeouts();
        self.timer.get_or_insert_with(|| {
            let now = Instant::now();
            let end = now + timeouts.body;
            let first = end.min(now + timeouts.body_stall);
            Timer {
                sleep: Box::pin(tokio::time::sleep_until(first)),
                end,
                bytes: 0,
            }
        })
    }

    /// Notes that bytes were received.
    fn advance(&mut self, bytes: usize) {
        let stall = self.exchange.timeouts().body_stall;
        let timer = self.timer();
        timer.bytes += bytes as u64;
        if timer.bytes >= BODY_PROGRESS {
            timer.bytes = 0;
            let next = timer.end.min(Instant::now() + stall);
            timer.sleep.as_mut().reset(next);
        }
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if this.inner.is_end_stream() {
                    this.exchange.received();
                } else {
                    this.advance(bytes);
                }
            }
            Poll::Ready(None) => this.exchange.received(),
            Poll::Ready(Some(Err(_))) => {}
            Poll::Pending => {
                if this.timer().sleep.as_mut().poll(cx).is_ready() {
                    this.exchange.time_out();
                    let late = io::Error::from(io::ErrorKind::TimedOut);
                    return Poll::Ready(Some(Err(late.into())));
                }
            }
        }
        polled.map(|frame| frame.map(|read| read.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer; the exchange ends when this body is dropped. hyper drops a
/// body that reports its end as soon as it has taken the last frame, long before a
/// slow client has received that frame. Therefore this body reports its end only when
/// hyper requests another frame, which it does when little is left to be sent.
pub(super) struct AnswerBody {
    inner: Body,
    has_begun: bool,
    _exchange: Arc<Exchange>,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, exchange: Arc<Exchange>) -> Self {
        Self {
            inner,
            has_begun: false,
            _exchange: exchange,
        }
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.has_begun = true;
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        !self.has_begun && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
