//! Isolated networks on a real engine (`JEROBOAM_TEST_DOCKER=1`): what a container
//! reaches of the host, of another network, and of a network namespace that takes the
//! place of the outside.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use infra::{Actor, BridgeSpec, BridgeView, LABEL, NetworkFabric as _};
use kernel::ids;

use super::Isolation;
use crate::Engine;

const ACTOR: Actor = Actor::Lease(7);
/// The outside, with an address of the kind that clouds use for metadata.
const HOST: &str = "198.51.100.1";
const OUTSIDE: &str = "198.51.100.2";
const METADATA: &str = "169.254.77.77";
/// Port of the containers and of the outside.
const PORT: u16 = 7000;
const REFUSED: &str = "Connection refused";
/// Tests use the same addresses, so they run one after the other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What this test creates beside the networks; removed when it is dropped.
struct Scene {
    id: String,
    /// Ports of listeners on all addresses of this machine.
    bootstrap: u16,
    registry: u16,
    other: u16,
    /// The listener in the outside.
    listener: Option<Child>,
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(arguments);
    command.output().unwrap()
}

fn done(program: &str, arguments: &[&str]) -> String {
    let out = run(program, arguments);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {arguments:?}: {text}");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Listens on all addresses of this machine for the rest of the test.
fn listen() -> u16 {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self {
            id: ids::secret_hex(3),
            bootstrap: listen(),
            registry: listen(),
            other: listen(),
            listener: None,
        };
        let (ns, inner) = (scene.namespace(), format!("jbi{}", scene.id));
        let outer = scene.device();
        let ip = |line: &str| done("ip", &line.split(' ').collect::<Vec<_>>());
        ip(&format!("netns add {ns}"));
        ip(&format!(
            "link add {outer} type veth peer name {inner} netns {ns}"
        ));
        ip(&format!("address add {HOST}/30 dev {outer}"));
        ip(&format!("link set {outer} up"));
        ip(&format!("-n {ns} link set lo up"));
        ip(&format!("-n {ns} address add {OUTSIDE}/30 dev {inner}"));
        ip(&format!("-n {ns} address add {METADATA}/32 dev {inner}"));
        ip(&format!("-n {ns} link set {inner} up"));
        ip(&format!("route add {METADATA}/32 via {OUTSIDE}"));
        let listener = format!("netns exec {ns} busybox nc -ll -p {PORT} -e echo outside");
        let listener = Command::new("ip").args(listener.split(' ')).spawn();
        scene.listener = Some(listener.unwrap());
        let connect = format!(
            "until busybox nc -w 1 {OUTSIDE} {PORT} </dev/null 2>/dev/null; do sleep 0.05; done"
        );
        done("sh", &["-c", &connect]);
        let import = format!(
            "d=$(mktemp -d) && mkdir -p $d/bin && cp /bin/busybox $d/bin/ && ln -s busybox $d/bin/sh \
             && tar -C $d -c . | docker import - {} && rm -rf $d",
            scene.image()
        );
        done("sh", &["-c", &import]);
        scene
    }

    fn namespace(&self) -> String {
        format!("jb-outside-{}", self.id)
    }

    fn device(&self) -> String {
        format!("jbo{}", self.id)
    }

    fn image(&self) -> String {
        format!("jeroboam-test/firewall:{}", self.id)
    }

    fn container(&self, number: u8) -> String {
        format!("jb-firewall-{}-{number}", self.id)
    }

    fn spec(&self, number: u8) -> BridgeSpec {
        let name = format!("jb-net-{}-{number}", self.id);
        BridgeSpec {
            labels: BTreeMap::from([(LABEL.to_owned(), name.clone())]),
            name,
            cidr: format!("10.252.{number}.0/24").parse().unwrap(),
            gateway: Ipv4Addr::new(10, 252, number, 1),
            internal: false,
            mtu: None,
        }
    }

    /// An engine that isolates networks, or not.
    fn engine(&self, outside: Option<bool>) -> Engine {
        let isolation = outside.map(|outside| Isolation {
            outside,
            host_services: vec![format!("tcp:{}", self.registry).parse().unwrap()],
            bootstrap_port: self.bootstrap,
        });
        Engine::connect(None).unwrap().isolate(isolation)
    }

    /// Starts a container that answers with its name, in the network of its number.
    fn start(&self, number: u8, publish: &str) {
        self.start_at(number, number, 9, publish);
    }

    /// Starts a container that answers with its name, at an address of a network.
    fn start_at(&self, number: u8, network: u8, address: u8, publish: &str) {
        let (name, image) = (self.container(number), self.image());
        let ip = format!("10.252.{network}.{address}");
        let network = self.spec(network).name;
        let answers = format!("exec busybox nc -ll -p {PORT} -e echo {name}");
        let options = ["--network", &network, "--ip", &ip];
        let sysctl = ["--sysctl", "net.ipv6.conf.all.disable_ipv6=0"];
        let mut arguments = vec!["run", "-d", "--rm", "--name", &name];
        arguments.extend(options.into_iter().chain(sysctl));
        if !publish.is_empty() {
            arguments.extend(["-p", publish]);
        }
        arguments.extend([&*image, "sh", "-c", &answers]);
        done("docker", &arguments);
    }

    /// Connects from the first container; returns the error.
    fn error(&self, address: &str, port: u16) -> Option<String> {
        let call = format!("busybox nc -w 3 {address} {port} </dev/null");
        let out = run("docker", &["exec", &self.container(77), "sh", "-c", &call]);
        (!out.status.success()).then(|| String::from_utf8_lossy(&out.stderr).into_owned())
    }

    #[track_caller]
    fn reaches(&self, address: &str, port: u16) {
        assert_eq!(self.error(address, port), None, "{address}:{port}");
    }

    #[track_caller]
    fn refused(&self, address: &str, port: u16) {
        let error = self.error(address, port).unwrap_or_default();
        assert!(error.contains(REFUSED), "{address}:{port}: '{error}'");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let ns = self.namespace();
        for number in [77, 78] {
            run("docker", &["rm", "-f", &self.container(number)]);
            run("docker", &["network", "rm", &self.spec(number).name]);
        }
        run("docker", &["image", "rm", &self.image()]);
        if let Some(mut listener) = self.listener.take() {
            let _ = listener.kill();
            let _ = listener.wait();
        }
        run("ip", &["link", "delete", &self.device()]);
        run("ip", &["netns", "delete", &ns]);
    }
}

