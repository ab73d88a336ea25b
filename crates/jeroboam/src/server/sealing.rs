//! The sealing ports of the services, implemented by one [`pki::Sealer`].

use std::sync::Arc;

use kernel::Result;

/// One key ring with a purpose per service, so that a service cannot open
/// secrets of another.
pub struct ServiceSealers(Arc<pki::Sealer>);

impl ServiceSealers {
    pub fn new(sealer: Arc<pki::Sealer>) -> Self {
        Self(sealer)
    }

    fn seal_for(&self, purpose: &str, text: &str) -> Result<String> {
        self.0.seal(purpose, text.as_bytes())
    }

    fn open_for(&self, purpose: &str, text: &str) -> Result<String> {
        Ok(self.0.unseal_text(purpose, text)?.to_string())
    }
}

impl compute::Sealer for ServiceSealers {
    fn seal(&self, text: &str) -> Result<String> {
        self.seal_for("compute", text)
    }

    fn open(&self, text: &str) -> Result<String> {
        self.open_for("compute", text)
    }
}

impl orchestration::Sealer for ServiceSealers {
    fn seal(&self, text: &str) -> Result<String> {
        self.seal_for("orchestration", text)
    }

    fn open(&self, text: &str) -> Result<String> {
        self.open_for("orchestration", text)
    }
}
