//! A configuration file of a component, and writing it.

use std::path::Path;

use kernel::{Error, Result};

/// A file and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub path: String,
    pub content: String,
}

/// Files that are rewritten at every boot need no flush to disk.
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
