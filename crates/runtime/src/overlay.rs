//! The engine's overlay mounted again, with layers whose ids are mapped.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use runtime::grants::Range;
use rustix::fs::{CWD, Mode, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{FsPickFlags, MountFlags, UnmountFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::idmap::{self, Mapping};
use crate::namespace::become_user;
use crate::sys;
use runtime::mountinfo::{self, Mount};

/// The kernel copies one page of mount options, including a zero at the end.
const MAX_OPTIONS: usize = 4095;
/// The work directory beside the upper directory. The engine's own one is in use.
const WORK: &str = "jeroboam-work";
/// Options of the engine's overlay that decide how its layers are read.
const KEPT: &[&[u8]] = &[
    b"redirect_dir",
    b"metacopy",
    b"xino",
    b"userxattr",
    b"volatile",
];

/// The directories of an overlay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layers {
    /// The uppermost one first.
    lower: Vec<PathBuf>,
    upper: PathBuf,
    /// Options to keep.
    options: Vec<String>,
}

impl Layers {
    /// Finds the overlay that is mounted at `merged`. Relative directories are below
    /// `home`, the directory of the storage driver.
    pub(crate) fn find(mounts: &[Mount], merged: &Path, home: &Path) -> Result<Self> {
        let mount = mountinfo::find(mounts, merged);
        let kind = mount.map_or("not a mount", |m| m.kind.as_str());
        let Some(mount) = mount.filter(|m| m.kind == "overlay") else {
            bail!(
                "the root file system {} is {kind}; the engine must use the storage driver overlay2",
                merged.display()
            );
        };
        let (mut lower, mut upper, mut options) = (Vec::new(), None, Vec::new());
        for (name, value) in mount.options() {
            match (name.as_slice(), value) {
                (b"lowerdir", Some(value)) => lower = split(&value),
                (b"lowerdir+", Some(value)) => lower.push(value),
                (b"datadir+", _) => bail!("layers with data only are not supported"),
                (b"upperdir", Some(value)) => upper = Some(value),
                (kept, value) if KEPT.contains(&kept) => {
                    let mut option = kept.to_vec();
                    if let Some(value) = value {
                        option.push(b'=');
                        option.extend(value);
                    }
                    options.push(String::from_utf8(option).context("mount options")?);
                }
                _ => {}
            }
        }
        let path = |bytes: Vec<u8>| home.join(OsString::from_vec(bytes));
        ensure!(
            !lower.is_empty() && lower.iter().all(|l| !l.is_empty()),
            "the overlay at {} has no lower layers, or layers with data only",
            merged.display()
        );
        Ok(Self {
            lower: lower.into_iter().map(path).collect(),
            upper: path(upper.context("the overlay has no upper directory")?),
            options,
        })
    }

    /// The mount options; the directories are relative to the one that contains the
    /// mapped layers, so that more layers fit.
    fn mount_options(&self, upper: &str) -> Result<String> {
        let names: Vec<String> = (0..self.lower.len()).map(lower_name).collect();
        let mut options = format!(
            "index=off,lowerdir={},upperdir=up/{upper},workdir=up/{WORK}",
            names.join(":")
        );
        for option in &self.options {
            options.push(',');
            options.push_str(option);
        }
        ensure!(
            options.len() <= MAX_OPTIONS,
            "the image has {} layers, whose mount options need {} bytes of at most {MAX_OPTIONS}; build it with fewer layers",
            self.lower.len(),
            options.len()
        );
        Ok(options)
    }
}

/// Splits the value of `lowerdir` at colons; escaped ones belong to a path.
fn split(value: &[u8]) -> Vec<Vec<u8>> {
    let mut paths = vec![Vec::new()];
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b':' => {
                paths.push(Vec::new());
                continue;
            }
            b'\\' => bytes.next().unwrap_or(byte),
            other => other,
        };
        if let Some(path) = paths.last_mut() {
            path.push(*byte);
        }
    }
    paths
}

fn lower_name(index: usize) -> String {
    format!("l{index}")
}

