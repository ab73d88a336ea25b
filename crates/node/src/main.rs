//! The agent inside cluster nodes: `jeroboam-node init`, started by tini.
//!
//! It makes a near-privileged container fit for an inner engine, runs that
//! engine, forms the swarm together with the agents of the other nodes,
//! reports each step to the server that made the node, and afterwards does
//! on managers what the server asks for. It dials out only, to one address
//! with one pinned certificate; the one port it listens on is the Docker
//! API of managers (2376, TLS with the cluster's CA).
//!
//! Everything can be stopped and started again at any moment: what was done
//! is found, not remembered.

mod channel;
mod drive;
mod engine;
mod flavour;
mod greet;
mod identity;
mod images;
mod init;
mod kube;
mod members;
mod prepare;
mod report;
mod retry;
mod seed;
mod supervise;
mod swarm;
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
