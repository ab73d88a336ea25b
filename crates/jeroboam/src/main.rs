//! `jeroboam`: the server and the command line in one binary.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

mod cli;
mod config;
mod secret_file;
mod server;

use clap::Parser as _;

// mimalloc replaces the allocator of the C library, which is slower for the many small
// allocations of answers and stacks, and seldom returns memory to the kernel;
// docs/adr/0015-memory-from-mimalloc.md has the measurements.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The beginning of the panic message of `println!` if the program that reads the pipe
/// has ended.
const CLOSED_PIPE: &str = "failed printing to stdout: Broken pipe";
/// The exit code that shells report for a program that SIGPIPE has ended.
const SIGPIPE_STATUS: i32 = 141;

/// Makes a closed pipe, as in `jeroboam policy list | head`, end a command without the
/// message of a panic.
fn end_quietly_on_a_closed_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with(CLOSED_PIPE)) {
            std::process::exit(SIGPIPE_STATUS);
        }
        report(panic);
    }));
}

fn main() -> std::process::ExitCode {
    end_quietly_on_a_closed_pipe();
    // rustls takes its cryptography from one provider for the whole process, which must
    // be installed before the first use of TLS.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("jeroboam: a TLS provider was installed twice");
    }
    let args = cli::Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("jeroboam: the runtime does not start: {e}");
            return std::process::ExitCode::from(2);
        }
    };
    match runtime.block_on(cli::run(args)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("jeroboam: {e:#}");
            std::process::ExitCode::from(1)
        }
    }
}
