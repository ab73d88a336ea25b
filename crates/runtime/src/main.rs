//! `jeroboam-runtime`, an OCI runtime for the engine. It starts containers by runc in
//! user namespaces, with ranges of ids that the server has granted. A container without
//! a granted range does not start.

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
mod overlay;
mod runc;
mod scratch;
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
        Command::Delete(id) => {
            if let Err(e) = scratch::remove_unfinished(&parsed.root, id) {
                log::error(arguments::log_file(args).as_deref(), &format!("{e:#}"));
            }
        }
        Command::Kill(id) => return freezer::kill(&parsed.root, id, &runc, args),
        Command::Other => {}
    }
    Err(runc::exec(&runc, args)).with_context(|| format!("starting {}", runc.display()))
}
