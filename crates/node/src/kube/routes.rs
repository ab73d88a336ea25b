//! Routes to the pods of other nodes, by netlink: set at every start and on
//! every change of the peers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use kernel::{Error, Result};
use nodewire::Peers;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol,
};
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::http::run_with_connection;
use crate::report::{log_line, plain};

/// The protocol number that identifies our routes.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(77);

/// A pod range: its IPv4 address and the length of its prefix.
type Range = (Ipv4Addr, u8);
/// The gateways of ranges.
type Routes = BTreeMap<Range, Ipv4Addr>;

/// Sets the routes to the nodes in `known` at each change, until dropped.
pub(super) async fn keep(node: &str, mut known: watch::Receiver<Option<Peers>>) {
    loop {
        let peers = known.borrow_and_update().clone();
        if let Some(peers) = peers
            && let Err(e) = set(&wanted(node, &peers)).await
        {
            log_line(format_args!("routes: {}", plain(&e)));
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        if known.changed().await.is_err() {
            return;
        }
    }
}

/// The routes to the pods of the other nodes.
fn wanted(node: &str, peers: &Peers) -> Routes {
    let others = peers
        .nodes
        .iter()
        .filter(|p| p.node != node && !p.pod_cidr.is_empty());
    let route = |cidr: &str, via: &str| Some((range(cidr)?, via.parse().ok()?));
    others
        .filter_map(|p| {
            let found = route(&p.pod_cidr, &p.address);
            if found.is_none() {
                let (cidr, via) = (&p.pod_cidr, &p.address);
                log_line(format_args!(
                    "routes: {cidr} via {via} is not a valid route"
                ));
            }
            found
        })
        .collect()
}

fn range(cidr: &str) -> Option<Range> {
    let (address, length) = cidr.split_once('/')?;
    let length = length.parse().ok().filter(|length| *length <= 32)?;
    Some((address.parse().ok()?, length))
}

/// A difference between the existing and the desired routes.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Remove(Range),
    /// Adds a route, or changes its gateway.
    Set(Range, Ipv4Addr),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove((to, length)) => write!(f, "removing {to}/{length}"),
            Self::Set((to, length), via) => write!(f, "{to}/{length} via {via}"),
        }
    }
}

fn changes(present: &Routes, wanted: &Routes) -> Vec<Change> {
    let stale = present.keys().filter(|to| !wanted.contains_key(to));
    let missing = wanted
        .iter()
        .filter(|(to, via)| present.get(to) != Some(via));
    stale
        .map(|to| Change::Remove(*to))
        .chain(missing.map(|(to, via)| Change::Set(*to, *via)))
        .collect()
}

/// Changes our routes to `wanted`.
///
/// # Errors
/// Internal: the kernel refused a change. All other changes are made, because a
/// wrong address of one node must not cut off the others.
async fn set(wanted: &Routes) -> Result<()> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|e| Error::internal(format!("netlink: {e}")))?;
    let work = async {
        let mut failed = Vec::new();
        for change in changes(&present(&handle).await?, wanted) {
            let routes = handle.route();
            let done = match change {
                Change::Remove(to) => routes.del(route(to, None)).execute().await,
                Change::Set(to, via) => {
                    let route = route(to, Some(via));
                    routes.add(route).replace().execute().await
                }
            };
            if let Err(e) = done {
                failed.push(format!("{change}: {e}"));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        Err(Error::internal(failed.join("; ")))
    };
    run_with_connection(connection, work).await
}

fn route((to, length): Range, via: Option<Ipv4Addr>) -> RouteMessage {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .protocol(PROTOCOL)
        .destination_prefix(to, length);
    match via {
        Some(via) => route.gateway(via).build(),
        None => route.build(),
    }
}

/// Our routes in the main table.
async fn present(handle: &Handle) -> Result<Routes> {
    let every = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let all = handle.route().get(every).execute();
    let all: Vec<RouteMessage> = all
        .try_collect()
        .await
        .map_err(|e| Error::internal(format!("listing routes: {e}")))?;
    Ok(all.iter().filter_map(read).collect())
}

/// Reads a route; `None` if it is not one of ours.
fn read(route: &RouteMessage) -> Option<(Range, Ipv4Addr)> {
    let header = &route.header;
    if header.protocol != PROTOCOL || header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let find = |wanted: fn(&RouteAttribute) -> Option<&RouteAddress>| match route
        .attributes
        .iter()
        .find_map(wanted)?
    {
        RouteAddress::Inet(ip) => Some(*ip),
        _ => None,
    };
    let to = find(|a| match a {
        RouteAttribute::Destination(to) => Some(to),
        _ => None,
    })?;
    let via = find(|a| match a {
        RouteAttribute::Gateway(via) => Some(via),
        _ => None,
    })?;
    Some(((to, header.destination_prefix_length), via))
}

#[cfg(test)]
mod tests;