/// All rules of a device, by `iptables` and `ip6tables`.
fn rules(device: &str) -> Vec<String> {
    let text = ["iptables", "ip6tables"].map(|program| done(program, &["-w", "-S"]));
    let lines = text.iter().flat_map(|t| t.lines());
    let of_device = lines.filter(|line| line.contains(device) && line.contains("JEROBOAM"));
    of_device.map(str::to_owned).collect()
}

/// The link-local address of a device.
fn link_local(device: &str) -> Option<String> {
    let text = done("ip", &["-6", "-o", "address", "show", "dev", device]);
    let address = text
        .split_whitespace()
        .find(|word| word.starts_with("fe80"))?;
    Some(address.split_once('/')?.0.to_owned())
}

#[tokio::test]
async fn a_real_network_is_isolated() {
    if std::env::var_os("JEROBOAM_TEST_DOCKER").is_none() {
        return;
    }
    let _turn = TURN.lock().await;
    let scene = Scene::new();
    let open = scene.engine(None);
    let made = open.ensure(ACTOR, &scene.spec(77)).await.unwrap();
    let neighbour = scene.engine(Some(true));
    let other = neighbour.ensure(ACTOR, &scene.spec(78)).await.unwrap();
    let device = made.device.clone().unwrap();
    let published = 17_000 + u16::from(scene.id.as_bytes()[0]);
    scene.start(77, &format!("{HOST}:{published}:{PORT}"));
    scene.start(78, "");
    // Without isolation everything of the host is reachable.
    assert!(rules(&device).is_empty());
    for address in ["10.252.77.1", "10.252.78.1", HOST] {
        scene.reaches(address, scene.other);
    }
    scene.reaches(OUTSIDE, PORT);
    scene.reaches(METADATA, PORT);
    let link_local = link_local(&device).map(|address| format!("{address}%eth0"));
    if let Some(address) = &link_local {
        // The kernel checks for a second whether another machine has the address.
        let deadline = Instant::now() + Duration::from_secs(10);
        while scene.error(address, scene.other).is_some() && Instant::now() < deadline {}
        scene.reaches(address, scene.other);
    }

    let engine = scene.engine(Some(true));
    engine.ensure(ACTOR, &scene.spec(77)).await.unwrap();
    isolated(&scene);
    scene.reaches(OUTSIDE, PORT);
    from_outside(&scene, published);
    if let Some(address) = &link_local {
        let error = scene.error(address, scene.other);
        assert!(error.is_some(), "{address} is open");
    }

    // A flush of all rules and a changed chain, as after a restart of the machine or by
    // hand.
    let expected = rules(&device);
    let chain = format!("JEROBOAM-I-{device}");
    for broken in [
        vec!["-F", &chain],
        vec!["-F", "JEROBOAM-INPUT"],
        vec!["-F", "JEROBOAM-FORWARD"],
    ] {
        done("iptables", &[&["-w"], &broken[..]].concat());
        assert_ne!(rules(&device), expected);
        let both = [made.clone(), other.clone()];
        engine.restore(&both).await.unwrap();
        let mut restored = rules(&device);
        restored.sort();
        let mut wanted = expected.clone();
        wanted.sort();
        assert_eq!(restored, wanted, "{broken:?}");
    }
    isolated(&scene);

    let closed = scene.engine(Some(false));
    closed.restore(std::slice::from_ref(&made)).await.unwrap();
    isolated(&scene);
    scene.refused(OUTSIDE, PORT);
    from_outside(&scene, published);

    // The removal of a network with containers changes nothing.
    engine.remove(ACTOR, &made.id).await.unwrap_err();
    assert!(!rules(&device).is_empty());
    open.restore(std::slice::from_ref(&made)).await.unwrap();
    assert!(rules(&device).is_empty());
    scene.reaches("10.252.77.1", scene.other);
    engine.restore(std::slice::from_ref(&made)).await.unwrap();
    nothing_is_left(&scene, &engine, &made, &other).await;
}

