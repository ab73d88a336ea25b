//! Additional container settings of a node by image flavour: pure. They follow
//! the contracts of the tools for these images, kind and k3d.

use infra::{ContainerSpec, FileSpec, Foreign, ProgramSpec};

use crate::api::NodeFlavour;

/// Path of the agent in images that were not built by Jeroboam.
const AGENT: &str = "/opt/jeroboam/jeroboam-node";

/// Unit that starts the agent next to the other systemd units of a kindest
/// node. Its log is written to the console, which Docker collects.
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
# What kubeadm has started continues to run without it.
KillMode=process

[Install]
WantedBy=multi-user.target
";

/// Replaces the link that `systemctl enable` would create.
const WANTS: &str = "[Unit]\nWants=jeroboam-node.service\n";

/// Volumes of a node: name suffix, path in the container.
pub(super) fn volume_mounts(flavour: NodeFlavour) -> &'static [(&'static str, &'static str)] {
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

/// Adds the settings of the flavour to `spec`; `agent` is a path on this
/// machine.
pub(super) fn apply_flavour(spec: &mut ContainerSpec, flavour: NodeFlavour, agent: &str) {
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
                // `enter` does what `privileged` would do for systemd, then
                // executes the entrypoint of the image.
                entrypoint: Some(strings(&[
                    AGENT,
                    "enter",
                    "/usr/local/bin/entrypoint",
                    "/sbin/init",
                ])),
                init: Some(false),
                tty: true,
                tmpfs: strings(&["/run", "/tmp"]),
                read_only_mounts: strings(&["/lib/modules"]),
                program: Some(program),
                pull: true,
            };
        }
        NodeFlavour::K3s => {
            spec.foreign = Foreign {
                entrypoint: Some(strings(&[AGENT, "init", "--flavour=k3s"])),
                // The image has no init that reaps zombie processes.
                init: Some(true),
                tty: false,
                tmpfs: strings(&["/run", "/var/run"]),
                read_only_mounts: Vec::new(),
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

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|w| (*w).to_owned()).collect()
}
