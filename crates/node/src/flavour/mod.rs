//! Nodes of images that others have made. The agent was put into the
//! container from outside; what it says to the server is what it says in
//! nodes of our own image, what it does in the node is the image's own way
//! to a cluster: kubeadm, or k3s.
//!
//! None of this is run in our CI, where no image registry is reachable: the
//! tests hold golden files of all that is written and run.

mod acts;
pub(crate) mod k3s;
mod k3s_plan;
pub(crate) mod kindest;
mod kubeadm;
mod member;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::prepare;
use crate::report::{plain, say};

/// Whose image a node is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Own,
    Kindest,
    K3s,
}

/// Does for the image's own entrypoint what Docker's `--privileged` would have
/// done, then becomes it: it has to be the first process.
pub(crate) fn enter(program: &str, arguments: &[&str]) -> ExitCode {
    if let Err(e) = prepare::writable() {
        say(format_args!("stopped: {}", plain(&e)));
        return ExitCode::FAILURE;
    }
    // Returns only where it failed.
    let e = Command::new(program).args(arguments).exec();
    say(format_args!("stopped: {program}: {e}"));
    ExitCode::from(127)
}

#[cfg(test)]
mod tests;
