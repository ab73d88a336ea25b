//! Configuration files of components.

use std::path::Path;

use kernel::{Error, Result};

/// A file and its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub path: String,
    pub content: String,
}

/// Writes files without flushing them to disk, because they are written at every
/// boot.
pub(super) fn write_all(files: &[File]) -> Result<()> {
    for file in files {
        let path = Path::new(&file.path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(path, &file.content))
            .map_err(|e| Error::internal(format!("writing {}: {e}", file.path)))?;
    }
    Ok(())
}
