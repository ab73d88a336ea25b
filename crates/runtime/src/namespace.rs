//! The user namespace of a container.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use runtime::grants::Range;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Uid};
use rustix::thread::CapabilitiesSecureBits;

use crate::sys::{self, Child};

/// A user namespace and the process that keeps it until the container has a process in
/// it. The process ends when this is dropped, or when this process ends.
///
/// Its owner is the range's first id and not the host's root, because the kernel charges
/// some resources, such as inotify instances, to the owner.
pub(crate) struct Namespace {
    file: File,
    child: Child,
    /// The child reads the other end. The kernel clears a parent death signal when
    /// credentials change, so the end of file is used instead.
    _keep: OwnedFd,
}

impl Namespace {
    pub(crate) fn create(range: &Range) -> Result<Self> {
        let (ready, status) = pipe_with(PipeFlags::CLOEXEC)?;
        let (ended, keep) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut inherited = Some((ready, keep));
        let child = sys::fork(|| {
            inherited.take();
            keep_namespace(range, status, ended)
        })
        .context("fork")?;
        let Some((ready, keep)) = inherited else {
            bail!("the pipes are closed");
        };
        let created = Self::map(range, &child, ready);
        match created {
            Ok(file) => Ok(Self {
                file,
                child,
                _keep: keep,
            }),
            Err(e) => {
                child.kill();
                child.wait()?;
                Err(e)
            }
        }
    }

    /// Waits until the child has created the namespace and maps the ids of the range.
    fn map(range: &Range, child: &Child, ready: OwnedFd) -> Result<File> {
        let mut code = [0; 4];
        File::from(ready)
            .read_exact(&mut code)
            .context("the process for the user namespace ended early")?;
        let code = i32::from_ne_bytes(code);
        if code != 0 {
            bail!("{}", explain(code));
        }
        let process = format!("/proc/{}", child.id().as_raw_nonzero());
        let line = format!("0 {} {}\n", range.base, range.size);
        for name in ["uid_map", "gid_map"] {
            let path = format!("{process}/{name}");
            std::fs::write(&path, &line)
                .with_context(|| format!("writing {:?} to {path}", line.trim_end()))?;
        }
        let path = format!("{process}/ns/user");
        File::open(&path).with_context(|| format!("opening {path}"))
    }

    /// A path of the namespace, valid as long as this exists.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/user", self.child.id().as_raw_nonzero()).into()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs in the child.
fn keep_namespace(range: &Range, status: OwnedFd, ended: OwnedFd) -> i32 {
    let created = become_user(range.base).and_then(|()| sys::unshare_user());
    let code = match &created {
        Ok(()) => 0,
        Err(e) => e.raw_os_error().unwrap_or(libc::EIO),
    };
    let reported = File::from(status).write_all(&code.to_ne_bytes());
    if created.is_ok() && reported.is_ok() {
        // Returns at the end of the file.
        let _ = io::copy(&mut File::from(ended), &mut io::sink());
    }
    code
}

/// Changes all user and group ids of this process, which keeps its capabilities.
///
/// The raw calls change only the calling thread, which is the only one.
pub(crate) fn become_user(id: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

fn explain(code: i32) -> String {
    let error = io::Error::from_raw_os_error(code);
    let requirement = match Errno::from_raw_os_error(code) {
        Errno::PERM | Errno::ACCESS => {
            "the kernel does not permit it: set the sysctl kernel.unprivileged_userns_clone to 1 if it exists, and run the engine with all capabilities"
        }
        Errno::NOSPC | Errno::USERS => {
            "the limit of user namespaces is reached: increase the sysctl user.max_user_namespaces"
        }
        Errno::INVAL | Errno::NOSYS => "the kernel must be built with CONFIG_USER_NS",
        _ => "user namespaces are needed",
    };
    format!("creating a user namespace: {error}; {requirement}")
}
