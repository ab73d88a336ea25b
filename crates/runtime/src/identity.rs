//! How `jeroboam-runtime` identifies itself: the engine may have registered another
//! program under its name, which would start containers without user namespaces.

/// The only argument with which it prints its name and version. Other runtimes refuse it.
pub const ARGUMENT: &str = "--jeroboam-version";

/// Its name, before the version in the answer and before each error.
pub const NAME: &str = "jeroboam-runtime";

/// The version of this release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The answer to [`ARGUMENT`].
#[must_use]
pub fn answer() -> String {
    format!("{NAME} {VERSION}\n")
}

/// The version in an answer; `None` if another program has given it.
#[must_use]
pub fn version(answer: &str) -> Option<&str> {
    let version = answer.strip_prefix(NAME)?.strip_prefix(' ')?.trim_end();
    let is_word = !version.is_empty() && version.bytes().all(|b| b.is_ascii_graphic());
    is_word.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_answer_has_a_version() {
        assert_eq!(version(&answer()), Some(VERSION));
        for other in [
            "",
            "runc version 1.1.5\n",
            "jeroboam-runtime",
            "jeroboam-runtime \n",
            "jeroboam-runtime 1 2\n",
        ] {
            assert_eq!(version(other), None, "{other:?}");
        }
    }
}
