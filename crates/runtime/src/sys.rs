//! The system calls that rustix does not offer as safe functions. This is the only
//! module with unsafe code.
#![expect(
    unsafe_code,
    reason = "fork, unshare and mount_setattr have no safe wrapper"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;

/// A child process. It is not waited for when this is dropped.
#[derive(Debug)]
pub(crate) struct Child(Pid);

impl Child {
    pub(crate) fn id(&self) -> Pid {
        self.0
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&self) -> io::Result<WaitStatus> {
        loop {
            match rustix::process::waitpid(Some(self.0), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(status),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub(crate) fn kill(&self) {
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
    }
}

/// Runs a function in a child process, which ends with the returned code.
pub(crate) fn fork(run: impl FnOnce() -> i32) -> io::Result<Child> {
    // SAFETY: The program has only one thread, so that no lock is held by another thread
    // at this time and the child may call any function.
    let id = unsafe { libc::fork() };
    if id == 0 {
        // A panic must not continue as a copy of the parent.
        let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or(101);
        // SAFETY: It only ends the process.
        unsafe { libc::_exit(code) }
    }
    if id < 0 {
        return Err(io::Error::last_os_error());
    }
    let id = Pid::from_raw(id).ok_or_else(|| io::Error::other("fork returned no id"))?;
    Ok(Child(id))
}

/// Moves this process into a new user namespace.
pub(crate) fn unshare_user() -> io::Result<()> {
    unshare(UnshareFlags::NEWUSER)
}

/// Moves this process into a new mount namespace.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: Only a changed table of file descriptors could violate I/O safety; the
    // flags of both callers leave it unchanged.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}

/// Maps the ids of a detached mount by a user namespace, with all mounts below it if
/// `recursive`.
pub(crate) fn map_ids(
    tree: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    recursive: bool,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        // A file descriptor is not negative.
        userns_fd: namespace.as_raw_fd().unsigned_abs().into(),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: The path is a C string and the attributes are a structure of the given
    // size; both are valid during the call, and the kernel only reads them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
