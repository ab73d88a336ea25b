//! `jeroboam-runtime`, an OCI runtime for the engine. It starts containers by runc in
//! user namespaces, with ranges of ids that the server has granted. A container without
//! a granted range does not start.

mod accounts;
mod arguments;
mod bundle;
mod cgroup;
mod container;
mod create;
mod freezer;
mod idmap;
mod log;
mod mountinfo;
mod namespace;
mod nested;
mod overlay;
mod runc;
mod scratch;
mod state;
mod sys;

use std::ffi::OsString;

use anyhow::{Context as _, Result};

use crate::arguments::Command;

fn main() {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
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
            if *force && let Err(e) = scratch::remove_unfinished(&parsed.root, id) {
                log(&format!("{e:#}"));
            }
            let state = state::State::read(&parsed.root, id);
            for (_, cgroup) in state.into_iter().flat_map(|state| state.cgroups) {
                if let Err(e) = nested::remove_below(&cgroup) {
                    log(&format!(
                        "removing the cgroups below {}: {e}",
                        cgroup.display()
                    ));
                }
            }
        }
        Command::Kill(id) => return freezer::kill(&parsed.root, id, &runc, args),
        Command::Other => {}
    }
    Err(runc::exec(&runc, args)).with_context(|| format!("starting {}", runc.display()))
}
