//! The session: one HTTP/2 connection per agent, kept while the agent runs, and
//! the frames that the server sends on it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bounds::{self, Bounded, FieldError, Message};
use crate::{JoinTicket, Peers, Protocols, Task, Welcome};

/// Prefix of the routes of a session.
pub const SESSION_PREFIX: &str = "/bootstrap/v2";

/// Explains why an agent and a server are incompatible, and how to fix it.
#[must_use]
pub fn no_common_protocol(agent: Protocols, server: Protocols) -> String {
    let remedy = if agent.max < server.min {
        "rebuild the node image"
    } else {
        "upgrade the server, or use a node image of its release"
    };
    format!("agent speaks protocol {agent}, this server {server}: {remedy}")
}

/// The first frame of every session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The negotiated protocol version.
    pub protocol: u32,
    /// The release of the server, for display.
    pub software: String,
    pub welcome: Welcome,
}

/// The server has cancelled this task; its result is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub task: String,
}

/// Frames of the server on the streams of a session: one JSON object
/// `{"type": …, "body": …}` per line. A newer frame replaces an earlier one of
/// the same type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "body", rename_all = "kebab-case")]
pub enum ServerFrame {
    Accepted(Box<Accepted>),
    /// Join secrets; sent once available and after changes.
    Ticket(JoinTicket),
    /// The nodes of the cluster; sent when they differ from the agent's
    /// version.
    Peers(Peers),
    /// A task. Sent again in the next session if there was no result.
    Task(Task),
    Cancel(Cancel),
}

/// A parsed line of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Frame(ServerFrame),
    /// A task whose kind or arguments are unknown to this agent, which reports
    /// that as the result.
    UnsupportedTask {
        id: String,
        why: String,
    },
    /// Another frame that is unknown to this agent, which reports it with
    /// [`Unsupported`].
    Unsupported(Unsupported),
}

/// The answer of an agent to an unknown frame (`POST unsupported`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsupported {
    /// The type of the frame; empty if the line is not a frame.
    pub frame: String,
    pub why: String,
}

impl Bounded for Unsupported {
    fn check(&self) -> Result<(), FieldError> {
        bounds::text("frame", &self.frame, bounds::NAME)?;
        bounds::text("why", &self.why, bounds::REASON)
    }
}

impl Message for Unsupported {
    const MAX_BYTES: usize = 32 * 1024;
}

impl Bounded for ServerFrame {
    fn check(&self) -> Result<(), FieldError> {
        match self {
            Self::Accepted(accepted) => {
                bounds::text("software", &accepted.software, bounds::WORD)?;
                bounds::inner("welcome", &accepted.welcome)
            }
            Self::Ticket(ticket) => ticket.check(),
            Self::Peers(peers) => peers.check(),
            Self::Task(task) => task.check(),
            Self::Cancel(cancel) => bounds::text("task", &cancel.task, bounds::ID),
        }
    }
}

impl ServerFrame {
    /// The serialised frame, with its line end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        // Every body is a struct of strings, numbers and lists, so the
        // serialisation cannot fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Received {
    /// Parses one line. Unknown frames are distinguished from known ones, so
    /// that they can be refused instead of dropped.
    #[must_use]
    pub fn read(line: &[u8]) -> Self {
        let mut frame = match serde_json::from_slice::<Value>(line) {
            Ok(frame) => frame,
            Err(e) => return unsupported("", e),
        };
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        // The line may be any JSON value.
        let body = frame.get_mut("body").map(Value::take).unwrap_or_default();
        let read = match kind.as_str() {
            "accepted" => serde_json::from_value(body).map(ServerFrame::Accepted),
            "ticket" => serde_json::from_value(body).map(ServerFrame::Ticket),
            "peers" => serde_json::from_value(body).map(ServerFrame::Peers),
            "cancel" => serde_json::from_value(body).map(ServerFrame::Cancel),
            "task" => return read_task(body),
            other => return unsupported(other, "this agent does not know frames of this type"),
        };
        match read {
            Ok(frame) => match frame.check() {
                Ok(()) => Self::Frame(frame),
                Err(e) => unsupported(&kind, e),
            },
            Err(e) => unsupported(&kind, e),
        }
    }
}

/// Both texts may quote any part of the line.
fn unsupported(frame: &str, why: impl fmt::Display) -> Received {
    Received::Unsupported(Unsupported {
        frame: bounds::display_text(frame, bounds::NAME),
        why: bounds::display_text(&why.to_string(), bounds::SENT_TEXT),
    })
}

fn read_task(body: Value) -> Received {
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let kind = body["kind"].as_str().unwrap_or_default().to_owned();
    let unknown = |why: String| {
        if id.is_empty() || bounds::text("id", &id, bounds::ID).is_err() {
            return unsupported("task", why);
        }
        let kind = bounds::display_text(&kind, bounds::NAME);
        let why = format!("this agent does not support the task '{kind}': {why}");
        Received::UnsupportedTask {
            id: id.clone(),
            why: bounds::display_text(&why, bounds::SENT_TEXT),
        }
    };
    match serde_json::from_value::<Task>(body) {
        Ok(task) if task.kind == crate::TaskKind::Unknown => {
            unknown("its kind is not known; rebuild the node image".into())
        }
        Ok(task) => match task.check() {
            Ok(()) => Received::Frame(ServerFrame::Task(task)),
            Err(e) => unknown(e.to_string()),
        },
        Err(e) => unknown(e.to_string()),
    }
}

/// Splits a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
}

/// A line that is longer than any frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTooLong;

