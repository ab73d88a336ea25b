//! The port through which secrets are sealed at rest.

use kernel::Result;

/// Seals texts before they are stored, and opens them again.
pub trait Sealer: Send + Sync {
    /// # Errors
    /// `Internal` where there is no key.
    fn seal(&self, clear: &str) -> Result<String>;

    /// # Errors
    /// `Internal` where the text was sealed with another key or is damaged.
    fn open(&self, sealed: &str) -> Result<String>;
}

/// Seals nothing: for tests and for looking at rows.
pub struct PlainSealer;

impl Sealer for PlainSealer {
    fn seal(&self, clear: &str) -> Result<String> {
        Ok(clear.to_owned())
    }

    fn open(&self, sealed: &str) -> Result<String> {
        Ok(sealed.to_owned())
    }
}
