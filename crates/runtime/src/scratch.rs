//! The directory in `/run` with the mounts of a container, and records of containers
//! that are being created.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, makedev, mknodat};
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::cgroup;
use crate::mountinfo::{self, Mount};
use crate::sys;

/// Mounts below it are visible only to this process, runc and the container, so that
/// they disappear with these processes.
pub(crate) const DIRECTORY: &str = "/run/jeroboam-userns";
/// Files with the `cgroupsPath` of containers that are being created, by id.
const RECORDS: &str = "creating";

/// Says that a container is being created. If this process is killed, the record
/// remains and `delete` uses it.
pub(crate) struct Record {
    directory: OwnedFd,
    id: String,
}

impl Record {
    /// Creates the directories and the record.
    pub(crate) fn write(id: &str, cgroup: &str) -> Result<Self> {
        // `runc exec` changes to the directory of the root file system as it is named in
        // the mount namespace of the host.
        create(Path::new(DIRECTORY), 0o711)?;
        create(&Path::new(DIRECTORY).join("rootfs"), 0o711)?;
        let path = Path::new(DIRECTORY).join(RECORDS);
        create(&path, 0o700)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty())
            .with_context(|| format!("opening {}", path.display()))?;
        fs::write(path.join(id), cgroup)
            .with_context(|| format!("writing in {}", path.display()))?;
        Ok(Self {
            directory,
            id: id.to_owned(),
        })
    }

    pub(crate) fn remove(self) {
        // The directory may be hidden by a mount, so the path cannot be used.
        let _ = rustix::fs::unlinkat(&self.directory, &self.id, AtFlags::empty());
    }
}

fn create(path: &Path, mode: u32) -> Result<()> {
    let created = fs::DirBuilder::new().mode(mode).create(path);
    match created {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(e).with_context(|| format!("creating {}", path.display()));
        }
        _ => {}
    }
    // The umask may have removed bits.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("changing the mode of {}", path.display()))
}

/// Removes what a killed `create` of this container has left. If the container has a
/// state, runc can remove it itself.
pub(crate) fn remove_unfinished(root: &Path, id: &str) -> Result<()> {
    let path = Path::new(DIRECTORY).join(RECORDS).join(id);
    let cgroup = match fs::read_to_string(&path) {
        Ok(cgroup) => cgroup,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    if !root.join(id).join("state.json").exists() {
        cgroup::remove(&cgroup, id, &mounts()?)?;
    }
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
}

/// The mounts of this process.
pub(crate) fn mounts() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text = fs::read(path).with_context(|| format!("reading {path}"))?;
    Ok(mountinfo::parse(&text))
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

/// Creates a device with permissions for all users, because in a user namespace the
/// devices of the host have no owner.
pub(crate) fn device(name: &str, major: u32, minor: u32) -> Result<PathBuf> {
    let path = Path::new(DIRECTORY).join(name);
    let mode = Mode::from_raw_mode(0o666);
    let device = makedev(major, minor);
    mknodat(
        rustix::fs::CWD,
        &path,
        FileType::CharacterDevice,
        mode,
        device,
    )
    .with_context(|| format!("creating the device {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(path)
}
