//! The agent inside cluster nodes: `jeroboam-node init`, started by tini.
//!
//! It prepares a near-privileged container for a nested engine, runs that engine,
//! forms a swarm or a Kubernetes cluster together with the agents of other nodes,
//! and reports each step to the server that created the node. On managers and
//! masters it then runs tasks of the server. It connects to a single address of
//! the server, with a pinned certificate. The only port on which it listens is the
//! Docker API of Swarm managers (2376, TLS with the cluster's CA).
//!
//! Every part can be stopped and restarted at any time, because it checks what is
//! already done.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "tests read their settings from the environment, and start tasks"
    )
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the console of the agent is its log"
)]

mod boot;
mod channel;
mod engine;
mod flavour;
mod handshake;
mod http;
mod identity;
mod images;
mod init;
mod kube;
mod lines;
mod members;
mod prepare;
mod report;
mod retry;
mod seed;
mod server_rules;
mod supervise;
mod swarm;
mod swarm_node;
mod tasks;
mod term;
mod tlsproxy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["init"] => init::main(flavour::Flavour::Own),
        ["init", "--flavour=kindest"] => init::main(flavour::Flavour::Kindest),
        ["init", "--flavour=k3s"] => init::main(flavour::Flavour::K3s),
        ["enter", program, rest @ ..] => flavour::enter(program, rest),
        ["--version" | "-V"] => {
            println!("jeroboam-node {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ["--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

const USAGE: &str = "\
The agent inside cluster nodes of Jeroboam.

usage: jeroboam-node init        run the node; started by tini in node images
       jeroboam-node init --flavour=kindest|k3s
                                 the same in images of kind and of k3s
       jeroboam-node enter PROGRAM [ARGUMENT...]
                                 make mounts writable, become PROGRAM
       jeroboam-node --version";
