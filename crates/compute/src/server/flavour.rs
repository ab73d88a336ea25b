//! What the container of a node has of its image's flavour: pure. The
//! contracts are those of the images' own tools, kind and k3d.

use infra::{ContainerSpec, FileSpec, Foreign, ProgramSpec};

use crate::face::NodeFlavour;

/// Where our agent is put in an image of others.
const AGENT: &str = "/opt/jeroboam/jeroboam-node";

/// Starts the agent beside everything else that systemd starts in a kindest
/// node. Docker has its log through the console.
const UNIT: &str = "\
[Unit]
Description=Agent of Jeroboam
After=containerd.service
Wants=containerd.service
# However often it has ended: it is started again.
StartLimitIntervalSec=0

[Service]
ExecStart=/opt/jeroboam/jeroboam-node init --flavour=kindest
StandardOutput=journal+console
StandardError=journal+console
Restart=always
RestartSec=1s
# What kubeadm has started goes on without it.
KillMode=process

[Install]
WantedBy=multi-user.target
";

/// In the place of the link that `systemctl enable` would make.
const WANTS: &str = "[Unit]\nWants=jeroboam-node.service\n";

/// Volumes of a node: end of the name, place in the container.
pub(super) fn places(flavour: NodeFlavour) -> &'static [(&'static str, &'static str)] {
    match flavour {
        NodeFlavour::Own => &[("docker", "/var/lib/docker")],
        NodeFlavour::Kindest => &[("var", "/var")],
        NodeFlavour::K3s => &[
            ("k3s", "/var/lib/rancher/k3s"),
            ("kubelet", "/var/lib/kubelet"),
            ("cni", "/var/lib/cni"),
            ("log", "/var/log"),
        ],
    }
}

/// Adds to `spec` what the flavour needs; `agent` is a path on our machine.
pub(super) fn dress(spec: &mut ContainerSpec, flavour: NodeFlavour, agent: &str) {
    let program = ProgramSpec {
        source: agent.to_owned(),
        target: AGENT.to_owned(),
    };
    match flavour {
        NodeFlavour::Own => {}
        NodeFlavour::Kindest => {
            let env = [("KUBECONFIG", "/etc/kubernetes/admin.conf")];
            spec.env.extend(env.map(|(k, v)| (k.into(), v.into())));
            spec.files.extend([
                text("/etc/systemd/system/jeroboam-node.service", UNIT),
                text(
                    "/etc/systemd/system/multi-user.target.d/50-jeroboam.conf",
                    WANTS,
                ),
            ]);
            spec.foreign = Foreign {
                // What `privileged` would have done for systemd is done by
                // `enter`, which then becomes the image's own entrypoint.
                entrypoint: Some(words(&[
                    AGENT,
                    "enter",
                    "/usr/local/bin/entrypoint",
                    "/sbin/init",
                ])),
                init: Some(false),
                tty: true,
                tmpfs: words(&["/run", "/tmp"]),
                shown: words(&["/lib/modules"]),
                program: Some(program),
                pull: true,
            };
        }
        NodeFlavour::K3s => {
            spec.foreign = Foreign {
                entrypoint: Some(words(&[AGENT, "init", "--flavour=k3s"])),
                // The image has no init of its own to collect dead processes.
                init: Some(true),
                tty: false,
                tmpfs: words(&["/run", "/var/run"]),
                shown: Vec::new(),
                program: Some(program),
                pull: true,
            };
        }
    }
}

fn text(path: &str, content: &str) -> FileSpec {
    FileSpec {
        path: path.into(),
        mode: 0o644,
        content: content.into(),
    }
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|w| (*w).to_owned()).collect()
}
