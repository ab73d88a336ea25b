//! Maintains the connection: connects, sends `hello`, handles pushed frames,
//! and reconnects after a failure.

use std::time::Duration;

use hyper::Method;
use kernel::{Error, Kind, Result, clock};
use nodewire::{
    AGENT_PROTOCOLS, Hello, PROTOCOL_CALLS, Protocols, Received, ServerFrame, Step, StepStatus,
    Steps, Unsupported, no_common_protocol,
};
use tokio::time::{sleep, timeout};

use super::frames::Frames;
use super::{ANSWER, Channel, State, Up, is_refusal, is_unsupported, protocol_v1};
use crate::http::{Sender, run_with_connection};
use crate::report::{log_line, plain};
use crate::retry::{Backoff, FullJitter};

/// A PING is sent after this idle time and must be answered within
/// `PING_TIMEOUT`, so that the loss of the server is detected.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Retry interval of a ready node that the server refuses: its workloads keep
/// running.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// The upper bound of the random delay before the first reconnect, and the maximum of
/// this bound before later ones. The delay is random because all agents of a server lose
/// their connections at the same time.
const RECONNECT_FIRST: Duration = Duration::from_secs(1);
const RECONNECT_MAX: Duration = Duration::from_secs(10);

impl Channel {
    /// Maintains the session after `hello`, until dropped. A node that was
    /// never `ready` gives up when it is refused.
    pub(crate) async fn run(&self, ready: bool) {
        let mut hello = self.inner.hello.subscribe();
        let Ok(Some(hello)) = hello.wait_for(Option::is_some).await.map(|h| h.clone()) else {
            return;
        };
        let mut connect_backoff = Backoff::new(50, 5_000);
        let mut reconnect_backoff = FullJitter::new(RECONNECT_FIRST, RECONNECT_MAX);
        let (mut welcomed, mut logged) = (false, String::new());
        loop {
            let ended = self.attempt(&hello, ready).await;
            let was_up = matches!(self.inner.state.send_replace(State::Down), State::Up(_));
            welcomed |= was_up;
            let now = plain(&ended);
            if was_up || now != logged {
                log_line(format_args!("session: {now}"));
                logged = now;
            }
            if is_refusal(&ended) || is_unsupported(&ended) {
                if !ready && !welcomed {
                    self.inner.state.send_replace(State::Refused(ended));
                    return std::future::pending().await;
                }
                sleep(REFUSED_PAUSE).await;
            }
            if was_up {
                reconnect_backoff = FullJitter::new(RECONNECT_FIRST, RECONNECT_MAX);
            }
            if welcomed {
                reconnect_backoff.pause().await;
            } else {
                connect_backoff.pause().await;
            }
        }
    }

    /// Runs one connection from connect to failure.
    async fn attempt(&self, hello: &Hello, ready: bool) -> Error {
        let server = &self.inner.server;
        let stream = match server.connect().await {
            Ok(stream) => stream,
            Err(e) => return e,
        };
        if !stream.is_h2() {
            let theirs = Protocols {
                min: PROTOCOL_CALLS,
                max: PROTOCOL_CALLS,
            };
            let why = no_common_protocol(AGENT_PROTOCOLS, theirs);
            if !ready {
                let report = protocol_v1::report_failure(server, stream, hello, &why);
                if let Ok(Err(e)) | Err(e) = timeout(ANSWER, report)
                    .await
                    .map_err(|_| Error::timeout("an older server did not answer in time"))
                {
                    return e;
                }
            }
            return Error::new(Kind::NotSupported { status: 426 }, why);
        }
        match server.http2(stream, PING_INTERVAL, PING_TIMEOUT).await {
            Ok((sender, connection)) => {
                run_with_connection(connection, self.session(sender, hello)).await
            }
            Err(e) => e,
        }
    }

