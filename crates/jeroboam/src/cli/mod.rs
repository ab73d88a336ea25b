//! The command line: arguments and dispatch.
#![expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment of its user"
)]

mod client;
mod cluster;
mod credentials;
mod doctor;
mod fields;
mod host;
mod image;
mod key;
mod kubeconfig;
mod leaks;
mod policy;
mod progress;
mod serve;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};

/// Container clusters as a service: server and command line in one.
#[derive(Parser)]
#[command(
    name = "jeroboam",
    version,
    after_help = "Examples:\n  jeroboam doctor\n  jeroboam image build swarm\n  jeroboam serve\n  jeroboam cluster create demo --node-count 2 --wait\n  jeroboam cluster config demo --dir ./demo-tls\n\nThe commands that talk to a server read clouds.yaml (./, ~/.config/openstack, /etc/openstack,\nOS_CLIENT_CONFIG_FILE) and OS_* variables as the OpenStack clients do."
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Entry of clouds.yaml to use, for image, cluster and leaks [env: OS_CLOUD].
    #[arg(long, value_name = "NAME")]
    os_cloud: Option<String>,
}

/// The commands that talk to a server accept the option at their own level, too.
/// It is not a global option of clap, because then `serve` would accept it.
#[derive(clap::Args)]
struct CloudArgs {
    /// Entry of clouds.yaml to use [env: OS_CLOUD].
    #[arg(long, value_name = "NAME", global = true)]
    os_cloud: Option<String>,
}

#[derive(clap::Args)]
struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
    #[command(flatten)]
    cloud: CloudArgs,
}

#[derive(clap::Args)]
struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
    #[command(flatten)]
    cloud: CloudArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Check the prerequisites of this machine, and print commands that fix problems.
    Doctor,
    /// Prepare this machine as a host of containers.
    #[command(
        subcommand,
        after_help = "Examples:\n  jeroboam host check\n  jeroboam host prepare"
    )]
    Host(HostCommand),
    /// Build and register node images.
    #[command(
        after_help = "A cluster template names the image of its nodes. Images built by Jeroboam are registered as\nswarm and kubernetes.\n\nExamples:\n  jeroboam image build swarm\n  jeroboam image register kind-1.36 --ref docker.io/kindest/node:v1.36.1"
    )]
    Image(ImageArgs),
    /// Create, show and delete clusters, and get access to them.
    #[command(
        after_help = "Examples:\n  jeroboam cluster create demo --node-count 2 --wait\n  jeroboam cluster show demo\n  eval $(jeroboam cluster config demo --dir ./demo-tls)\n  jeroboam cluster delete demo --wait"
    )]
    Cluster(ClusterArgs),
    /// List, rotate and retire the keys of a server while it runs.
    #[command(
        subcommand,
        after_help = "Run these commands on a machine with the key directory of the server. They take --state-dir,\n--config and the database as serve does.\n\nExamples:\n  jeroboam key list --state-dir /var/lib/jeroboam\n  jeroboam key rotate fernet --state-dir /var/lib/jeroboam"
    )]
    Key(key::KeyCommand),
    /// List objects that are only in the engine or only in the ledger.
    Leaks {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cloud: CloudArgs,
    },
    /// List and check access rules, without a running server.
    #[command(
        subcommand,
        after_help = "Examples:\n  jeroboam policy list\n  jeroboam policy check /etc/jeroboam/policy.yaml"
    )]
    Policy(policy::PolicyCommand),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Examples:\n  jeroboam completion bash > /etc/bash_completion.d/jeroboam"
    )]
    Completion {
        /// Shell that runs the script.
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum HostCommand {
    /// Check whether nodes can have user namespaces; the exit code is 1 if not.
    #[command(
        after_help = "Examples:\n  jeroboam host check\n  jeroboam host check --config /etc/jeroboam.toml"
    )]
    Check(host::CheckArgs),
    /// Register the runtime for nodes in user namespaces in the engine.
    #[command(
        after_help = "Installs jeroboam-runtime, adds the runtime jeroboam-userns to the engine's configuration and\nreloads the engine; running containers continue to run. A repetition changes nothing.\n\nExamples:\n  jeroboam host prepare\n  jeroboam host prepare --daemon-config /srv/docker/daemon.json --pid-file /srv/docker/docker.pid"
    )]
    Prepare(host::PrepareArgs),
}

