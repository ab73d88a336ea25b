//! Developer commands of `./x`, one module each. The script only installs
//! missing tools, starts the engine and calls this program.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "developer commands read the environment and print"
)]

mod blackbox;
mod check;
mod demo;
mod edges;
mod fuzz;
mod node_image;
mod server;
mod shell;
mod sim;
mod sizes;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: ./x COMMAND

  up [--coe COE] [--debug]
                          build, start the server, create a cluster, run a service in it
  down                    delete the clusters, stop the server, leave nothing behind
  build [--debug]         build server, node agent and runtime (release unless --debug)
  test [quick|all]        cargo tests and checks; with all (default) also the black-box tests
  test --long             the slow tests: noisy neighbours, the fuzzers
  test blackbox [WORD...] the black-box tests with one of the words in their names
  check [--full]          fmt, clippy, tidy, cargo-deny (--full installs cargo-deny)
  tidy                    the code rules and the edges between crates
  sim [--seeds N] [--seed S] [--trace] [--without SAFEGUARD]
                          the whole control plane on a virtual clock, with faults (--help says more)
  fuzz [TARGET...] [--seconds N] [--merge]
                          libFuzzer on the parsers of external input, 120 s each
  sizes                   lines per crate, bytes per binary and image
  bench                   cluster create compared with a manual script (report only)
  help                    this text";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("up") => demo::up(rest),
        Some("down") => demo::down(rest),
        Some("build") => shell::build(rest),
        Some("test") => blackbox::test(rest),
        Some("check") => check::check(rest),
        Some("tidy") => check::tidy(),
        Some("sizes") => sizes::sizes(),
        Some("bench") => blackbox::bench(rest),
        Some("sim") => sim::sim(rest),
        Some("fuzz") => fuzz::fuzz(rest),
        None | Some("help" | "-h" | "--help") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(anyhow::anyhow!("no command {other}\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("x: {e:#}");
            ExitCode::FAILURE
        }
    }
}
