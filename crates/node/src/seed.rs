//! The seed of the node, and its stored session.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use kernel::{Error, Result, ids};
use nodewire::Seed;
use serde::{Deserialize, Serialize};

/// Directory of all files of the agent.
pub(crate) const HOME: &str = "/var/lib/jeroboam";

/// The session of this node: survives restarts of the container, so that a
/// repeated `hello` is recognised.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Secret.
    pub session: String,
    pub boot: u32,
    /// Whether this node was ready once. Its engine then keeps running even if the
    /// server does not know the node any more.
    #[serde(default)]
    pub ready: bool,
}

/// Reads and checks the seed.
///
/// # Errors
/// Invalid `seed`, naming the file and the error.
pub(crate) fn load(path: &Path) -> Result<Seed> {
    let wrong = |why: String| Error::invalid("seed", format!("{}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let seed: Seed = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if seed.server.parse::<SocketAddr>().is_err() {
        return Err(wrong(format!(
            "server '{}' is not an address with a port, as 172.30.0.1:9512",
            seed.server
        )));
    }
    if seed.pin.len() != 64 || !seed.pin.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(wrong("pin is not a SHA-256 in hex".into()));
    }
    if !["swarm", "kubernetes"].contains(&seed.coe.as_str()) {
        return Err(wrong(format!(
            "coe '{}' is neither swarm nor kubernetes",
            seed.coe
        )));
    }
    Ok(seed)
}

/// Reads or generates the session and counts this boot. The session is stored
/// before this returns, because the first `hello` binds the token to it.
///
/// # Errors
/// Internal: the file cannot be written.
pub(crate) fn begin_session(path: &Path) -> Result<Session> {
    let old = fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str::<Session>(&text).ok());
    let session = match old {
        Some(old) => Session {
            boot: old.boot.saturating_add(1),
            ..old
        },
        None => Session {
            session: ids::secret_hex(32),
            boot: 1,
            ready: false,
        },
    };
    save_session(path, &session)?;
    Ok(session)
}

pub(crate) fn save_session(path: &Path, session: &Session) -> Result<()> {
    write_private(path, serde_json::to_string(session)?.as_bytes())
}

/// Replaces a file atomically, with mode 0600. The file is flushed to disk when
/// this returns.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| Error::internal(format!("writing {}: {e}", path.display()));
    let temporary = path.with_extension("new");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"server":"172.30.0.1:9512","pin":"PIN","token":"t","cluster":"c",
        "node":"n","role":"worker","index":1,"coe":"swarm"}"#;

    #[test]
    fn a_seed_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed.json");
        let good = GOOD.replace("PIN", &"a1".repeat(32));
        fs::write(&path, &good).unwrap();
        assert_eq!(load(&path).unwrap().node, "n");
        for (from, to, why) in [
            ("172.30.0.1:9512", "server:9512", "not an address"),
            ("a1a1", "zz", "not a SHA-256"),
            ("\"swarm\"", "\"mesos\"", "neither swarm nor"),
            ("\"token\"", "\"tok\"", "missing field"),
        ] {
            fs::write(&path, good.replacen(from, to, 1)).unwrap();
            let e = load(&path).unwrap_err();
            assert!(e.message.contains(why), "{e}");
        }
        assert!(load(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_session_survives_and_boots_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        let mut first = begin_session(&path).unwrap();
        assert_eq!((first.boot, first.session.len()), (1, 64));
        first.ready = true;
        save_session(&path, &first).unwrap();
        let second = begin_session(&path).unwrap();
        assert_eq!(second.session, first.session);
        assert_eq!((second.boot, second.ready), (2, true));
        fs::write(&path, "torn").unwrap();
        assert_ne!(begin_session(&path).unwrap().session, first.session);
    }
}
