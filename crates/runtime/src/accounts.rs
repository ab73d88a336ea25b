//! The files with the users and groups of a container. Docker Engine opens them, outside
//! of the container, before it calls this program: a pipe in their place would make the
//! engine wait for ever, also when it starts its containers after a reboot.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

const DIRECTORY: &str = "etc";
const FILES: &[&str] = &["passwd", "group"];

/// Makes the files and their directory mount points. Root in the container can change
/// their contents, but cannot rename, remove or replace them, because mounts that a more
/// privileged user has made are locked in its user namespace.
///
/// # Errors
/// If one of them is something else already.
pub(crate) fn keep(root: &Path) -> Result<()> {
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("opening {}", root.display()))?;
    let Some(directory) = open(&root, DIRECTORY)? else {
        return Ok(());
    };
    ensure!(
        kind(&directory)? == FileType::Directory,
        "/{DIRECTORY} of the container must be a directory"
    );
    for name in FILES {
        let path = format!("{DIRECTORY}/{name}");
        if let Some(file) = open(&root, &path)? {
            ensure!(
                kind(&file)? == FileType::RegularFile,
                "/{path} of the container must be a regular file"
            );
            bind_to_itself(&file).with_context(|| format!("mounting /{path}"))?;
        }
    }
    bind_to_itself(&directory).with_context(|| format!("mounting /{DIRECTORY}"))
}

/// Opens a path in the root file system of the container without following links, which
/// could lead to files of the host. `None` if there is none.
fn open(root: &OwnedFd, path: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(anyhow::anyhow!(
            "/{path} of the container must not be a symbolic link"
        )),
        Err(e) => Err(e).with_context(|| format!("opening /{path} of the container")),
    }
}

fn kind(file: &OwnedFd) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode))
}

/// With the mounts below it.
fn bind_to_itself(file: &OwnedFd) -> Result<()> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::mount::mount_bind_recursive(&path, &path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::CWD;

    use super::*;

    fn refused(prepare: impl Fn(&Path)) -> String {
        let root = tempfile::tempdir().unwrap();
        prepare(root.path());
        keep(root.path()).unwrap_err().to_string()
    }

    #[test]
    fn links_and_pipes_are_refused() {
        let linked = refused(|root| symlink("/root", root.join("etc")).unwrap());
        assert!(linked.contains("/etc of the container must be"), "{linked}");
        let file = refused(|root| fs::write(root.join("etc"), "").unwrap());
        assert!(
            file.contains("/etc of the container must be a directory"),
            "{file}"
        );
        let pipe = refused(|root| {
            fs::create_dir(root.join("etc")).unwrap();
            let path = root.join("etc/passwd");
            rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        });
        assert!(
            pipe.contains("/etc/passwd of the container must be a regular file"),
            "{pipe}"
        );
        let link = refused(|root| {
            fs::create_dir(root.join("etc")).unwrap();
            symlink("/etc/shadow", root.join("etc/passwd")).unwrap();
        });
        assert!(link.contains("/etc/passwd"), "{link}");
    }

    #[test]
    fn an_image_without_them_is_accepted() {
        let root = tempfile::tempdir().unwrap();
        keep(root.path()).unwrap();
    }
}
