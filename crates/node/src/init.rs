//! Boots a node: its state and its signals, then the parts of its kind.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures_util::FutureExt as _;
use kernel::{Error, Result};
use nodewire::SEED_PATH;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::boot::Boot;
use crate::channel::Channel;
use crate::engine::{Engine, SOCKET};
use crate::flavour::{self, Flavour};
use crate::report::{Reporter, log_line, plain};
use crate::seed::{HOME, begin_session, load};
use crate::supervise::Tail;
use crate::{kube, server_rules, swarm_node};

pub(crate) fn main(flavour: Flavour) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(boot(flavour)),
        Err(e) => Err(Error::internal(e)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log_line(format_args!("stopped: {}", plain(&e)));
            ExitCode::FAILURE
        }
    }
}

async fn boot(flavour: Flavour) -> Result<()> {
    // The handlers are installed first, so that no signal is missed.
    let mut term = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    let home = PathBuf::from(HOME);
    let seed = load(Path::new(SEED_PATH))?;
    let session = begin_session(&home.join("session.json"))?;
    log_line(format_args!(
        "node {} of cluster {}, boot {}",
        seed.node, seed.cluster, session.boot
    ));
    let channel = Channel::new(&seed, &session.session)?;
    // Before anything runs that could connect.
    if let Err(e) = server_rules::install(channel.server()).await {
        log_line(format_args!(
            "pods and containers reach the server's address: {}",
            plain(&e)
        ));
    }
    let (reporter, delivery) = Reporter::new();
    let (welcomed, known) = watch::channel(false);
    let boot = Boot {
        engine: Engine::at(Path::new(SOCKET)),
        tail: Tail::default(),
        channel,
        reporter,
        session,
        home,
        seed,
        welcomed,
    };
    let link = boot.channel.clone();
    let delivery = delivery.run(boot.channel.clone(), known);
    let delivery = async {
        tokio::join!(link.run(boot.session.ready), delivery);
    };
    let stop = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    if boot.seed.coe != "kubernetes" {
        return swarm_node::run_node(&boot, delivery, stop).await;
    }
    match flavour {
        Flavour::Own => kube::run_node(&boot, delivery, stop).boxed_local().await,
        Flavour::Kindest => flavour::kindest::run_node(&boot, delivery, stop).await,
        Flavour::K3s => flavour::k3s::run_node(&boot, delivery, stop).await,
    }
}
