//! Boots a Swarm node.
//!
//! ```text
//! prepare ── dockerd ── engine answers ─┬─ images ──────────┐
//!        └── hello ─┬─ certificate ── tls │                 ├─ ready ── duties
//!                   └─ init / join ◄─────┘─────────────────┘
//! ```
//! Each part waits only for its dependencies.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::{Error, Result, clock, ids};
use nodewire::{Role, StepStatus, Welcome};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::boot::{Boot, Never, Once};
use crate::engine::SOCKET;
use crate::report::{log_line, plain};
use crate::retry::Backoff;
use crate::term::sleep_duration;
use crate::tlsproxy::InForce;
use crate::{identity, images, members, prepare, supervise, swarm, tasks, tlsproxy};

const ENGINE_TIMEOUT: Duration = Duration::from_secs(90);
const PING_INTERVAL: Duration = Duration::from_millis(20);
/// Time to deliver final reports at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the node until `stop` resolves; the engine is stopped before it returns.
///
/// # Errors
/// The server refused a node that was never ready, or the engine cannot be
/// started at all.
pub(crate) async fn run_node(
    boot: &Boot,
    delivery: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (halt, halting) = watch::channel(false);
    let engine = async {
        let node = boot.seed.node.clone();
        boot.reporter
            .run("prepare", async { prepare::prepare(&node) })
            .await?;
        let dockerd = supervise::Service::dockerd();
        supervise::run(&dockerd, &boot.reporter, &boot.tail, halting).await
    };
    let work = async {
        tokio::select! {
            done = boot.run() => done,
            // Delivery never ends by itself, because the reporter keeps the
            // channel open.
            () = delivery => std::future::pending().await,
        }
    };
    tokio::pin!(engine, work);
    let outcome = tokio::select! {
        ended = &mut engine => {
            // The engine cannot be started at all. The other parts continue for a
            // short time, because the failure can be reported only when the node
            // is registered.
            if let Err(e) = &ended {
                boot.reporter.step("engine", StepStatus::Failed, plain(e));
                let _ = tokio::time::timeout(FLUSH_TIMEOUT, async {
                    tokio::join!(&mut work, boot.reporter.flush(FLUSH_TIMEOUT))
                }).await;
            }
            return ended;
        }
        done = &mut work => done,
        () = stop => Ok(()),
    };
    let _ = halt.send(true);
    engine.await?;
    outcome
}

impl Boot {
    /// Runs all parts except the process of the engine. Returns only when the
    /// server has refused a node that never became ready.
    async fn run(&self) -> Result<()> {
        let own = self.own_address().await;
        let hello = self.hello(own).boxed_local().shared();
        let engine = self.engine_up().boxed_local().shared();
        let (opened, open) = oneshot::channel();
        // The listener keeps serving if other parts fail, because users and the
        // server need it for diagnosis.
        let greet = async {
            hello.clone().await?;
            std::future::pending().await
        };
        let tls = async {
            if self.seed.role != Role::Manager {
                return std::future::pending().await;
            }
            let (listener, certificates) = self.listener(&hello).await?;
            let current = certificates.subscribe();
            let kept = certificates.clone();
            // The receiver was dropped if the other parts have failed.
            let _ = opened.send(certificates);
            tokio::select! {
                () = tlsproxy::serve(listener, current, Path::new(SOCKET)) => {}
                () = self.renew(&kept) => {}
            }
            Err(Error::internal("the TLS listener ended"))
        };
        let life = async {
            let (member, ()) =
                tokio::try_join!(self.join(&hello, &engine, own), self.images(&engine))?;
            self.duties(&member, open, own).await
        };
        let (never, _, _): (Never, Never, Never) = tokio::try_join!(
            self.report_failure(greet),
            self.report_failure(tls),
            self.report_failure(life)
        )?;
        match never {}
    }

    /// Joins the swarm, unless the node is already part of it; a manager then
    /// publishes the join secrets.
    async fn join(
        &self,
        hello: &impl Once<Welcome>,
        engine: &impl Once<()>,
        own: IpAddr,
    ) -> Result<swarm::Membership> {
        engine.clone().await?;
        let member = match swarm::membership(&self.engine).await? {
            Some(member) => member,
            None => {
                let welcome = hello.clone().await?;
                let (channel, reporter) = (&self.channel, &self.reporter);
                swarm::init_or_join(&self.engine, channel, reporter, &welcome, own).await?
            }
        };
        if member.manager {
            hello.clone().await?;
            self.publish(own).await?;
        }
        Ok(member)
    }

