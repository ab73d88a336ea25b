//! Nodes of images that were not built by Jeroboam. The agent is copied into
//! the container. It uses the same protocol as in nodes of our image, but
//! starts the cluster with the tool of the image: kubeadm or k3s.
//!
//! These flavours are not run in our CI, which has no access to an image
//! registry: the tests compare everything that is written and run with golden
//! files.

mod actions;
pub(crate) mod k3s;
mod k3s_plan;
pub(crate) mod kindest;
mod kubeadm;
mod member;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::prepare;
use crate::report::{log_line, plain};

/// The origin of the image of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Own,
    Kindest,
    K3s,
}

/// Makes the mounts writable, as Docker's `--privileged` would, then executes
/// the entrypoint of the image as PID 1.
pub(crate) fn enter(program: &str, arguments: &[&str]) -> ExitCode {
    if let Err(e) = prepare::writable() {
        log_line(format_args!("stopped: {}", plain(&e)));
        return ExitCode::FAILURE;
    }
    // Returns only after a failure.
    let e = Command::new(program).args(arguments).exec();
    log_line(format_args!("stopped: {program}: {e}"));
    ExitCode::from(127)
}

#[cfg(test)]
mod tests;
