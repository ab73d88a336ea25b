//! Runs simulations: one from its seed to its verdict, or many.
#![expect(
    clippy::print_stdout,
    reason = "the simulator is a program that prints verdicts"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use db::{Db, Safeguards};
use infra::sim::{Restart, SimConfig, Simulator};
use kernel::Result;
use tokio::time::sleep;

use crate::check::{self, Violation};
use crate::faults::Faults;
use crate::process;
use crate::rng::SeededRng;
use crate::server::{Server, Shared, migrations};
use crate::trace::Trace;
use crate::users::{ClusterHistory, Servers, User};

/// Duration of user activity and faults.
const FAULT_DURATION: Duration = Duration::from_secs(150);

/// Time after the last fault until all servers watch the events of the engine
/// again.
const WATCH_RECOVERY: Duration = Duration::from_secs(60);

/// A safeguard that can be disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DisabledSafeguard {
    Fence,
    Tombstone,
    Generation,
    Renewal,
    Sweep,
    Retry,
}

impl DisabledSafeguard {
    fn safeguards(without: Option<Self>) -> Safeguards {
        let mut s = Safeguards::default();
        match without {
            None => {}
            Some(Self::Fence) => s.fence = false,
            Some(Self::Tombstone) => s.tombstone = false,
            Some(Self::Generation) => s.generation = false,
            Some(Self::Renewal) => s.renewal = false,
            Some(Self::Sweep) => s.sweep = false,
            Some(Self::Retry) => s.retry = false,
        }
        s
    }
}

/// Options of simulations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub without: Option<DisabledSafeguard>,
    /// Prints operations, faults and effects.
    pub trace: bool,
}

/// Result of a simulation.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    pub verdict: Result<(), Violation>,
    /// Digest of all events: the same seed gives the same digest.
    pub digest: u64,
    /// Number of scheduling points.
    pub events: u64,
    pub lines: Vec<String>,
}

/// Runs one simulation on this thread.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    let trace = Trace::new(options.trace);
    let verdict = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
    {
        Ok(runtime) => runtime.block_on(async {
            process::enter(seed);
            let verdict = simulate(seed, options, &trace).await;
            if let Err(violation) = &verdict {
                trace.record_line(violation);
            }
            verdict
        }),
        Err(e) => Err(e.to_string()),
    };
    process::leave();
    let (digest, events) = trace.digest();
    Outcome {
        seed,
        verdict,
        digest,
        events,
        lines: trace.lines(),
    }
}

/// Runs these seeds, prints failures and a summary; returns whether all passed.
#[must_use]
pub fn run_all(seeds: &[u64], options: Options, threads: usize) -> bool {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let events = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, seeds.len().max(1)) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let outcome = run(*seed, options);
                    events.fetch_add(outcome.events, Ordering::SeqCst);
                    if let Err(violation) = outcome.verdict {
                        println!("seed {seed}: {violation}");
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(*seed);
                    } else if seeds.len() == 1 {
                        println!("seed {seed}: digest {:016x}", outcome.digest);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} scheduling points; {} passed, {} failed",
        events.load(Ordering::SeqCst),
        seeds.len() - failed.len(),
        failed.len()
    );
    if let Some(seed) = failed.iter().min() {
        println!("repeat one with: ./x sim --seed {seed} --trace");
    }
    failed.is_empty()
}

