//! Registration of one boot: `hello`, join secrets, ready. Each call is
//! repeated until it succeeds.

use std::net::{IpAddr, SocketAddr};

use kernel::Result;
use nodewire::{AGENT_PROTOCOLS, Hello, Ready, StepStatus, Welcome};
use serde_json::Value;
use tokio::net::UdpSocket;

use crate::boot::Boot;
use crate::report::{log_line, plain};
use crate::retry::Backoff;
use crate::seed::{Session, save_session};
use crate::swarm;

impl Boot {
    /// The address from which this node reaches the server, determined by the
    /// routes of the kernel without sending a packet.
    pub(crate) async fn own_address(&self) -> IpAddr {
        let server = self.channel.server();
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let mut backoff = Backoff::new(10, 500);
        loop {
            let found = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(server).await?;
                socket.local_addr()
            };
            match found.await {
                Ok(address) => return address.ip(),
                Err(e) => log_line(format_args!("no route to {server} yet: {e}")),
            }
            backoff.pause().await;
        }
    }

    pub(crate) async fn hello(&self, own: IpAddr) -> Result<Welcome> {
        let hello = Hello {
            cluster: self.seed.cluster.clone(),
            node: self.seed.node.clone(),
            token: self.seed.token.clone(),
            session: self.session.session.clone(),
            addresses: vec![own.to_string()],
            boot: self.session.boot,
            protocols: AGENT_PROTOCOLS,
            software: env!("CARGO_PKG_VERSION").into(),
            peers: None,
        };
        self.reporter.step("hello", StepStatus::Start, "");
        match self.channel.hello(hello).await {
            Ok(welcome) => {
                self.reporter.step("hello", StepStatus::Ok, "");
                let _ = self.welcomed.send(true);
                Ok(welcome)
            }
            Err(e) => {
                self.reporter.step("hello", StepStatus::Failed, plain(&e));
                Err(e)
            }
        }
    }

    /// Sends the join secrets of the swarm to the server.
    pub(crate) async fn publish(&self, own: IpAddr) -> Result<()> {
        let mut backoff = Backoff::new(50, 5_000);
        loop {
            let done = async {
                let published = swarm::join_secrets(&self.engine, own).await?;
                self.channel.post::<Value>("published", &published).await
            };
            match done.await {
                Ok(_) => return Ok(()),
                Err(e) if !e.is_transient() => return Err(e),
                Err(e) => log_line(format_args!("published: {}", plain(&e))),
            }
            backoff.pause().await;
        }
    }

    /// Reports that this node is ready. `node_id` is its id in the node list of
    /// the cluster.
    pub(crate) async fn ready(&self, node_id: &str) -> Result<()> {
        let mut known = self.welcomed.subscribe();
        // `self` holds the sender, so the channel cannot close.
        let _ = known.wait_for(|yes| *yes).await;
        let ready = Ready {
            node_id: node_id.to_owned(),
        };
        self.reporter.step("ready", StepStatus::Start, "");
        let mut backoff = Backoff::new(50, 5_000);
        while let Err(e) = self.channel.post::<Value>("ready", &ready).await {
            if !e.is_transient() {
                self.reporter.step("ready", StepStatus::Failed, plain(&e));
                return Err(e);
            }
            backoff.pause().await;
        }
        self.reporter.step("ready", StepStatus::Ok, "");
        if !self.session.ready {
            let session = Session {
                ready: true,
                ..self.session.clone()
            };
            save_session(&self.home.join("session.json"), &session)?;
        }
        Ok(())
    }
}