    /// Sends `hello` and handles frames until the session ends.
    async fn session(&self, mut sender: Sender, hello: &Hello) -> Error {
        let known_version = self
            .inner
            .peers
            .borrow()
            .as_ref()
            .map(|p| p.version.clone());
        let hello = Hello {
            peers: known_version,
            ..hello.clone()
        };
        let opened = async {
            let body = serde_json::to_vec(&hello)?;
            let answer = self
                .send(&mut sender, Method::POST, "session", body)
                .await?;
            let mut frames = Frames::of(answer.into_body());
            let accepted = frames.next().await?;
            Ok((frames, accepted))
        };
        let late = |_| Error::timeout(format!("{} did not answer in time", self.inner.server.name));
        let (mut frames, accepted) = match timeout(ANSWER, opened).await.map_err(late) {
            Ok(Ok(opened)) => opened,
            Ok(Err(e)) | Err(e) => return e,
        };
        let accepted = match accepted {
            Received::Frame(ServerFrame::Accepted(accepted)) => accepted,
            Received::Unsupported(unsupported) => {
                return self
                    .report_unsupported_welcome(&mut sender, unsupported)
                    .await;
            }
            _ => return Error::unavailable("the server did not begin with a welcome"),
        };
        log_line(format_args!(
            "session with {}, release {}, protocol {}",
            self.inner.server.name, accepted.software, accepted.protocol
        ));
        self.inner.state.send_replace(State::Up(Box::new(Up {
            sender: sender.clone(),
            welcome: accepted.welcome,
        })));
        loop {
            let refused = match frames.next().await {
                Ok(received) => self.handle(received),
                Err(e) => return e,
            };
            if let Some(u) = refused {
                log_line(format_args!("frame '{}': {}", u.frame, u.why));
                if let Err(e) = self.report(&mut sender, "unsupported", &u).await {
                    log_line(format_args!("unsupported: {}", plain(&e)));
                }
            }
        }
    }

    /// Returns a frame that this agent does not support, with the reason.
    fn handle(&self, received: Received) -> Option<Unsupported> {
        match received {
            Received::Frame(ServerFrame::Ticket(ticket)) => {
                self.inner.ticket.send_replace(Some(ticket));
            }
            Received::Frame(ServerFrame::Peers(peers)) => {
                self.inner.peers.send_replace(Some(peers));
            }
            // The session was accepted before.
            Received::Frame(ServerFrame::Accepted(_)) => {}
            Received::Frame(ServerFrame::Task(_) | ServerFrame::Cancel(_))
            | Received::UnsupportedTask { .. } => {
                return Some(Unsupported {
                    frame: "task".into(),
                    why: "this agent takes tasks on the stream of tasks only".into(),
                });
            }
            Received::Unsupported(unsupported) => return Some(unsupported),
        }
        None
    }

    /// Reports that the welcome contains something that this release does not
    /// support, so that this node cannot take its role; returns the error that
    /// ends the attempts.
    async fn report_unsupported_welcome(
        &self,
        sender: &mut Sender,
        unsupported: Unsupported,
    ) -> Error {
        let why = format!(
            "this agent does not understand what the server wants it to be ({}): rebuild the node image",
            unsupported.why
        );
        let steps = Steps {
            steps: vec![Step {
                name: "hello".into(),
                status: StepStatus::Failed,
                at_micros: clock::now().as_micros(),
                log: why.clone(),
            }],
        };
        match self.report(sender, "steps", &steps).await {
            Ok(()) => Error::new(Kind::NotSupported { status: 426 }, why),
            // The server did not receive the report, so it is sent again after
            // the next connection.
            Err(e) => e,
        }
    }

    async fn report(
        &self,
        sender: &mut Sender,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<()> {
        let body = serde_json::to_vec(body)?;
        timeout(ANSWER, self.send(sender, Method::POST, path, body))
            .await
            .map_err(|_| Error::timeout("the server did not answer in time"))?
            .map(|_| ())
    }
}