    async fn images(&self, engine: &impl Once<()>) -> Result<()> {
        engine.clone().await?;
        let (archives, loaded) = (Path::new(images::ARCHIVES), Path::new(images::LOADED));
        let work = images::load(&self.engine, archives, loaded);
        self.reporter.run("images", work).await.map(|_| ())
    }

    /// Reports ready, then performs the duties of managers.
    async fn duties(
        &self,
        member: &swarm::Membership,
        open: oneshot::Receiver<tlsproxy::Certificates>,
        own: IpAddr,
    ) -> Result<Never> {
        if self.seed.role != Role::Manager {
            self.ready(&member.node_id).await?;
            return std::future::pending().await;
        }
        let certificates = open
            .await
            .map_err(|_| Error::unavailable("the TLS listener did not open"))?;
        self.ready(&member.node_id).await?;
        let identity = identity::path(&self.home);
        let duty = tasks::ManagerTasks {
            engine: &self.engine,
            channel: &self.channel,
            certificates: &certificates,
            node: &self.seed.node,
            own,
            identity: &identity,
        };
        tokio::join!(duty.run(), members::observe(&self.engine, &self.channel));
        Err(Error::internal("a manager's duties ended"))
    }

    async fn engine_up(&self) -> Result<()> {
        let work = async {
            let until = Instant::now() + ENGINE_TIMEOUT;
            while !self.engine.ping().await {
                if Instant::now() >= until {
                    return Err(Error::timeout(format!(
                        "dockerd did not answer within 90 s; its last lines:\n{}",
                        self.tail.text()
                    )));
                }
                sleep(PING_INTERVAL).await;
            }
            Ok(())
        };
        self.reporter.run("engine", work).await
    }

    /// The listener of the Docker API and the handle to its certificates.
    async fn listener(
        &self,
        hello: &impl Once<Welcome>,
    ) -> Result<(TcpListener, tlsproxy::Certificates)> {
        let path = identity::path(&self.home);
        let now = clock::now();
        let is_valid = identity::term(&path).is_some_and(|term| !term.is_over(now));
        let stored = identity::stored(&path)
            .filter(|_| is_valid)
            .and_then(|i| tlsproxy::config(&i).ok());
        let config = match stored {
            Some(config) => config,
            None => {
                hello.clone().await?;
                let obtained = async {
                    let mut backoff = Backoff::new(50, 5_000);
                    loop {
                        let node = &self.seed.node;
                        match identity::obtain(&self.channel, node, &path).await {
                            Err(e) if e.is_transient() => {
                                self.reporter
                                    .step("certificate", StepStatus::Retrying, plain(&e));
                                backoff.pause().await;
                            }
                            other => return other,
                        }
                    }
                };
                tlsproxy::config(&self.reporter.run("certificate", obtained).await?)?
            }
        };
        let listener = self
            .reporter
            .run("tls", tlsproxy::bind(tlsproxy::LISTEN))
            .await?;
        Ok((listener, watch::channel(InForce::new(config)).0))
    }

    /// Renews the certificate of the listener in time, until dropped.
    async fn renew(&self, certificates: &tlsproxy::Certificates) {
        let mut known = self.welcomed.subscribe();
        // `self` holds the sender, so the channel cannot close.
        let _ = known.wait_for(|yes| *yes).await;
        let (path, early) = (identity::path(&self.home), ids::jitter());
        let mut backoff = Backoff::new(500, 60_000);
        loop {
            let now = clock::now();
            let due = identity::term(&path).map_or(now, |term| term.due(early));
            if due > now {
                sleep(sleep_duration(due, now)).await;
                continue;
            }
            let renewed = async {
                let obtained = identity::obtain(&self.channel, &self.seed.node, &path).await?;
                tlsproxy::config(&obtained)
            };
            match renewed.await {
                Ok(config) => {
                    tlsproxy::renew(certificates, config);
                    log_line("the certificate is renewed");
                    backoff = Backoff::new(500, 60_000);
                }
                Err(e) => {
                    log_line(format_args!(
                        "the certificate is not renewed yet: {}",
                        plain(&e)
                    ));
                    backoff.pause().await;
                }
            }
        }
    }
}