impl Lines {
    /// Maximum length of a line, bytes: 1 KiB for each of the [`bounds::NODES`]
    /// nodes that a list of peers may contain.
    pub const LONGEST: usize = 4 * 1024 * 1024;

    /// Adds bytes and returns the complete lines.
    ///
    /// # Errors
    /// If a line exceeds [`Lines::LONGEST`].
    pub fn add(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|b| *b == b'\n');
        // The rest is the start of the next line.
        let rest = parts.next_back().unwrap_or_default();
        for part in parts {
            self.buffer.extend_from_slice(part);
            if !self.buffer.is_empty() {
                lines.push(std::mem::take(&mut self.buffer));
            }
        }
        self.buffer.extend_from_slice(rest);
        if self.buffer.is_empty() {
            // Sessions are mostly idle, so the buffer is released.
            self.buffer = Vec::new();
        }
        if self.buffer.len() > Self::LONGEST {
            return Err(LineTooLong);
        }
        Ok(lines)
    }
}

/// The body of an answer that refuses an agent because of its protocol (status
/// 426).
#[must_use]
pub fn refusal(agent: Protocols, server: Protocols) -> Value {
    json!({ "error": no_common_protocol(agent, server), "protocols": server })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AGENT_PROTOCOLS, Role, SERVER_PROTOCOLS, TaskKind};

    fn span(min: u32, max: u32) -> Protocols {
        Protocols { min, max }
    }

    #[test]
    fn the_newest_common_version_is_chosen() {
        assert_eq!(span(1, 2).common(span(1, 2)), Some(2));
        assert_eq!(span(1, 2).common(span(2, 5)), Some(2));
        assert_eq!(span(1, 1).common(span(1, 2)), Some(1));
        assert_eq!(span(1, 2).common(span(3, 4)), None);
        assert_eq!(span(5, 6).common(span(3, 4)), None);
        // Agents of the previous release and of this release.
        assert_eq!(Protocols::default().common(SERVER_PROTOCOLS), Some(1));
        assert_eq!(AGENT_PROTOCOLS.common(SERVER_PROTOCOLS), Some(2));
    }

    #[test]
    fn a_refusal_says_which_side_is_old() {
        assert_eq!(
            no_common_protocol(span(1, 2), span(3, 4)),
            "agent speaks protocol 1..2, this server 3..4: rebuild the node image"
        );
        assert_eq!(
            no_common_protocol(span(3, 3), span(1, 2)),
            "agent speaks protocol 3, this server 1..2: upgrade the server, or use a node image \
             of its release"
        );
    }

    fn welcome() -> Welcome {
        Welcome {
            role: Role::Manager,
            first_manager: true,
            swarm: None,
            kubernetes: None,
        }
    }

    #[test]
    fn frames_are_read_as_they_were_sent() {
        let frames = [
            ServerFrame::Accepted(Box::new(Accepted {
                protocol: 2,
                software: "0.1.0".into(),
                welcome: welcome(),
            })),
            ServerFrame::Ticket(JoinTicket {
                remote_addrs: vec!["10.0.0.2:2377".into()],
                token: "t".into(),
            }),
            ServerFrame::Peers(Peers {
                version: "7".into(),
                api: None,
                nodes: Vec::new(),
            }),
            ServerFrame::Task(Task {
                id: "1".into(),
                kind: TaskKind::Remove { node: "w-0".into() },
                deadline: Some(9),
            }),
            ServerFrame::Cancel(Cancel { task: "1".into() }),
        ];
        let wire: Vec<u8> = frames.iter().flat_map(ServerFrame::line).collect();
        // The frames are the same for every split of the bytes.
        for size in [1, 7, wire.len()] {
            let mut lines = Lines::default();
            let read: Vec<Received> = wire
                .chunks(size)
                .flat_map(|part| lines.add(part).unwrap())
                .map(|line| Received::read(&line))
                .collect();
            let sent: Vec<Received> = frames.iter().cloned().map(Received::Frame).collect();
            assert_eq!(read, sent);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let read = |line: &str| Received::read(line.as_bytes());
        let Received::Unsupported(frame) = read(r#"{"type":"stream","body":{"id":"9"}}"#) else {
            panic!("a frame of a newer server");
        };
        assert_eq!(frame.frame, "stream");
        let role = r#"{"type":"accepted","body":{"protocol":2,"software":"9","welcome":
            {"role":"arbiter","first_manager":false}}}"#;
        let Received::Unsupported(frame) = read(role) else {
            panic!("a role of a newer server");
        };
        assert_eq!(frame.frame, "accepted");
        assert!(frame.why.contains("arbiter"), "{}", frame.why);
        let Received::UnsupportedTask { id, why } =
            read(r#"{"type":"task","body":{"id":"3","kind":"dance","node":"x"}}"#)
        else {
            panic!("a task of a newer server");
        };
        assert_eq!(id, "3");
        assert!(why.contains("'dance'"), "{why}");
        // A known kind with unknown arguments.
        let drain = r#"{"type":"task","body":{"id":"4","kind":"drain"}}"#;
        assert!(matches!(read(drain), Received::UnsupportedTask { .. }));
        for line in ["torn", "[]", "1", "null", r#""a""#, "{}"] {
            assert!(matches!(read(line), Received::Unsupported(_)), "{line}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut lines = Lines::default();
        assert!(lines.add(&vec![b'x'; Lines::LONGEST]).is_ok());
        assert_eq!(lines.add(b"xx"), Err(LineTooLong));
    }
}
