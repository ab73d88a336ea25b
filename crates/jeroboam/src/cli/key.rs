//! `jeroboam key`: the keys that seal secrets and issue tokens.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use db::Db;
use identity::Keyring;
use pki::{KeyRole, Sealer, SealingKeys};
use rustix::fs::Mode;
use serde_json::json;

use super::state::StateArgs;
use crate::config::Config;
use crate::server::{database, installation, reseal, state_dir};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// List the keys, their roles, and the number of secrets that each one has sealed.
    #[command(after_help = "Examples:\n  jeroboam key list --state-dir /var/lib/jeroboam")]
    List {
        #[command(flatten)]
        state: StateArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put a new key into use; running servers switch to it without a restart.
    #[command(
        after_help = "fernet: the staged key becomes the primary key, which issues tokens; a new key is staged, and\nthe oldest of three is deleted. sealing: a new key becomes the primary key, and all secrets of\nthe database are sealed again with it. To continue after an interruption, run:\njeroboam key reseal.\n\nExamples:\n  jeroboam key rotate fernet --state-dir /var/lib/jeroboam\n  jeroboam key rotate sealing --config /etc/jeroboam.toml\n  jeroboam key rotate sealing --stage    # then copy the key directory to other servers"
    )]
    Rotate(RotateArgs),
    /// Seal again, with the primary key, all secrets that older keys have sealed.
    #[command(after_help = "Examples:\n  jeroboam key reseal --config /etc/jeroboam.toml")]
    Reseal {
        #[command(flatten)]
        state: StateArgs,
    },
    /// Retire a sealing key that no secret needs any more.
    #[command(
        after_help = "The key is moved to the file sealing.retired in the key directory, because backups of the\ndatabase from before the rotation need it.\n\nExamples:\n  jeroboam key retire 1f2e3d4c --config /etc/jeroboam.toml"
    )]
    Retire {
        /// Id of a secondary sealing key; see: jeroboam key list.
        id: String,
        #[command(flatten)]
        state: StateArgs,
    },
}

#[derive(ClapArgs)]
pub struct RotateArgs {
    /// Which kind of keys.
    kind: Kind,
    #[command(flatten)]
    state: StateArgs,
    /// fernet: rotate even if tokens become invalid.
    #[arg(long)]
    force: bool,
    /// sealing: only add the next key, for servers with their own copy of the
    /// key directory; the next rotation puts it into use.
    #[arg(long)]
    stage: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The keys that issue tokens.
    Fernet,
    /// The keys that seal secrets in the database.
    Sealing,
}

