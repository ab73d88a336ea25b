//! Fuzz targets of the protocol between agents and servers. `./x fuzz` runs
//! them, and the tests replay their corpora.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    CsrRequest, Hello, Lines, Observed, Published, Ready, Received, Seed, Steps, TaskResult,
    Unsupported,
};

/// The stream of a session as the agent reads it; the first byte is the length
/// of the pieces in which it arrives.
pub fn session(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let mut lines = Lines::default();
    let mut found = Vec::new();
    for piece in stream.chunks(usize::from(*size).max(1)) {
        let Ok(some) = lines.add(piece) else {
            return;
        };
        found.extend(some);
    }
    let mut whole: Vec<&[u8]> = stream.split(|b| *b == b'\n').collect();
    // A line without an end is not complete.
    whole.pop();
    whole.retain(|line| !line.is_empty());
    assert_eq!(found, whole, "pieces of {size} bytes");
    for line in &found {
        let received = Received::read(line);
        if let Received::Frame(frame) = &received {
            let written = frame.line();
            let (end, line) = written.split_last().unwrap_or((&0, &[]));
            assert_eq!(*end, b'\n');
            assert!(!line.contains(&b'\n'), "a frame is one line");
            assert_eq!(Received::read(line), received);
        }
    }
}

/// The bodies of agents, as the server reads them, and the file of the seed.
pub fn agent_messages(data: &[u8]) {
    round_trip::<Steps>(data);
    round_trip::<CsrRequest>(data);
    round_trip::<Published>(data);
    round_trip::<Ready>(data);
    round_trip::<TaskResult>(data);
    round_trip::<Observed>(data);
    round_trip::<Unsupported>(data);
    round_trip::<Seed>(data);
    if let Ok(hello) = serde_json::from_slice::<Hello>(data) {
        let _ = hello.protocols.common(crate::SERVER_PROTOCOLS);
        let _ = crate::refusal(hello.protocols, crate::SERVER_PROTOCOLS);
        let shown = format!("{hello:?}");
        // A secret this long is no part of another field by chance.
        if hello.token.len() > 16 && !is_shown(&hello) {
            assert!(!shown.contains(&hello.token), "a token is not printed");
        }
    }
}

/// Whether a field that is printed has the text of the token.
fn is_shown(hello: &Hello) -> bool {
    let mut shown = hello.addresses.iter().chain([&hello.cluster, &hello.node]);
    shown.any(|field| field.contains(&hello.token))
}

fn round_trip<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<T>(data) {
        let again = serde_json::to_vec(&message).and_then(|b| serde_json::from_slice::<T>(&b));
        assert_eq!(again.ok(), Some(message));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpora_pass() {
        testkit::replay("session", super::session);
        testkit::replay("agent_messages", super::agent_messages);
    }
}
