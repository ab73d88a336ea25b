//! `jeroboam key`: the keys that seal secrets and make tokens.

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
use crate::server::{installation, reseal, state_dir};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// List the keys, their roles, and the secrets that each one has sealed.
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
        after_help = "fernet: the staged key issues tokens from now on, a new one is staged, the oldest of three\nis deleted. sealing: a new key seals from now on, and all secrets of the database are sealed\nwith it; an interrupted run is continued by: jeroboam key reseal.\n\nExamples:\n  jeroboam key rotate fernet --state-dir /var/lib/jeroboam\n  jeroboam key rotate sealing --config /etc/jeroboam.toml\n  jeroboam key rotate sealing --stage    # then copy the key directory to other servers"
    )]
    Rotate(RotateArgs),
    /// Use the primary key to seal all secrets again that an older key has sealed.
    #[command(after_help = "Examples:\n  jeroboam key reseal --config /etc/jeroboam.toml")]
    Reseal {
        #[command(flatten)]
        state: StateArgs,
    },
    /// Retire a sealing key with which no secret is sealed any more.
    #[command(
        after_help = "The key is moved to the file sealing.retired beside the others: backups of the database from\nbefore the rotation need it.\n\nExamples:\n  jeroboam key retire 1f2e3d4c --config /etc/jeroboam.toml"
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
    /// Keys of tokens.
    Fernet,
    /// Keys of the secrets in the database.
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

/// The key directory of a server, which exists already.
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
                    "state-dir: there are no keys in {}; name the directory of a server that was started before by --state-dir or --config",
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
        Ok(Db::connect(&self.config.database_url()).await?)
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
        eprintln!("secrets are not counted: {e:#}");
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
        Kind::Fernet if args.stage => bail!("stage: the next Fernet key is always staged"),
        Kind::Sealing if args.force => bail!("force: only for fernet"),
        Kind::Fernet => {
            let ring = Keyring::open(&keys.fernet)?;
            ring.rotate(args.force)?;
            let primary = ring.entries()?.into_iter().find(|k| k.role == "primary");
            let number = primary.map_or(0, |k| k.number);
            println!("key {number} issues tokens; servers use it at once");
            hint(&keys.fernet);
        }
        Kind::Sealing if args.stage => {
            let id = SealingKeys::open(&keys.sealing)?.stage()?;
            println!("key {id} is staged");
            println!(
                "next: copy {} to the servers that do not share it, then: jeroboam key rotate sealing",
                keys.sealing.display()
            );
        }
        Kind::Sealing => {
            // A database that cannot be reached is noticed before the change.
            let db = keys.database().await?;
            keys.sealer(&db).await?;
            let id = SealingKeys::open(&keys.sealing)?.promote()?;
            println!("key {id} seals secrets from now on");
            hint(&keys.sealing);
            reseal_all(&keys).await?;
        }
    }
    Ok(())
}

fn hint(dir: &Path) {
    println!("servers that do not share {} need a copy", dir.display());
}

async fn reseal_all(keys: &Keys) -> Result<()> {
    let db = keys.database().await?;
    let sealer = keys.sealer(&db).await?;
    let sealed = reseal::reseal(&db, &sealer, |_| ())
        .await
        .context("run this to continue: jeroboam key reseal")?;
    println!("{sealed} secrets were sealed again; none is sealed with an older key");
    println!("next: jeroboam key list, then jeroboam key retire ID for each older key");
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
        bail!("id: key {id} has sealed {left} secrets; run first: jeroboam key reseal");
    }
    installation::check_keys_by_primary(&db, &sealer).await?;
    let kept = file.retire(id)?;
    println!(
        "key {id} is retired and kept in {}, which backups from before the rotation need",
        kept.display()
    );
    Ok(())
}