#[derive(Subcommand)]
enum ImageCommand {
    /// Build a node image and register it.
    #[command(
        after_help = "Examples:\n  jeroboam image build swarm\n  jeroboam image build kubernetes --kube-version 1.35"
    )]
    Build(image::BuildArgs),
    /// Register a node image of kind or k3s.
    #[command(
        after_help = "Examples:\n  jeroboam image register kind-1.36 --ref docker.io/kindest/node:v1.36.1\n  jeroboam image register k3s --ref mirror.example.org/k3s:v1.36.1-k3s1 --flavour k3s"
    )]
    Register(image::RegisterArgs),
}

#[derive(Subcommand)]
enum ClusterCommand {
    /// Create a cluster.
    #[command(
        after_help = "Examples:\n  jeroboam cluster create demo --node-count 2 --wait\n  jeroboam cluster create prod --cluster-template swarm-large --master-count 3 --wait"
    )]
    Create(cluster::CreateArgs),
    /// List clusters.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a cluster, its nodes and their steps.
    #[command(
        after_help = "The table leaves out fields without a value; --json prints all fields, and the resources of\nthe cluster.\n\nExamples:\n  jeroboam cluster show demo\n  jeroboam cluster show demo --json"
    )]
    Show {
        /// Name or uuid.
        cluster: String,
        /// Print JSON with all fields.
        #[arg(long)]
        json: bool,
    },
    /// Delete a cluster.
    #[command(after_help = "Examples:\n  jeroboam cluster delete demo --wait")]
    Delete {
        /// Name or uuid.
        cluster: String,
        /// Wait until the cluster is deleted.
        #[arg(long)]
        wait: bool,
        /// Maximum time to wait, seconds.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
    },
    /// Write the client's key and certificates, print the variables to set.
    #[command(
        after_help = "The cluster must have reached CREATE_COMPLETE, because its address is not known earlier.\n\nExamples:\n  eval $(jeroboam cluster config demo --dir ./demo-tls)"
    )]
    Config {
        /// Name or uuid.
        cluster: String,
        /// Where to write `config` (Kubernetes) or ca.pem, cert.pem and key.pem.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
        /// Overwrite files that exist.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        term: credentials::TermArgs,
    },
    /// Print a kubeconfig, or merge it into the user's file.
    #[command(
        after_help = "Examples:\n  jeroboam cluster kubeconfig demo > demo.yaml\n  jeroboam cluster kubeconfig demo --expires-in 28800 --personal > today.yaml\n  jeroboam cluster kubeconfig demo --merge && kubectl get nodes"
    )]
    Kubeconfig {
        /// Name or uuid.
        cluster: String,
        /// Add it to the first file of KUBECONFIG, else to ~/.kube/config.
        #[arg(long)]
        merge: bool,
        #[command(flatten)]
        term: credentials::TermArgs,
    },
    /// List the add-ons of a Kubernetes cluster with their states.
    Addons {
        /// Name or uuid.
        cluster: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// The name of a command that does not talk to a server, so that it has no
    /// use for `--os-cloud`.
    fn local_name(&self) -> Option<&'static str> {
        match self {
            Self::Serve(_) => Some("serve"),
            Self::Doctor => Some("doctor"),
            Self::Host(_) => Some("host"),
            Self::Key(_) => Some("key"),
            Self::Policy(_) => Some("policy"),
            Self::Completion { .. } => Some("completion"),
            Self::Image(_) | Self::Cluster(_) | Self::Leaks { .. } => None,
        }
    }
}

/// The cloud that was named last: at the level of the command, before the command,
/// or else by the environment.
fn cloud(before: Option<String>, args: CloudArgs) -> Option<String> {
    let variable = || std::env::var("OS_CLOUD").ok().filter(|v| !v.is_empty());
    args.os_cloud.or(before).or_else(variable)
}

