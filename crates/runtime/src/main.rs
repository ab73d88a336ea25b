//! `jeroboam-runtime`, an OCI runtime for the engine. It starts containers by runc in
//! user namespaces, with ranges of ids that the server has granted. A container without
//! a granted range does not start.

mod accounts;
mod arguments;
mod bundle;
mod cgroup;
mod container;
mod create;
mod device;
mod freezer;
mod idmap;
mod log;
mod namespace;
mod overlay;
mod runc;
mod scratch;
mod state;
mod sys;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::time::Duration;

use ::runtime::cgroups::remove_below;
use ::runtime::{identity, leftovers};
use anyhow::{Context as _, Result};

use crate::arguments::Command;

/// Time for the removal of what an unfinished container has left.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);

fn main() {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args == [identity::ARGUMENT] {
        let written = io::stdout().write_all(identity::answer().as_bytes());
        std::process::exit(i32::from(written.is_err()));
    }
    let code = run(&args).unwrap_or_else(|e| {
        log::error(arguments::log_file(&args).as_deref(), &format!("{e:#}"));
        1
    });
    std::process::exit(code);
}

fn run(args: &[OsString]) -> Result<i32> {
    let parsed = arguments::parse(args)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this program has no configuration"
    )]
    let path = std::env::var_os("PATH");
    let runc = runc::find(path.as_deref())?;
    match &parsed.command {
        Command::Create(create) => return create::create(create, args, &parsed.root, &runc),
        // An error must not prevent runc from removing what it can.
        Command::Delete { id, force } => {
            let log = |e: &str| log::error(arguments::log_file(args).as_deref(), e);
            let unfinished = force.then(|| leftovers::remove_unfinished(id, REMOVE_TIMEOUT));
            let unfinished = unfinished.unwrap_or(Ok(()));
            if let Err(e) = &unfinished {
                log(&format!("{e:#}"));
            }
            let state = state::State::read(&parsed.root, id);
            for (_, cgroup) in state.into_iter().flat_map(|state| state.cgroups) {
                if let Err(e) = remove_below(&cgroup) {
                    log(&format!(
                        "removing the cgroups below {}: {e}",
                        cgroup.display()
                    ));
                }
            }
            let status = runc::run(&runc, args)?;
            // With `--force`, runc succeeds also without a state of the container. What is
            // left is then removed by its record.
            if status.exit_status() == Some(0) && unfinished.is_ok() {
                leftovers::Record::forget(id);
            }
            return status.exit_status().context("runc delete was killed");
        }
        Command::Kill(id) => return freezer::kill(&parsed.root, id, &runc, args),
        Command::Other => {}
    }
    Err(runc::exec(&runc, args)).with_context(|| format!("starting {}", runc.display()))
}
