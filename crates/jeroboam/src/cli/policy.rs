//! `jeroboam policy`: the rules of the server and the operator's overrides,
//! without a running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use kernel::{Ctx, Enforcer as _, ProjectId, Scope, Target, UserId};
use rest::policy::{Effective, Policies};
use serde_json::json;

use crate::server::native::policy::all;
use crate::server::policy_file;

/// Width of a table that is not printed to a terminal.
const DEFAULT_WIDTH: u16 = 100;
/// A narrower table would have only a few characters for the second column.
const MINIMUM_WIDTH: u16 = 70;
/// Width from which the descriptions have their own column.
const THREE_COLUMNS: u16 = 120;
/// The spaces on both sides of the text of a cell.
const CELL_PADDING: usize = 2;

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// List all rules with their expressions: those of the file, or else the defaults.
    #[command(
        after_help = "The table is as wide as the terminal, and wraps long rules. --wide prints one line for each\nrule, with the scopes of tokens that it accepts.\n\nExamples:\n  jeroboam policy list\n  jeroboam policy list --file /etc/jeroboam/policy.yaml --overridden\n  jeroboam policy list --wide | grep cluster:\n  jeroboam policy list --json"
    )]
    List(ListArgs),
    /// Check a policy file, or whether its rules permit a call.
    #[command(
        after_help = "Examples:\n  jeroboam policy check /etc/jeroboam/policy.yaml\n  jeroboam policy check policy.yaml --rule cluster:create --role member --project p1\n  jeroboam policy check policy.yaml --rule cluster:delete --role reader --project p1 --target-project p2\n\nThe exit code is 0 if the file is valid and the rule allows the caller, otherwise 1."
    )]
    Check(CheckArgs),
}

#[derive(Args)]
pub struct ListArgs {
    /// Policy file whose overrides are applied.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Only rules that the file overrides.
    #[arg(long, requires = "file")]
    overridden: bool,
    /// Print each rule on one line, with its scopes.
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct CheckArgs {
    /// Policy file.
    file: PathBuf,
    /// Rule to evaluate.
    #[arg(long)]
    rule: Option<String>,
    /// Role of the caller, which implies the lower ones; can be repeated.
    #[arg(long, requires = "rule")]
    role: Vec<String>,
    /// Project that the caller's token is scoped to.
    #[arg(long, requires = "rule")]
    project: Option<ProjectId>,
    /// The caller's token is scoped to the system.
    #[arg(long, requires = "rule", conflicts_with = "project")]
    system: bool,
    /// User id of the caller.
    #[arg(long, requires = "rule", default_value = "user")]
    user: UserId,
    /// Project of the object; the caller's by default.
    #[arg(long, requires = "rule")]
    target_project: Option<ProjectId>,
    /// User of the object; the caller by default.
    #[arg(long, requires = "rule")]
    target_user: Option<UserId>,
}

pub fn run(command: PolicyCommand) -> Result<ExitCode> {
    match command {
        PolicyCommand::List(args) => list(&args),
        PolicyCommand::Check(args) => check(&args),
    }
}

/// The rules of all services, with the overrides of the file.
fn load(file: Option<&Path>) -> Result<Policies> {
    let policies = Policies::new(&all())?;
    if let Some(file) = file {
        policy_file::apply(&policies, file)?;
    }
    Ok(policies)
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let policies = load(args.file.as_deref())?;
    let mut rules = policies.effective();
    rules.retain(|e| !args.overridden || e.overridden);
    if args.json {
        let one = |e: &Effective| {
            json!({"name": e.rule.name, "rule": e.text, "default": e.rule.default,
                "overridden": e.overridden, "description": e.rule.about,
                "scope_types": e.rule.scopes.as_words()})
        };
        let all: Vec<_> = rules.iter().map(one).collect();
        println!("{:#}", json!(all));
        return Ok(ExitCode::SUCCESS);
    }
    let width = (!args.wide).then(table_width);
    println!("{}", rule_table(&rules, width));
    Ok(ExitCode::SUCCESS)
}

/// The width of the terminal; without one that of the variable COLUMNS, or else
/// [`DEFAULT_WIDTH`].
fn table_width() -> u16 {
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = Table::new().width().or_else(named);
    width.unwrap_or(DEFAULT_WIDTH).max(MINIMUM_WIDTH)
}

/// A table of this width, or else one with a line for each rule and all columns.
fn rule_table(rules: &[Effective], width: Option<u16>) -> Table {
    let in_effect = |e: &Effective| {
        let mark = if e.overridden { " (file)" } else { "" };
        let text = if e.text.is_empty() { "@" } else { &e.text };
        format!("{text}{mark}")
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    let Some(width) = width else {
        table.set_header(["rule", "in effect", "permits", "scopes"]);
        for e in rules {
            let scopes = e.rule.scopes.as_words().join(", ");
            table.add_row([e.rule.name, &in_effect(e), e.rule.about, &scopes]);
        }
        return table;
    };
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    if width < THREE_COLUMNS {
        table.set_header(["rule", "in effect"]);
        for e in rules {
            table.add_row([format!("{}\n{}", e.rule.name, e.rule.about), in_effect(e)]);
        }
    } else {
        table.set_header(["rule", "in effect", "permits"]);
        for e in rules {
            table.add_row([e.rule.name, &in_effect(e), e.rule.about]);
        }
    }
    // Names are not wrapped, so that they can be copied.
    let longest = rules.iter().map(|e| e.rule.name.len()).max().unwrap_or(0);
    let names = u16::try_from(longest + CELL_PADDING).unwrap_or(width);
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(names)));
    }
    table
}