/// Runs a command; the code is 0 for success, 1 for a failure.
pub async fn run(args: Args) -> Result<ExitCode> {
    if let (Some(name), Some(command)) = (&args.os_cloud, args.command.local_name()) {
        bail!(
            "--os-cloud is '{name}', but `jeroboam {command}` does not talk to a server; leave --os-cloud out"
        );
    }
    let before = args.os_cloud;
    match args.command {
        Command::Serve(serve) => serve::run(serve).await,
        Command::Doctor => doctor::run().await,
        Command::Host(HostCommand::Check(args)) => host::check(args).await,
        Command::Host(HostCommand::Prepare(args)) => host::prepare(args).await,
        Command::Image(image) => {
            let cloud = cloud(before, image.cloud);
            match image.command {
                ImageCommand::Build(args) => image::build(cloud.as_deref(), args).await,
                ImageCommand::Register(args) => image::register(cloud.as_deref(), args).await,
            }
        }
        Command::Cluster(args) => {
            let cloud = cloud(before, args.cloud);
            let api = client::Api::connect(cloud.as_deref()).await?;
            match args.command {
                ClusterCommand::Create(create) => cluster::create(&api, create).await,
                ClusterCommand::List { json } => cluster::list(&api, json).await,
                ClusterCommand::Show { cluster, json } => cluster::show(&api, &cluster, json).await,
                ClusterCommand::Delete {
                    cluster,
                    wait,
                    timeout,
                } => cluster::delete(&api, &cluster, wait, timeout).await,
                ClusterCommand::Config {
                    cluster,
                    dir,
                    force,
                    term,
                } => credentials::write(&api, &cluster, &dir, force, &term).await,
                ClusterCommand::Kubeconfig {
                    cluster,
                    merge,
                    term,
                } => credentials::kubeconfig(&api, &cluster, merge, &term).await,
                ClusterCommand::Addons { cluster, json } => {
                    cluster::addons(&api, &cluster, json).await
                }
            }
        }
        Command::Key(command) => key::run(command).await,
        Command::Leaks { json, cloud: args } => {
            let cloud = cloud(before, args);
            leaks::run(&client::Api::connect(cloud.as_deref()).await?, json).await
        }
        Command::Policy(command) => policy::run(command),
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "jeroboam",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &clap::Command, path: &str, check: &impl Fn(&clap::Command, &str)) {
        let path = format!("{path} {}", command.get_name());
        check(command, &path);
        for sub in command.get_subcommands() {
            each(sub, &path, check);
        }
    }

    #[test]
    fn every_command_and_argument_has_a_help_text() {
        each(&Args::command(), "", &|command, path| {
            assert!(command.get_about().is_some(), "{path}");
            if command.has_subcommands() {
                let examples = command.get_after_help().map(ToString::to_string);
                assert!(examples.is_some_and(|t| t.contains("Examples:")), "{path}");
            }
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string);
                let missing = help.is_none_or(|text| text.is_empty());
                assert!(!missing, "{path}: {}", arg.get_id());
            }
        });
    }

    #[test]
    fn only_commands_that_talk_to_a_server_take_a_cloud() {
        let accepted = |line: &str| Args::try_parse_from(line.split(' ')).is_ok();
        assert!(accepted("jeroboam cluster list --os-cloud a"));
        assert!(accepted("jeroboam cluster --os-cloud a list"));
        assert!(accepted("jeroboam --os-cloud a cluster list"));
        assert!(accepted("jeroboam leaks --os-cloud a"));
        assert!(accepted("jeroboam image build swarm --os-cloud a"));
        assert!(!accepted("jeroboam serve --os-cloud a"));
        assert!(!accepted("jeroboam key list --os-cloud a"));
        assert!(!accepted("jeroboam policy list --os-cloud a"));
    }

    #[test]
    fn the_cloud_at_the_command_wins() {
        let of = |line: &str| {
            let args = Args::try_parse_from(line.split(' ')).ok()?;
            match args.command {
                Command::Cluster(given) => cloud(args.os_cloud, given.cloud),
                _ => None,
            }
        };
        assert_eq!(
            of("jeroboam --os-cloud a cluster list").as_deref(),
            Some("a")
        );
        assert_eq!(
            of("jeroboam --os-cloud a cluster list --os-cloud b").as_deref(),
            Some("b")
        );
    }

    #[tokio::test]
    async fn a_cloud_before_a_local_command_is_refused() {
        let args = Args::try_parse_from("jeroboam --os-cloud a policy list".split(' ')).unwrap();
        let e = run(args).await.unwrap_err().to_string();
        assert!(
            e.contains("--os-cloud is 'a'") && e.contains("leave"),
            "{e}"
        );
    }
}
