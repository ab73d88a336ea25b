//! The rotation of keys.

use kernel::{Error, Result, clock};
use pki::KeyDirLock;

use super::{Keyring, failed};
use crate::token::fernet::Key;
use crate::token::time::LIFETIME;

/// Number of keys; tokens of older keys cannot be decrypted any more.
const MAX_ACTIVE: usize = 3;
/// A rotation writes the next staged key to this file first.
pub(super) const DRAFT: &str = "0.tmp";

impl Keyring {
    /// Makes the staged key primary, stages a new one, and deletes the oldest
    /// keys beyond the limit. After a rotation that was interrupted it only does
    /// what that one has not done.
    ///
    /// # Errors
    /// `Precondition` without `force` if tokens of a key to be deleted may be
    /// valid; `Conflict` if another rotation runs; `Internal` if the directory
    /// cannot be written.
    pub fn rotate(&self, force: bool) -> Result<()> {
        let lock = KeyDirLock::acquire(&self.dir)?;
        let files = self.list()?;
        let staged = files.contains_key(&0);
        // Each key keeps its number, so the promoted one gets the next.
        let next = files.keys().next_back().copied().unwrap_or(0) + u32::from(staged);
        let mut active: Vec<u32> = files.into_keys().filter(|n| *n != 0).collect();
        if staged {
            active.push(next);
        }
        // The staged key counts, too.
        let surplus = (active.len() + 1).saturating_sub(MAX_ACTIVE);
        if !force {
            self.check_expired(&active, surplus, staged.then_some(next))?;
        }
        let path = |name: &str| self.dir.join(name);
        let io = |e: std::io::Error| failed(&self.dir, e);
        let draft = path(DRAFT);
        lock.draft(&draft, Key::generate()?.text().as_bytes())
            .map_err(io)?;
        if staged {
            std::fs::rename(path("0"), path(&next.to_string())).map_err(io)?;
        }
        std::fs::rename(&draft, path("0")).map_err(io)?;
        lock.sync().map_err(io)?;
        for number in active.iter().take(surplus) {
            std::fs::remove_file(path(&number.to_string())).map_err(io)?;
        }
        lock.sync().map_err(io)?;
        self.load()
    }

    /// A key has issued tokens until the next one became primary.
    fn check_expired(&self, active: &[u32], surplus: usize, promoted: Option<u32>) -> Result<()> {
        for (number, successor) in active.iter().zip(active.iter().skip(1)).take(surplus) {
            let until = if promoted == Some(*successor) {
                clock::now()
            } else {
                self.named_at(*successor)?
            };
            let end = until + LIFETIME;
            if end > clock::now() {
                return Err(Error::new(
                    kernel::Kind::Precondition,
                    format!(
                        "Tokens of key {number}, which this rotation would delete, are valid until {}; \
                         repeat the command then, or give --force to invalidate them.",
                        end.iso_z()
                    ),
                ));
            }
        }
        Ok(())
    }
}
