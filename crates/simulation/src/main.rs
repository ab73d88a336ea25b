//! `jeroboam-sim`: runs simulations by seed; see `./x sim`.

use std::process::ExitCode;

use clap::Parser;
use simulation::{DisabledSafeguard, Options};

/// Runs the whole control plane on a virtual clock, with faults drawn from a
/// seed, and checks that nothing is lost or done twice.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  ./x sim --seeds 200            seeds 0 to 199\n  ./x sim --seed 17 --trace      one seed, step by step\n  ./x sim --seeds 200 --without fence   show that the missing safeguard is detected"
)]
struct Args {
    /// Number of seeds, starting at --first.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Runs this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints operations, faults and effects as they happen.
    #[arg(long)]
    trace: bool,
    /// Disables one safeguard.
    #[arg(long, value_enum)]
    without: Option<DisabledSafeguard>,
    /// Number of threads; each runs one seed at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options {
        without: args.without,
        trace: args.trace,
    };
    let seeds: Vec<u64> = match args.seed {
        Some(seed) => vec![seed],
        None => (args.first..args.first + args.seeds).collect(),
    };
    if simulation::run_all(&seeds, options, args.threads) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
