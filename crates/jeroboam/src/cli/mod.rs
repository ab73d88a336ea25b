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

use anyhow::Result;
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
    /// Entry of clouds.yaml to use.
    #[arg(long, global = true, env = "OS_CLOUD")]
    os_cloud: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Check the prerequisites of this machine, and print commands that fix problems.
    Doctor,
    /// Node images.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Clusters.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Keys of a server's state directory: list, rotate and retire them while
    /// servers run.
    #[command(
        subcommand,
        after_help = "Run it where the key directory is. It takes --state-dir, --config and the database as serve does."
    )]
    Key(key::KeyCommand),
    /// List objects that are only in the engine or only in the ledger.
    Leaks {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List and check access rules.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print a completion script for a shell.
    Completion { shell: clap_complete::Shell },
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
        #[arg(long)]
        json: bool,
    },
    /// Show a cluster, its nodes and their steps.
    Show {
        /// Name or uuid.
        cluster: String,
        #[arg(long)]
        json: bool,
    },
    /// Delete a cluster.
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
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command; the code is 0 for success, 1 for a failure.
pub async fn run(args: Args) -> Result<ExitCode> {
    let cloud = args.os_cloud.as_deref();
    match args.command {
        Command::Serve(serve) => serve::run(serve).await,
        Command::Doctor => doctor::run().await,
        Command::Image(ImageCommand::Build(build)) => image::build(cloud, build).await,
        Command::Image(ImageCommand::Register(args)) => image::register(cloud, args).await,
        Command::Cluster(command) => {
            let api = client::Api::connect(cloud).await?;
            match command {
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
        Command::Leaks { json } => leaks::run(&client::Api::connect(cloud).await?, json).await,
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