pub async fn run(command: KeyCommand) -> Result<ExitCode> {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    match command {
        KeyCommand::List { state, json } => list(&Keys::find(&state)?, json).await?,
        KeyCommand::Rotate(args) => rotate(&args).await?,
        KeyCommand::Reseal { state } => reseal_all(&Keys::find(&state)?).await?,
        KeyCommand::Retire { id, state } => retire(&Keys::find(&state)?, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The key directory of a server that has been started at least once.
struct Keys {
    config: Config,
    fernet: PathBuf,
    sealing: PathBuf,
}

impl Keys {
    fn find(state: &StateArgs) -> Result<Self> {
        let config = state.config()?;
        let own = || config.state_dir.join("keys");
        let dir = config.key_dir.clone().unwrap_or_else(own);
        let keys = Self {
            fernet: dir.join("fernet"),
            sealing: dir.join("sealing"),
            config,
        };
        for dir in [&keys.fernet, &keys.sealing] {
            if !dir.is_dir() {
                bail!(
                    "state-dir: there are no keys in {}; name the state directory of a server that has been started, with --state-dir or --config",
                    dir.display()
                );
            }
        }
        let state = keys.config.state_dir.clone();
        state_dir::check_secrets(&keys.config, &state)?;
        Ok(keys)
    }

    async fn database(&self) -> Result<Db> {
        // Opening a SQLite file would create it.
        if let Some(file) = self.config.sqlite_file()
            && !file.exists()
        {
            bail!("database: there is no {}", file.display());
        }
        database::connect(&self.config.database_url(), |text| eprintln!("{text}")).await
    }

    /// The keys of this directory, if they are those of the database.
    async fn sealer(&self, db: &Db) -> Result<Sealer> {
        let sealer = Sealer::open(&self.sealing)?;
        installation::check_keys(db, &sealer).await?;
        Ok(sealer)
    }
}

async fn list(keys: &Keys, as_json: bool) -> Result<()> {
    let fernet = Keyring::open(&keys.fernet)?.entries()?;
    let sealing = SealingKeys::open(&keys.sealing)?.entries();
    let db = keys.database().await;
    if let Err(e) = &db {
        eprintln!("the secrets of each key are not counted: {e:#}");
    }
    let mut counts = Vec::new();
    for key in &sealing {
        counts.push(match &db {
            Ok(db) => Some(reseal::count(db, &key.id).await?),
            Err(_) => None,
        });
    }
    let sealing = sealing.into_iter().zip(counts);
    if as_json {
        let fernet: Vec<_> = fernet
            .iter()
            .map(|k| json!({"number": k.number, "role": k.role, "since": k.since.iso_z()}))
            .collect();
        let sealing: Vec<_> = sealing
            .map(|(k, n)| json!({"id": k.id, "role": role(k.role), "made": k.made, "secrets": n}))
            .collect();
        println!("{:#}", json!({"fernet": fernet, "sealing": sealing}));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    table.set_header(["kind", "key", "role", "since", "secrets"]);
    for key in fernet {
        let (number, since) = (key.number.to_string(), key.since.iso_z());
        table.add_row(["fernet", &number, key.role, &since, "-"]);
    }
    for (key, n) in sealing {
        let made = key.made.as_deref().unwrap_or("-");
        let secrets = n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        table.add_row(["sealing", &key.id, role(key.role), made, &secrets]);
    }
    println!("{table}");
    Ok(())
}

fn role(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Staged => "staged",
        KeyRole::Primary => "primary",
        KeyRole::Secondary => "secondary",
    }
}

async fn rotate(args: &RotateArgs) -> Result<()> {
    let keys = Keys::find(&args.state)?;
    match args.kind {
        Kind::Fernet if args.stage => bail!(
            "--stage is only for sealing; leave it out, because the next Fernet key is always staged"
        ),
        Kind::Sealing if args.force => bail!("--force is only for fernet; leave it out"),
        Kind::Fernet => {
            let ring = Keyring::open(&keys.fernet)?;
            ring.rotate(args.force)?;
            let primary = ring.entries()?.into_iter().find(|k| k.role == "primary");
            let number = primary.map_or(0, |k| k.number);
            println!(
                "Fernet key {number} is the primary key now and issues tokens; running servers use it"
            );
            print_copy_hint(&keys.fernet);
        }
        Kind::Sealing if args.stage => {
            let id = SealingKeys::open(&keys.sealing)?.stage()?;
            println!("sealing key {id} is staged; the next rotation makes it the primary key");
            println!(
                "next: copy {} to the servers with their own key directory, then run: jeroboam key rotate sealing",
                keys.sealing.display()
            );
        }
        Kind::Sealing => {
            // Fails before the change if the database cannot be reached.
            let db = keys.database().await?;
            keys.sealer(&db).await?;
            let id = SealingKeys::open(&keys.sealing)?.promote()?;
            println!("sealing key {id} is the primary key now and seals secrets");
            print_copy_hint(&keys.sealing);
            reseal_all(&keys).await?;
        }
    }
    Ok(())
}

fn print_copy_hint(dir: &Path) {
    println!(
        "next: copy {} to the servers with their own key directory, if there are any",
        dir.display()
    );
}

async fn reseal_all(keys: &Keys) -> Result<()> {
    let db = keys.database().await?;
    let sealer = keys.sealer(&db).await?;
    let sealed = reseal::reseal(&db, &sealer, |_| ())
        .await
        .context("secrets with older keys are left; to continue, run: jeroboam key reseal")?;
    println!(
        "{sealed} secrets have been sealed again with the primary key; no secret needs an older key"
    );
    println!(
        "next: run `jeroboam key retire ID` for each secondary key that `jeroboam key list` shows"
    );
    Ok(())
}

async fn retire(keys: &Keys, id: &str) -> Result<()> {
    let db = keys.database().await?;
    db.check_schema_is_known().await?;
    let mut file = SealingKeys::open(&keys.sealing)?;
    let secondary = |k: &pki::KeyEntry| k.id == id && k.role == KeyRole::Secondary;
    if !file.entries().iter().any(secondary) {
        bail!("id: '{id}' is not a secondary sealing key; see: jeroboam key list");
    }
    let sealer = keys.sealer(&db).await?;
    let left = reseal::count(&db, id).await?;
    if left > 0 {
        bail!("id: {left} secrets are still sealed with key {id}; run first: jeroboam key reseal");
    }
    installation::check_keys_by_primary(&db, &sealer).await?;
    let kept = file.retire(id)?;
    println!(
        "sealing key {id} is retired; it is kept in {}, because older backups of the database need it",
        kept.display()
    );
    Ok(())
}