/// The roles that a token of a caller with these roles has, by the implications
/// of a new installation.
fn with_implied(roles: &[String]) -> Vec<String> {
    let ranks = ["admin", "manager", "member", "reader"];
    let highest = ranks
        .iter()
        .position(|rank| roles.iter().any(|r| r == rank));
    let implied = ranks[highest.unwrap_or(ranks.len())..].iter();
    let mut all: Vec<String> = roles.to_vec();
    all.extend(implied.map(|r| (*r).to_owned()));
    all.sort_unstable();
    all.dedup();
    all
}

fn check(args: &CheckArgs) -> Result<ExitCode> {
    let policies = load(Some(&args.file))?;
    let Some(name) = &args.rule else {
        let overridden = policies.effective();
        let count = overridden.iter().filter(|e| e.overridden).count();
        println!("{}: valid; it overrides {count} rules", args.file.display());
        return Ok(ExitCode::SUCCESS);
    };
    let rules = all();
    let rule = rules
        .iter()
        .find(|rule| rule.name == name)
        .with_context(|| format!("rule: there is no rule {name}; see jeroboam policy list"))?;
    if args.project.is_none() && !args.system {
        bail!("project: say where the caller acts, with --project ID or --system");
    }
    let scope = match &args.project {
        Some(id) => Scope::Project {
            id: id.clone(),
            name: id.to_string(),
            domain_id: "default".into(),
        },
        None => Scope::System,
    };
    let ctx = Ctx {
        user_id: args.user.clone(),
        user_domain_id: "default".into(),
        scope,
        roles: with_implied(&args.role),
        ..Ctx::default()
    };
    let target = Target {
        project_id: args.target_project.clone().or_else(|| args.project.clone()),
        user_id: args.target_user.clone().or_else(|| Some(args.user.clone())),
        domain_id: None,
    };
    let allowed = policies.allows(rule, &ctx, &target);
    println!("{name}: {}", if allowed { "allowed" } else { "denied" });
    Ok(if allowed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_rules_fits_to_the_terminal() {
        let rules = load(None).unwrap().effective();
        for width in [80, 100, 120] {
            let text = rule_table(&rules, Some(width)).to_string();
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.into()), "{widest:?}");
            for e in &rules {
                assert!(
                    text.contains(&format!("| {} ", e.rule.name)),
                    "{}",
                    e.rule.name
                );
            }
        }
        let wide = rule_table(&rules, None).to_string();
        let lines: Vec<&str> = wide
            .lines()
            .filter(|l| l.contains("cluster:create "))
            .collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("project"), "{}", lines[0]);
    }
}
