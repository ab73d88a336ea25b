//! What the operator configures, and the sealer that the server provides.

use kernel::Result;

/// Seals secrets at rest.
pub trait Sealer: Send + Sync {
    /// # Errors
    /// `Internal` if the key is unusable.
    fn seal(&self, plain: &str) -> Result<String>;
    /// # Errors
    /// `Internal` if the text was not sealed with this key.
    fn open(&self, sealed: &str) -> Result<String>;
}

/// Configuration by the operator.
#[derive(Debug, Clone)]
pub struct ComputeConfig {
    /// Written on each object as [`infra::LABEL_INSTALLATION`].
    pub installation: String,
    /// Overcommit ratio of CPUs; a node gets at most the CPUs of its flavor.
    pub cpu_ratio: f64,
    /// Overcommit ratio of memory, for the sum of all limits.
    pub memory_ratio: f64,
    /// Path of the statically linked agent on this machine, which is copied
    /// into nodes of images that were not built by Jeroboam.
    pub agent: String,
}

impl ComputeConfig {
    #[must_use]
    pub fn new(installation: impl Into<String>) -> Self {
        Self {
            installation: installation.into(),
            cpu_ratio: 16.0,
            memory_ratio: 2.0,
            agent: "jeroboam-node".into(),
        }
    }
}
