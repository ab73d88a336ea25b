use std::process::Command;

use nodewire::{Peer, Role};
use rtnetlink::{LinkUnspec, LinkVeth};

use super::*;

/// Set in the process that runs in a separate network namespace.
const INSIDE: &str = "JEROBOAM_TEST_NAMESPACE";

fn peer(i: u8) -> Peer {
    Peer {
        node: format!("n{i}"),
        role: Role::Worker,
        address: format!("10.0.0.{i}"),
        pod_cidr: format!("10.100.{i}.0/24"),
    }
}

fn peers(nodes: Vec<Peer>) -> Peers {
    Peers {
        version: "1".into(),
        api: None,
        nodes,
    }
}

fn to(i: u8) -> Range {
    (Ipv4Addr::from([10, 100, i, 0]), 24)
}

fn via(i: u8) -> Ipv4Addr {
    Ipv4Addr::from([10, 0, 0, i])
}

#[test]
fn only_differing_routes_are_changed() {
    let mut nodes = vec![peer(1), peer(2), peer(3), peer(4)];
    // A balancer has no pods, and invalid routes are left out.
    nodes.push(Peer {
        pod_cidr: String::new(),
        ..peer(5)
    });
    for (address, cidr) in [
        ("x", "10.100.6.0/24"),
        ("10.0.0.6", "10.100.6.0"),
        ("", "/"),
        ("10.0.0.6", "10.100.6.0/33"),
    ] {
        nodes.push(Peer {
            address: address.into(),
            pod_cidr: cidr.into(),
            ..peer(6)
        });
    }
    let present = Routes::from([(to(2), via(2)), (to(3), via(9)), (to(7), via(7))]);
    assert_eq!(
        changes(&present, &wanted("n1", &peers(nodes))),
        [
            Change::Remove(to(7)),
            Change::Set(to(3), via(3)),
            Change::Set(to(4), via(4)),
        ]
    );
}

/// Runs itself a second time in a network namespace, whose routes it may change.
#[test]
fn routes_of_the_kernel_follow_the_peers() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(follow());
    }
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let done = command
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kube::routes::tests::routes_of_the_kernel_follow_the_peers",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    assert!(said.contains("1 passed"), "{said}");
}

async fn follow() {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    run_with_connection(connection, async {
        interface(&handle).await;
        set(&wanted("n1", &peers(vec![peer(1), peer(2), peer(3)])))
            .await
            .unwrap();
        let ours = Routes::from([(to(2), via(2)), (to(3), via(3))]);
        assert_eq!(present(&handle).await.unwrap(), ours);

        // A route of another program in the same table stays.
        let mut other = route(to(8), Some(via(8)));
        other.header.protocol = RouteProtocol::Static;
        handle.route().add(other).execute().await.unwrap();

        // One node has another address, one is new, one has left.
        let moved = Peer {
            address: "10.0.0.9".into(),
            ..peer(2)
        };
        let now = wanted("n1", &peers(vec![peer(1), moved, peer(4)]));
        for _ in 0..2 {
            set(&now).await.unwrap();
            let ours = Routes::from([(to(2), via(9)), (to(4), via(4))]);
            assert_eq!(present(&handle).await.unwrap(), ours);
        }
        let every = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let all: Vec<RouteMessage> = handle
            .route()
            .get(every)
            .execute()
            .try_collect()
            .await
            .unwrap();
        let foreign = |m: &RouteMessage| {
            let to = RouteAttribute::Destination(RouteAddress::Inet([10, 100, 8, 0].into()));
            m.attributes.contains(&to)
        };
        assert_eq!(all.iter().filter(|m| foreign(m)).count(), 1);

        // An address that cannot be reached does not cut off other nodes.
        let far = Ipv4Addr::from([192, 0, 2, 1]);
        let now = Routes::from([(to(2), far), (to(3), via(3))]);
        let e = plain(&set(&now).await.unwrap_err());
        assert!(e.contains("10.100.2.0/24 via 192.0.2.1: "), "{e}");
        assert_eq!(present(&handle).await.unwrap()[&to(3)], via(3));
    })
    .await;
}

/// An interface with the address 10.0.0.1/24.
async fn interface(handle: &Handle) {
    let pair = LinkVeth::new("here", "there").build();
    handle.link().add(pair).execute().await.unwrap();
    for name in ["here", "there"] {
        let up = LinkUnspec::new_with_name(name).up().build();
        handle.link().set(up).execute().await.unwrap();
    }
    let named = handle.link().get().match_name("here").execute();
    let link = named.try_collect::<Vec<_>>().await.unwrap();
    let index = link[0].header.index;
    handle
        .address()
        .add(index, via(1).into(), 24)
        .execute()
        .await
        .unwrap();
}
