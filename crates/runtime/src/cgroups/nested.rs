//! Removes what root of a container has created below the cgroups of the container. runc
//! removes it by path, and a path that is too long for the kernel would remain.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Removes the cgroups below this one, however deep they are. It stops at the first that
/// is in use, and then is done by the next attempt.
///
/// # Errors
/// As the kernel: `Errno::BUSY` while a process is in one of them.
pub fn remove_below(cgroup: &Path) -> Result<(), Errno> {
    let mut current = match openat(CWD, cgroup, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    // One directory is open at a time, and its names are relative to it.
    let mut path: Vec<CString> = Vec::new();
    loop {
        match first_directory(&current)? {
            Some(name) => {
                current = openat(&current, &name, DIRECTORY, Mode::empty())?;
                path.push(name);
            }
            None => {
                let Some(name) = path.pop() else {
                    return Ok(());
                };
                current = openat(&current, c"..", DIRECTORY, Mode::empty())?;
                unlinkat(&current, &name, AtFlags::REMOVEDIR)?;
            }
        }
    }
}

fn first_directory(directory: &OwnedFd) -> Result<Option<CString>, Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_any_depth_are_removed() {
        let top = tempfile::tempdir().unwrap();
        for branch in ["a", "b"] {
            let mut current = openat(CWD, top.path(), DIRECTORY, Mode::empty()).unwrap();
            // Longer than PATH_MAX together.
            let name = format!("{branch}{}", "x".repeat(200));
            for _ in 0..40 {
                rustix::fs::mkdirat(&current, &name, Mode::RWXU).unwrap();
                current = openat(&current, &name, DIRECTORY, Mode::empty()).unwrap();
            }
        }
        remove_below(top.path()).unwrap();
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 0);
        remove_below(&top.path().join("absent")).unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let (top, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(other.path().join("kept")).unwrap();
        std::os::unix::fs::symlink(other.path(), top.path().join("link")).unwrap();
        remove_below(top.path()).unwrap();
        assert!(other.path().join("kept").exists());
    }
}