/// Sends forged packets and opens many connections from the network of a container.
const ATTACKS: &str = include_str!("attacks.py");

/// What a node attempts as root, with programs that the container does not contain.
fn attack(scene: &Scene, arguments: &[&str]) -> String {
    let process = done(
        "docker",
        &["inspect", "-f", "{{.State.Pid}}", &scene.container(77)],
    );
    let command = ["-t", &process, "-n", "python3", "-c", ATTACKS];
    done("nsenter", &[&command, arguments].concat())
}

/// A port of the host as the container reaches it after it has sent a packet that looks
/// as if the host had connected from this port to the container.
fn forge(scene: &Scene, own_port: &str) -> String {
    let port = scene.other.to_string();
    let (gateway, own) = ("10.252.77.1", "10.252.77.9");
    attack(scene, &["forge", gateway, &port, own, own_port])
}

#[tokio::test]
async fn forged_packets_and_many_connections_open_nothing() {
    if std::env::var_os("JEROBOAM_TEST_DOCKER").is_none() {
        return;
    }
    let bridged = std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables");
    assert_eq!(
        bridged.unwrap_or_default().trim(),
        "1",
        "without br_netfilter this attack is not possible, so nothing would be tested; \
         `modprobe br_netfilter`"
    );
    let _turn = TURN.lock().await;
    let scene = Scene::new();
    let engine = scene.engine(Some(true));
    let made = engine.ensure(ACTOR, &scene.spec(77)).await.unwrap();
    let device = made.device.clone().unwrap();
    scene.start(77, "");
    // The host tracks a bridged packet only if it leaves by another port of the bridge.
    scene.start_at(78, 77, 10, "");
    assert_eq!(forge(&scene, "40001"), "ECONNREFUSED");
    // The rules of the table `raw` are what prevents it.
    let raw = done("iptables", &["-w", "-t", "raw", "-S", "PREROUTING"]);
    let of_device = raw.lines().filter(|rule| rule.contains(&device));
    for rule in of_device {
        let rule = rule.replacen("-A", "-D", 1);
        let removal: Vec<&str> = ["-w", "-t", "raw"]
            .into_iter()
            .chain(rule.split(' '))
            .collect();
        done("iptables", &removal);
    }
    assert_eq!(forge(&scene, "40002"), "connected");
    engine.restore(std::slice::from_ref(&made)).await.unwrap();
    assert_eq!(forge(&scene, "40003"), "ECONNREFUSED");

    // The host would track each of these for two minutes after its end.
    let listener = scene.bootstrap.to_string();
    let opened = attack(&scene, &["open", "10.252.77.1", &listener, "100000"]);
    let opened: u32 = opened.parse().unwrap();
    assert!((900..100_000).contains(&opened), "{opened} connections");
    for number in [77, 78] {
        done("docker", &["rm", "-f", &scene.container(number)]);
    }
    engine.remove(ACTOR, &made.id).await.unwrap();
}

/// What holds whether the outside is reachable or not.
fn isolated(scene: &Scene) {
    scene.reaches("10.252.77.1", scene.bootstrap);
    for address in ["10.252.77.1", "10.252.78.1", HOST] {
        scene.reaches(address, scene.registry);
        scene.refused(address, scene.other);
    }
    for address in ["10.252.78.1", HOST] {
        scene.refused(address, scene.bootstrap);
    }
    scene.refused("10.252.78.9", PORT);
    scene.refused(METADATA, PORT);
}

/// The host and the outside open connections to the container, and get answers.
fn from_outside(scene: &Scene, published: u16) {
    let mut stream = TcpStream::connect(("10.252.77.9", PORT)).unwrap();
    let limit = Some(Duration::from_secs(5));
    stream.set_read_timeout(limit).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.trim(), scene.container(77));
    let (ns, port) = (scene.namespace(), published.to_string());
    let call = [
        "netns", "exec", &ns, "busybox", "nc", "-w", "3", HOST, &port,
    ];
    assert_eq!(done("ip", &call), scene.container(77));
}

async fn nothing_is_left(scene: &Scene, engine: &Engine, made: &BridgeView, other: &BridgeView) {
    for number in [77, 78] {
        done("docker", &["rm", "-f", &scene.container(number)]);
    }
    engine.remove(ACTOR, &made.id).await.unwrap();
    let removed = made.device.as_deref().unwrap();
    assert!(rules(removed).is_empty());
    // A network that is removed by hand leaves rules, which the next check removes.
    let device = other.device.as_deref().unwrap();
    done("docker", &["network", "rm", &other.id]);
    assert!(!rules(device).is_empty());
    engine.restore(&[]).await.unwrap();
    assert!(rules(device).is_empty());
    engine.remove(ACTOR, &made.id).await.unwrap();
}