/// Mounts the layers at `directory/rootfs`. The mapped layers are mounted in `directory`
/// in between.
pub(crate) fn mount(
    layers: &Layers,
    directory: &Path,
    namespace: BorrowedFd<'_>,
    range: &Range,
) -> Result<PathBuf> {
    let upper = layers.upper.file_name().and_then(|name| name.to_str());
    let upper = upper.context("the upper directory has no name in UTF-8")?;
    ensure!(
        !upper.contains([',', ':', '\\']),
        "the name of the upper directory contains a separator: {upper:?}"
    );
    let options = layers.mount_options(upper)?;
    let mut mapped = Vec::new();
    for (index, layer) in layers.lower.iter().enumerate() {
        // The storage driver names layers by symbolic links.
        let layer = layer
            .canonicalize()
            .with_context(|| format!("the layer {}", layer.display()))?;
        let target = directory.join(lower_name(index));
        map_layer(&layer, &target, namespace)?;
        mapped.push(target);
    }
    let parent = layers.upper.parent().context("the upper directory is /")?;
    match rustix::fs::mkdir(parent.join(WORK), Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => bail!("creating {}/{WORK}: {e}", parent.display()),
    }
    let up = directory.join("up");
    map_layer(parent, &up, namespace)?;
    mapped.push(up);
    let target = directory.join("rootfs");
    rustix::fs::mkdir(&target, Mode::from_raw_mode(0o755))?;
    mount_as(range.base, directory, &options)?;
    // The overlay has clones of them.
    for layer in mapped {
        rustix::mount::unmount(&layer, UnmountFlags::DETACH)
            .with_context(|| format!("unmounting {}", layer.display()))?;
    }
    Ok(target)
}

/// Makes the engine's own overlay forget the directories that it has read. It uses the
/// same layers, and would not notice that the container has changed them. A failure
/// matters only for `docker cp`, so it is ignored.
pub(crate) fn forget_cached(merged: &Path) {
    let flags = FsPickFlags::FSPICK_CLOEXEC;
    // A reconfiguration without parameters only drops the caches.
    if let Ok(context) = rustix::mount::fspick(CWD, merged, flags) {
        let _ = rustix::mount::fsconfig_reconfigure(context.as_fd());
    }
}

fn map_layer(layer: &Path, target: &Path, namespace: BorrowedFd<'_>) -> Result<()> {
    rustix::fs::mkdir(target, Mode::from_raw_mode(0o755))
        .with_context(|| format!("creating {}", target.display()))?;
    match idmap::mount(layer, target, namespace, false)? {
        Mapping::Mapped => Ok(()),
        Mapping::NotSupported => bail!(
            "the file system of {} cannot map ids; the engine's directory must be on ext4, xfs or btrfs, and Linux 5.19 or newer is needed",
            layer.display()
        ),
    }
}

/// Mounts the overlay in a child with the ids of the container's root, because the
/// overlay creates files as the user who mounted it. The host's root is not mapped in
/// the upper layer.
fn mount_as(id: u32, directory: &Path, options: &str) -> Result<()> {
    let options = CString::new(options)?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut write = Some(write);
    let child = sys::fork(|| {
        let done = mount_overlay(id, directory, &options);
        let code = i32::from(done.is_err());
        if let (Err(e), Some(write)) = (done, write.take()) {
            report(write, &format!("{e:#}"));
        }
        code
    })
    .context("fork")?;
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text)?;
    let status = child.wait()?;
    ensure!(
        status.exit_status() == Some(0),
        "the process that mounts the overlay failed ({status:?}): {text}"
    );
    // Without a usable work directory the kernel mounts read-only and reports no error.
    let mounted = rustix::fs::statvfs(directory.join("rootfs"))?;
    ensure!(
        !mounted.f_flag.contains(StatVfsMountFlags::RDONLY),
        "the kernel mounted the root file system read-only, because it cannot create files in the upper layer; see its log (dmesg)"
    );
    Ok(())
}

fn report(write: OwnedFd, text: &str) {
    let _ = File::from(write).write_all(text.as_bytes());
}

/// Runs in the child.
fn mount_overlay(id: u32, directory: &Path, options: &CString) -> Result<()> {
    std::env::set_current_dir(directory).context("changing the directory")?;
    become_user(id).context("changing the user of the overlay")?;
    let flags = MountFlags::empty();
    let done = rustix::mount::mount("overlay", "rootfs", "overlay", flags, options.as_c_str());
    done.with_context(|| {
        format!(
            "mounting the overlay with mapped layers; Linux 5.19 or newer is needed; options {}",
            options.to_string_lossy()
        )
    })
}

#[cfg(test)]
mod tests;
