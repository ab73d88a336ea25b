//! Files with secrets.

use std::path::Path;

use anyhow::Result;

/// Rejects a file with secrets that others can read; `option` names the setting
/// it comes from.
pub fn private(option: &str, path: &Path) -> Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    pki::check_private(&path).map_err(|e| anyhow::anyhow!("{option}: {e}"))
}