async fn simulate(seed: u64, options: Options, trace: &Trace) -> Result<(), Violation> {
    let setup_failed = |e: kernel::Error| format!("the simulation itself: {e}");
    // The files are on a memory file system if there is one, because they need no
    // disk.
    let dir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .map_err(|e| e.to_string())?;
    let faults = Faults::new(seed, trace);
    let path = dir.path().join("state.sqlite");
    let db = Db::open_volatile(&path.display().to_string()).map_err(setup_failed)?;
    db.migrate(&migrations()).await.map_err(setup_failed)?;
    let engine = Simulator::open_under(":memory:", SimConfig::default(), Arc::new(faults.clone()))
        .await
        .map_err(setup_failed)?;
    engine
        .add_image("jeroboam/swarm:latest", &[])
        .await
        .map_err(setup_failed)?;
    let shared = Shared {
        db: db.clone(),
        engine: engine.clone(),
        faults: faults.clone(),
        sealer: Arc::new(pki::Sealer::open(&dir.path().join("keys")).map_err(setup_failed)?),
        safeguards: DisabledSafeguard::safeguards(options.without),
    };
    let rng = SeededRng::of(seed, 2);
    let count = usize::try_from(rng.number(1, 3)).unwrap_or(1);
    let servers: Servers = Arc::new(Mutex::new(vec![None; count]));
    for number in 0..count {
        boot(&shared, &servers, number, &rng, trace).await;
    }
    let mut users = Vec::new();
    for project in 0..2 {
        User::new(project, &servers, &rng, trace)
            .create_template()
            .await;
    }
    #[expect(clippy::disallowed_methods, reason = "the handles are awaited")]
    for number in 0..rng.number(1, 4) {
        let user = User::new(number, &servers, &SeededRng::of(seed, 10 + number), trace);
        users.push(tokio::spawn(user.run_operations(FAULT_DURATION)));
    }
    operate(&shared, &servers, &SeededRng::of(seed, 3), trace).await;
    faults.end();
    trace.record_line("the faults end");
    for number in 0..count {
        let running = get(&servers, number);
        match running {
            Some(server) => server.process.stop(false),
            None => boot(&shared, &servers, number, &rng, trace).await,
        }
    }
    let mut histories: Vec<ClusterHistory> = Vec::new();
    for user in users {
        histories.push(user.await.map_err(|e| e.to_string())?);
    }
    check::not_aborted(&histories)?;
    check::settles(&db).await?;
    check::ledger(&db, &engine).await?;
    check::order(&engine).await?;
    check::no_stale_write(&faults.stale_writes())?;
    check::no_stale_call(&faults.stale_calls())?;
    if faults.is_only_slow() {
        let running = (0..count).filter_map(|n| get(&servers, n));
        check::no_lease_lost(running.map(|s| s.counts.figures().lost_leases).sum())?;
    }
    let server = get(&servers, 0).ok_or("no server runs")?;
    check::last_operation_wins(&server, &engine, &histories).await?;
    // A server whose last attempt to watch the events of the engine failed waits
    // before it tries again.
    sleep(WATCH_RECOVERY).await;
    check::truth(&db, &engine).await?;
    for number in 0..count {
        if let Some(server) = take(&servers, number) {
            server.kill();
        }
    }
    Ok(())
}

fn get(servers: &Servers, number: usize) -> Option<Arc<Server>> {
    servers.lock().unwrap_or_else(PoisonError::into_inner)[number].clone()
}

fn take(servers: &Servers, number: usize) -> Option<Arc<Server>> {
    servers.lock().unwrap_or_else(PoisonError::into_inner)[number].take()
}

/// Starts a server; tries again until it starts.
async fn boot(shared: &Shared, servers: &Servers, number: usize, rng: &SeededRng, trace: &Trace) {
    loop {
        let skew = if rng.hits(0.5) {
            i64::try_from(rng.number(0, 40_000_000)).unwrap_or(0) - 20_000_000
        } else {
            0
        };
        trace.record_line(format!(
            "server {number} starts, its clock off by {skew} us"
        ));
        // Most servers run in virtual machines, which are suspended with their clocks.
        let suspended = rng.hits(0.7).then(|| rng.clone());
        match Server::start(shared, skew, suspended).await {
            Ok(server) => {
                servers.lock().unwrap_or_else(PoisonError::into_inner)[number] =
                    Some(Arc::new(server));
                return;
            }
            Err(e) => trace.record_line(format!("server {number} did not start: {e}")),
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Kills, stops and starts servers, and restarts the engine.
async fn operate(shared: &Shared, servers: &Servers, rng: &SeededRng, trace: &Trace) {
    let end = tokio::time::Instant::now() + FAULT_DURATION;
    let count = servers.lock().unwrap_or_else(PoisonError::into_inner).len();
    let busy = rng.seconds(4, 40);
    while tokio::time::Instant::now() < end {
        sleep(rng.time(Duration::from_secs(1), busy)).await;
        if shared.faults.is_only_slow() {
            continue;
        }
        let number = rng.index(count);
        let server = get(servers, number);
        match (rng.number(0, 9), server) {
            (0..=2, Some(server)) => {
                trace.record_line(format!("fault: server {number} is killed"));
                take(servers, number);
                server.kill();
            }
            (3..=6, Some(server)) => {
                let pause = rng.seconds(4, 45);
                trace.record_line(format!("fault: server {number} is stopped for {pause:?}"));
                server.process.stop(true);
                sleep(pause).await;
                trace.record_line(format!("server {number} resumes"));
                server.process.stop(false);
            }
            (7, Some(server)) => {
                trace.record_line(format!("server {number} is terminated"));
                take(servers, number);
                server.terminate().await;
            }
            (8, _) => {
                let pause = rng.seconds(1, 20);
                trace.record_line(format!("fault: the engine is down for {pause:?}"));
                let how = if rng.hits(0.5) {
                    Restart::Keep
                } else {
                    Restart::Stop
                };
                if let Err(e) = shared.engine.restart_engine(pause, how).await {
                    trace.record_line(format!("the engine: {e}"));
                }
            }
            (9, Some(_)) => {
                let pause = rng.seconds(1, 20);
                trace.record_line(format!("fault: the database fails over for {pause:?}"));
                shared.faults.fail_over(pause);
            }
            (_, None) => boot(shared, servers, number, rng, trace).await,
            _ => {}
        }
    }
}
