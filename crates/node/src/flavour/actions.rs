//! Actions in a node as data: planned without a node, executed in order,
//! compared with golden files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kernel::{Error, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::seed::write_private;

/// Length of the quoted output in bytes; the server keeps 4096 bytes of the log
/// of a step.
const MAX_LOG: usize = 3 * 1024;
/// Marker of template manifests in kind images.
const TEMPLATE: &str = "would you kindly template this file";

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Writes a whole file. Private files have mode 0600.
    Write {
        path: String,
        private: bool,
        content: String,
    },
    /// Runs a program, which must succeed within `seconds`.
    Run { argv: Vec<String>, seconds: u64 },
    /// Passes a manifest of the image to the standard input of `argv`; the pod
    /// range is inserted into a template.
    Feed {
        argv: Vec<String>,
        manifest: String,
        pods: String,
    },
}

impl Action {
    pub(crate) fn run(lines: &[&str], seconds: u64) -> Self {
        Self::Run {
            argv: lines.iter().map(|w| (*w).to_owned()).collect(),
            seconds,
        }
    }

    /// The representation in golden files.
    #[cfg(test)]
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Write {
                path,
                private,
                content,
            } => {
                let mode = if *private { "0600" } else { "0644" };
                let indented: String = content.lines().map(|l| format!("    {l}\n")).collect();
                format!("write {mode} {path}\n{indented}")
            }
            Self::Run { argv, seconds } => format!("run ({seconds} s) {}\n", argv.join(" ")),
            Self::Feed {
                argv,
                manifest,
                pods,
            } => format!("feed {manifest} (pods {pods}) to {}\n", argv.join(" ")),
        }
    }
}

/// Executes actions below `root`, with programs found on `path`.
pub(crate) struct ActionRunner {
    pub root: PathBuf,
    /// The value of PATH for the programs; `None`: that of the agent.
    pub path: Option<String>,
}

impl ActionRunner {
    /// Returns a runner for the node itself.
    pub(crate) fn node() -> Self {
        Self {
            root: "/".into(),
            path: None,
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Executes all actions in order, up to the first failure.
    ///
    /// # Errors
    /// Internal: a file error; a failed program, with the end of its output;
    /// timeout.
    pub(crate) async fn all(&self, actions: &[Action]) -> Result<()> {
        for action in actions {
            match action {
                Action::Write {
                    path,
                    private,
                    content,
                } => write(&self.at(path), *private, content)?,
                Action::Run { argv, seconds } => {
                    self.run(argv, "", Duration::from_secs(*seconds)).await?;
                }
                Action::Feed {
                    argv,
                    manifest,
                    pods,
                } => {
                    let path = self.at(manifest);
                    let text = fs::read_to_string(&path)
                        .map_err(|e| Error::internal(format!("the image's {manifest}: {e}")))?;
                    let text = fill_template(&text, pods);
                    self.run(argv, &text, Duration::from_secs(60)).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs a program and returns its standard output.
    ///
    /// # Errors
    /// Same errors as `all`.
    pub(crate) async fn run(
        &self,
        argv: &[String],
        input: &str,
        time_limit: Duration,
    ) -> Result<String> {
        let line = argv.join(" ");
        let failed = |why: &str| Error::internal(format!("{line}: {why}"));
        let Some((program, arguments)) = argv.split_first() else {
            return Err(failed("no program"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = command.spawn().map_err(|e| failed(&e.to_string()))?;
        let mut pipe = child.stdin.take();
        let fed = async {
            if let Some(pipe) = &mut pipe {
                // A program that does not read its input reports an error by
                // its exit code.
                let _ = pipe.write_all(input.as_bytes()).await;
            }
            drop(pipe.take());
        };
        let both = async { tokio::join!(fed, child.wait_with_output()).1 };
        let done = timeout(time_limit, both)
            .await
            .map_err(|_| {
                Error::timeout(format!(
                    "{line}: not done within {} s",
                    time_limit.as_secs()
                ))
            })?
            .map_err(|e| failed(&e.to_string()))?;
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(output);
        }
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        let lines = tail(if errors.trim().is_empty() {
            &output
        } else {
            &errors
        });
        Err(failed(&format!(
            "{}; its last lines:\n{lines}",
            done.status
        )))
    }
}

fn write(path: &Path, private: bool, content: &str) -> Result<()> {
    if private {
        return write_private(path, content.as_bytes());
    }
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, content))
        .map_err(|e| Error::internal(format!("writing {}: {e}", path.display())))
}

/// The end of the output of a program, from the start of a line.
fn tail(text: &str) -> &str {
    let text = text.trim_end();
    if text.len() <= MAX_LOG {
        return text;
    }
    let mut from = text.len() - MAX_LOG;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = &text[from..];
    end.split_once('\n').map_or(end, |(_, whole)| whole)
}

/// Inserts the pod range into a template of kind, which uses no other variable.
fn fill_template(manifest: &str, pods: &str) -> String {
    if !manifest.contains(TEMPLATE) {
        return manifest.to_owned();
    }
    ["{{ .PodSubnet }}", "{{.PodSubnet}}"]
        .iter()
        .fold(manifest.to_owned(), |text, placeholder| {
            text.replace(placeholder, pods)
        })
}
