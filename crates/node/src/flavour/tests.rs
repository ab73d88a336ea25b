//! Golden files: everything that is written and run in nodes of other images,
//! by release. `JEROBOAM_GOLDEN=update` rewrites them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nodewire::Role;

use super::actions::{Action, ActionRunner};
use super::kubeadm::{self, Material};
use super::{k3s_plan, member};
use crate::kube::certificates;
use crate::kube::plan::Facts;
use crate::kube::plan::tests::facts;

fn golden(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/flavour/golden")
        .join(name);
    if std::env::var_os("JEROBOAM_GOLDEN").is_some() {
        fs::write(&path, now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, now, "{name}; JEROBOAM_GOLDEN=update accepts it");
}

/// The file names of the certificates of a role, each with a unique text.
fn material(role: Role) -> Material {
    let mut all = Material::new();
    for (_, name, ca) in certificates::wanted(role) {
        for file in [
            format!("{name}.crt"),
            format!("{name}.key"),
            format!("{ca}.crt"),
        ] {
            all.insert(file.clone(), format!("PEM of {file}\n"));
        }
    }
    if role == Role::Manager {
        for file in ["sa.key", "sa.pub"] {
            all.insert(file.into(), format!("PEM of {file}\n"));
        }
    }
    all
}

fn shown(actions: &[Action]) -> String {
    actions.iter().map(Action::shown).collect()
}

/// A node with a flavor of 2 GiB on a host of 8.
fn small(role: Role, minor: u16) -> Facts {
    const GIB: u64 = 1 << 30;
    let mut f = facts(role, minor);
    f.memory = Some((2 * GIB, 8 * GIB));
    f
}

#[test]
fn kindest_nodes_match_the_golden_files() {
    for (minor, version) in [
        (22, "v1.22.17"),
        (25, "v1.25.16"),
        (30, "v1.30.4"),
        (36, "v1.36.1"),
    ] {
        for (role, word) in [(Role::Manager, "master"), (Role::Worker, "worker")] {
            let f = small(role, minor);
            let actions = if role == Role::Manager {
                kubeadm::master(&f, version, &material(role))
            } else {
                kubeadm::worker(&f, version, &material(role))
            };
            let name = format!("kindest-{word}-1.{minor}.txt");
            golden(&name, &shown(&actions.unwrap()));
        }
    }
}

#[test]
fn no_key_of_a_ca_is_written() {
    let f = small(Role::Manager, 36);
    for action in kubeadm::master(&f, "v1.36.1", &material(Role::Manager)).unwrap() {
        if let Action::Write { path, .. } = action {
            assert!(!path.ends_with("ca.key"), "{path}");
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let f = facts(Role::Manager, 36);
    let mut lacking = material(Role::Manager);
    lacking.remove("etcd.crt");
    let e = kubeadm::master(&f, "v1.36.1", &lacking).unwrap_err();
    assert!(
        e.context
            .as_deref()
            .unwrap_or(&e.message)
            .contains("etcd.crt"),
        "{e:?}"
    );
    let e = kubeadm::minor("latest\n").unwrap_err();
    assert!(
        e.message
            .contains("/kind/version: 'latest' is not of the form"),
        "{e}"
    );
    assert_eq!(kubeadm::minor("v1.37.0-rc.1\n").unwrap(), 37);
    let e = k3s_plan::minor("podman version 5").unwrap_err();
    assert!(e.message.contains("/bin/k3s --version says 'podman"), "{e}");
    assert_eq!(
        k3s_plan::minor("k3s version v1.33.4+k3s1 (148243c4)\ngo version x").unwrap(),
        33
    );
}

#[test]
fn k3s_nodes_match_the_golden_files() {
    let text = |c: &k3s_plan::Command| {
        let env: String = c.env.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        let line: String = c.arguments.iter().map(|a| format!("  {a}\n")).collect();
        format!("{env}{}\n{line}", k3s_plan::PROGRAM)
    };
    let server = k3s_plan::server(&small(Role::Manager, 36), "5ec7e7");
    golden("k3s-server-1.36.txt", &text(&server));
    let server = k3s_plan::server(&facts(Role::Manager, 30), "5ec7e7");
    golden("k3s-server-1.30.txt", &text(&server));
    let agent = k3s_plan::agent(&small(Role::Worker, 36), "K10ab::server:5ec7e7");
    golden("k3s-agent-1.36.txt", &text(&agent));
}

#[test]
fn k3s_serves_clients_of_both_cas() {
    let cluster = pki::Ca::generate("c").unwrap();
    let (own, key) = k3s_plan::client_ca().unwrap();
    let bundle = k3s_plan::bundle(&own, &cluster.cert_pem);
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    // k3s signs with the first CA.
    assert!(bundle.starts_with(own.trim()));
    assert!(key.contains("PRIVATE KEY") && !bundle.contains("PRIVATE"));
    let info = pki::CertInfo::from_pem(&own).unwrap();
    assert!(info.subject.contains("k3s-client-ca-"), "{}", info.subject);
}

#[test]
fn what_is_not_the_nodes_is_reserved() {
    assert_eq!(member::reserved(&facts(Role::Worker, 36)), None);
    let reserved = member::reserved(&small(Role::Worker, 36));
    assert_eq!(reserved.as_deref(), Some("memory=6394Mi"));
}

/// A directory used as the root of a node, with programs that record their
/// calls; `kubeadm` fails as often as a file says.
struct TestServer {
    dir: tempfile::TempDir,
}

impl TestServer {
    fn new(failures: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("failures"), failures).unwrap();
        for name in ["kubeadm", "kubectl"] {
            let script = format!(
                "#!/bin/sh\n\
                 D={root}\n\
                 echo \"{name} $*\" >>$D/calls\n\
                 [ {name} = kubectl ] && cat >>$D/fed\n\
                 if [ {name} = kubeadm ] && [ \"$1\" != reset ] && [ -s $D/failures ]; then\n\
                 : >$D/failures\n\
                 echo 'error execution phase wait-control-plane' >&2\n\
                 exit 1\n\
                 fi\n\
                 test -f $D/kind/kubeadm.conf\n",
                root = dir.path().display()
            );
            let path = dir.path().join("bin").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let manifests = dir.path().join("kind/manifests");
        fs::create_dir_all(&manifests).unwrap();
        let cni = "# would you kindly template this file\nsubnet: {{ .PodSubnet }}\n";
        fs::write(manifests.join("default-cni.yaml"), cni).unwrap();
        fs::write(
            manifests.join("default-storage.yaml"),
            "class: {{ kept }}\n",
        )
        .unwrap();
        Self { dir }
    }

    fn action_runner(&self) -> ActionRunner {
        let ours = self.dir.path().join("bin");
        ActionRunner {
            root: self.dir.path().to_owned(),
            path: Some(format!("{}:/bin:/usr/bin", ours.display())),
        }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap_or_default()
    }
}

#[tokio::test]
async fn actions_run_in_order() {
    let stage = TestServer::new("");
    let f = facts(Role::Manager, 36);
    let actions = kubeadm::master(&f, "v1.36.1", &material(Role::Manager)).unwrap();
    stage.action_runner().all(&actions).await.unwrap();
    assert_eq!(
        stage.read("calls"),
        "kubeadm init --config=/kind/kubeadm.conf --skip-token-print --v=6\n\
         kubectl --kubeconfig=/etc/kubernetes/admin.conf apply -f -\n\
         kubectl --kubeconfig=/etc/kubernetes/admin.conf apply -f -\n"
    );
    let fed = stage.read("fed");
    assert!(fed.contains("subnet: 10.100.0.0/16"), "{fed}");
    assert!(fed.contains("class: {{ kept }}"), "{fed}");
    let pki = stage.dir.path().join("etc/kubernetes/pki");
    assert_eq!(
        stage.read("etc/kubernetes/pki/etcd/ca.crt"),
        "PEM of etcd-ca.crt\n"
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&pki.join("apiserver.key")), 0o600);
    assert!(!pki.join("ca.key").exists());
}

#[tokio::test]
async fn a_failure_includes_the_end_of_the_programs_output() {
    let stage = TestServer::new("once");
    let f = facts(Role::Worker, 36);
    let actions = kubeadm::worker(&f, "v1.36.1", &material(Role::Worker)).unwrap();
    let e = stage.action_runner().all(&actions).await.unwrap_err();
    let said = crate::report::plain(&e);
    assert!(
        said.starts_with("kubeadm join --config /kind/kubeadm.conf --v=6: exit status: 1"),
        "{said}"
    );
    assert!(said.contains("phase wait-control-plane"), "{said}");
    stage.action_runner().all(&kubeadm::reset()).await.unwrap();
    stage.action_runner().all(&actions).await.unwrap();
    assert_eq!(
        stage.read("calls"),
        "kubeadm join --config /kind/kubeadm.conf --v=6\n\
         kubeadm reset --force --v=6\n\
         kubeadm join --config /kind/kubeadm.conf --v=6\n"
    );
    let e = stage
        .action_runner()
        .run(
            &["absent-program".into()],
            "",
            std::time::Duration::from_secs(5),
        )
        .await;
    assert!(crate::report::plain(&e.unwrap_err()).contains("absent-program"));
}
