//! The program that the engine has registered as the runtime for user namespaces.
//! Another one under this name would start nodes as root of the host.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use bollard::models::{Runtime, SystemInfo};
use kernel::Result;
use runtime::grants::RUNTIME;
use runtime::identity;
use tokio::process::Command;
use tokio::time::timeout;

use crate::Engine;

/// Time until the program has answered.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A registered `jeroboam-runtime`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    path: String,
    /// `None`: it is older than the first release that shows its version.
    version: Option<String>,
}

impl Program {
    /// What to do if it is older than this release.
    fn hint(&self) -> Option<String> {
        let version = self.version.as_deref().unwrap_or("an earlier version");
        let is_older = match &self.version {
            None => true,
            Some(version) => numbers(version) < numbers(identity::VERSION),
        };
        is_older.then(|| {
            format!(
                "the runtime {} is of {version}, and this program of {}; run `jeroboam host prepare`",
                self.path,
                identity::VERSION
            )
        })
    }
}

impl Engine {
    /// A hint if the registered runtime is older than this release. It can still be used.
    ///
    /// # Errors
    /// As the engine.
    pub async fn runtime_hint(&self) -> Result<Option<String>> {
        let info = self.docker().await?.info().await;
        let info = info.map_err(|e| self.fault("read its facts", &e))?;
        Ok(identify(&info).await.ok().and_then(|found| found.hint()))
    }
}

/// Runs the program to find out whether it is `jeroboam-runtime`.
///
/// # Errors
/// What it is instead, and what to do.
pub(crate) async fn identify(info: &SystemInfo) -> Result<Program, String> {
    let registered = info.runtimes.as_ref().and_then(|all| all.get(RUNTIME));
    let path = registered
        .and_then(|runtime| path(runtime))
        .ok_or_else(|| {
            format!(
                "the engine has not registered its runtime {RUNTIME} with an absolute path; run \
             `jeroboam host prepare`"
            )
        })?;
    let mut command = Command::new(path);
    command
        .arg(identity::ARGUMENT)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let failed = |why: String| {
        format!("the runtime {RUNTIME} of the engine, {path}, {why}; run `jeroboam host prepare`")
    };
    let output = timeout(TIMEOUT, command.output()).await;
    let output = output
        .map_err(|_| failed("does not answer".into()))?
        .map_err(|e| failed(format!("cannot be run: {e}")))?;
    let version = version(&output).ok_or_else(|| {
        failed("is not jeroboam-runtime, so nodes would have no user namespaces".into())
    })?;
    Ok(Program {
        path: path.to_owned(),
        version: version.map(str::to_owned),
    })
}

/// The path of a runtime; a name without a directory is found by the engine only.
fn path(runtime: &Runtime) -> Option<&str> {
    let path = runtime.path.as_deref()?;
    Path::new(path).is_absolute().then_some(path)
}

/// The version in an answer; `None` if it is of another program. The inner one is
/// `None` for the first releases, which refuse the argument.
fn version(output: &Output) -> Option<Option<&str>> {
    if output.status.success() {
        let answer = std::str::from_utf8(&output.stdout).ok()?;
        return identity::version(answer).map(Some);
    }
    let error = std::str::from_utf8(&output.stderr).ok()?;
    error
        .strip_prefix(identity::NAME)
        .is_some_and(|rest| rest.starts_with(": "))
        .then_some(None)
}

/// The numbers of a version, for comparison.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|n| n.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn identified(script: &str) -> Result<Program, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        loop {
            let found = identify(&with_path(Some(path.display().to_string()))).await;
            // A process that another test is starting has inherited the open file.
            if !matches!(&found, Err(why) if why.contains("Text file busy")) {
                return found;
            }
        }
    }

    fn with_path(path: Option<String>) -> SystemInfo {
        let runtime = Runtime {
            path,
            ..Runtime::default()
        };
        SystemInfo {
            runtimes: Some(HashMap::from([(RUNTIME.to_owned(), runtime)])),
            ..SystemInfo::default()
        }
    }

    #[tokio::test]
    async fn only_the_runtime_is_accepted() {
        let own = format!(
            "[ \"$*\" = {} ] && echo {}",
            identity::ARGUMENT,
            identity::answer()
        );
        assert_eq!(identified(&own).await.unwrap().hint(), None);
        // As runc does, and programs that accept any argument.
        for other in [
            "exit 0",
            "echo flag provided but not defined >&2; exit 1",
            "echo runc version 1",
        ] {
            let why = identified(other).await.unwrap_err();
            assert!(why.contains("is not jeroboam-runtime"), "{why}");
        }
        for path in [None, Some("runc".to_owned())] {
            let why = identify(&with_path(path)).await.unwrap_err();
            assert!(why.contains("absolute path"), "{why}");
        }
        let why = identify(&with_path(Some("/nonexistent".into())))
            .await
            .unwrap_err();
        assert!(why.contains("/nonexistent, cannot be run"), "{why}");
    }

    #[tokio::test]
    async fn an_older_one_is_accepted_with_a_hint() {
        for older in [
            "echo jeroboam-runtime: before the command: not known >&2; exit 1",
            "echo jeroboam-runtime 0.0.9",
        ] {
            let hint = identified(older).await.unwrap().hint().unwrap();
            assert!(hint.contains("host prepare"), "{hint}");
        }
        assert_eq!(
            identified("echo jeroboam-runtime 999.0")
                .await
                .unwrap()
                .hint(),
            None
        );
    }
}
