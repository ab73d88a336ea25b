//! The directory in `/run` with the mounts of a container.

use std::path::Path;

use anyhow::{Context as _, Result};
use runtime::leftovers::create_directory;
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::sys;

/// Mounts below it are visible only to this process, runc and the container, so that
/// they disappear with these processes.
pub(crate) use runtime::leftovers::DIRECTORY;

/// Creates the directory, and that of the root file system: `runc exec` changes to it by
/// its name in the mount namespace of the host.
pub(crate) fn create() -> Result<()> {
    create_directory(Path::new(DIRECTORY), 0o711)?;
    create_directory(&Path::new(DIRECTORY).join("rootfs"), 0o711)
}

/// Moves this process into a mount namespace in which `DIRECTORY` is empty.
pub(crate) fn hide_mounts() -> Result<()> {
    sys::unshare_mounts().context("creating a mount namespace")?;
    let private = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).context("making the mounts private")?;
    let options = c"mode=0711,size=1m";
    rustix::mount::mount("tmpfs", DIRECTORY, "tmpfs", MountFlags::NOSUID, options)
        .with_context(|| format!("mounting a tmpfs at {DIRECTORY}"))
}
