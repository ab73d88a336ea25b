//! Images contained in the node image, because there is no registry to pull
//! from.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;
use kernel::{Error, Result};

use crate::engine::Engine;

/// Directory of `docker save` archives, written by the recipe of the image.
pub(crate) const ARCHIVES: &str = "/var/lib/jeroboam/images";
/// Directory that records which archives were loaded. It is on the volume of the
/// engine, because an engine with a new volume has no images.
pub(crate) const LOADED: &str = "/var/lib/docker/.jeroboam-loaded";

/// Loads all archives that this engine has not loaded yet; returns their
/// number.
///
/// # Errors
/// Unavailable, with the message of the engine; internal: an unreadable
/// directory.
pub(crate) async fn load(engine: &Engine, archives: &Path, marks: &Path) -> Result<usize> {
    import_each(archives, marks, async |archive: &Path| {
        engine.load(archive).await
    })
    .await
}

/// Calls `import` for all archives that have no mark in `marks` yet, concurrently;
/// returns their number.
///
/// # Errors
/// Same errors as `import`; internal: an unreadable directory.
pub(crate) async fn import_each(
    archives: &Path,
    marks: &Path,
    import: impl AsyncFn(&Path) -> Result<()>,
) -> Result<usize> {
    let wanted = find(archives)?.into_iter().map(async |archive| {
        let mark = marks.join(mark_of(&archive)?);
        if mark.exists() {
            return Ok::<usize, Error>(0);
        }
        import(&archive).await?;
        fs::create_dir_all(marks)
            .and_then(|()| fs::write(&mark, b""))
            .map_err(|e| Error::internal(format!("{}: {e}", mark.display())))?;
        Ok(1)
    });
    let counts: Vec<usize> = try_join_all(wanted).await?;
    Ok(counts.iter().sum())
}

fn find(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::internal(format!("{}: {e}", dir.display()))),
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "tar"))
        .collect();
    found.sort();
    Ok(found)
}

/// The name of an archive's mark. It contains the size, so that another archive
/// of the same name is loaded, too.
fn mark_of(archive: &Path) -> Result<String> {
    let size = fs::metadata(archive)
        .map_err(|e| Error::internal(format!("{}: {e}", archive.display())))?
        .len();
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}.{size}"))
}
