//! The port for sealing secrets at rest.

use kernel::Result;

/// Seals texts before they are stored, and unseals them.
pub trait Sealer: Send + Sync {
    /// # Errors
    /// `Internal` if there is no key.
    fn seal(&self, clear: &str) -> Result<String>;

    /// # Errors
    /// `Internal` if the text was sealed with another key or is damaged.
    fn open(&self, sealed: &str) -> Result<String>;
}

/// Does not seal: for tests and for inspecting rows.
pub struct PlainSealer;

impl Sealer for PlainSealer {
    fn seal(&self, clear: &str) -> Result<String> {
        Ok(clear.to_owned())
    }

    fn open(&self, sealed: &str) -> Result<String> {
        Ok(sealed.to_owned())
    }
}
