//! Mounts whose files have the ids inside the container that they have on disk. Nothing
//! on disk changes.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use crate::sys;

/// Whether the ids of a mount are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapping {
    Mapped,
    /// The file system does not support it; nothing is mounted.
    NotSupported,
}

/// Mounts `source` at `target` with ids mapped by the user namespace. If `recursive`, the
/// mounts below the source are included, and those of them that cannot be mapped are
/// left as they are.
pub(crate) fn mount(
    source: &Path,
    target: &Path,
    namespace: BorrowedFd<'_>,
    recursive: bool,
) -> Result<Mapping> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = rustix::mount::open_tree(CWD, source, flags)
        .with_context(|| format!("open_tree {}", source.display()))?;
    let mut mapped = sys::map_ids(tree.as_fd(), namespace, recursive);
    if recursive && is_invalid(&mapped) {
        mapped = sys::map_ids(tree.as_fd(), namespace, false);
    }
    if is_invalid(&mapped) {
        return Ok(Mapping::NotSupported);
    }
    mapped.map_err(|e| explain(source, &e))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", CWD, target, flags)
        .with_context(|| format!("move_mount {}", target.display()))?;
    Ok(Mapping::Mapped)
}

fn is_invalid(done: &io::Result<()>) -> bool {
    matches!(done, Err(e) if e.raw_os_error() == Some(libc::EINVAL))
}

fn explain(source: &Path, error: &io::Error) -> anyhow::Error {
    let requirement = match error.raw_os_error() {
        Some(libc::ENOSYS) => "; Linux 5.19 or newer is needed",
        Some(libc::EPERM) => {
            "; it must not be an idmapped mount already, and the engine needs all capabilities"
        }
        _ => "",
    };
    anyhow::anyhow!(
        "mapping the ids of {} (mount_setattr): {error}{requirement}",
        source.display()
    )
}
