//! What is done in a node, as data: planned without a node, done in order,
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

/// Bytes; the server keeps 4096 of a step's log.
const WORDS: usize = 3 * 1024;
/// kind's manifests say with these words that they are templates.
const TEMPLATE: &str = "would you kindly template this file";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// A file as a whole. Private ones have mode 0600.
    Write {
        path: String,
        private: bool,
        content: String,
    },
    /// A program that has to end well within so many seconds.
    Run { argv: Vec<String>, seconds: u64 },
    /// A manifest that lies in the image, through `argv`'s standard input; a
    /// template gets the range of the pods.
    Feed {
        argv: Vec<String>,
        manifest: String,
        pods: String,
    },
}

impl Act {
    pub(crate) fn run(words: &[&str], seconds: u64) -> Self {
        Self::Run {
            argv: words.iter().map(|w| (*w).to_owned()).collect(),
            seconds,
        }
    }

    /// As a golden file shows it.
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

/// Where acts are done: below `root`, with programs found on `path`.
pub(crate) struct Hands {
    pub root: PathBuf,
    /// Instead of our own PATH.
    pub path: Option<String>,
}

impl Hands {
    /// The node itself.
    pub(crate) fn node() -> Self {
        Self {
            root: "/".into(),
            path: None,
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Does all, in order, up to the first that fails.
    ///
    /// # Errors
    /// Internal: a file; a program, with its last words; timeout.
    pub(crate) async fn all(&self, acts: &[Act]) -> Result<()> {
        for act in acts {
            match act {
                Act::Write {
                    path,
                    private,
                    content,
                } => write(&self.at(path), *private, content)?,
                Act::Run { argv, seconds } => {
                    self.run(argv, "", Duration::from_secs(*seconds)).await?;
                }
                Act::Feed {
                    argv,
                    manifest,
                    pods,
                } => {
                    let path = self.at(manifest);
                    let text = fs::read_to_string(&path)
                        .map_err(|e| Error::internal(format!("the image's {manifest}: {e}")))?;
                    let text = filled(&text, pods);
                    self.run(argv, &text, Duration::from_secs(60)).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs a program and gives what it wrote on standard output.
    ///
    /// # Errors
    /// As `all`.
    pub(crate) async fn run(
        &self,
        argv: &[String],
        input: &str,
        patience: Duration,
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
                // Who does not read it says why by its exit.
                let _ = pipe.write_all(input.as_bytes()).await;
            }
            drop(pipe.take());
        };
        let both = async { tokio::join!(fed, child.wait_with_output()).1 };
        let done = timeout(patience, both)
            .await
            .map_err(|_| {
                Error::timeout(format!("{line}: not done within {} s", patience.as_secs()))
            })?
            .map_err(|e| failed(&e.to_string()))?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            return Ok(said);
        }
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        let words = tail(if errors.trim().is_empty() {
            &said
        } else {
            &errors
        });
        Err(failed(&format!(
            "{}; its last lines:\n{words}",
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

/// The end of what a program wrote, from the start of a line.
fn tail(text: &str) -> &str {
    let text = text.trim_end();
    if text.len() <= WORDS {
        return text;
    }
    let mut from = text.len() - WORDS;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = &text[from..];
    end.split_once('\n').map_or(end, |(_, whole)| whole)
}

/// kind's own templates use one value.
fn filled(manifest: &str, pods: &str) -> String {
    if !manifest.contains(TEMPLATE) {
        return manifest.to_owned();
    }
    ["{{ .PodSubnet }}", "{{.PodSubnet}}"]
        .iter()
        .fold(manifest.to_owned(), |text, hole| text.replace(hole, pods))
}
