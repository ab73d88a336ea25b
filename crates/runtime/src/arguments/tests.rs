use super::*;
use proptest::prelude::*;

fn args(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

fn parsed(text: &str) -> Result<Arguments> {
    parse(&args(text))
}

#[test]
fn the_command_line_of_the_shim_is_parsed() {
    let text = "--root /r --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /c abc";
    let expected = Create {
        id: "abc".to_owned(),
        bundle: "/b".into(),
        pid_file: "/b/init.pid".into(),
        global: args("--root /r --log /b/log.json --log-format json --systemd-cgroup"),
    };
    let found = parsed(text).unwrap();
    assert_eq!(found.command, Command::Create(expected));
    assert_eq!(found.root, PathBuf::from("/r"));
    assert_eq!(log_file(&args(text)), Some("/b/log.json".into()));
}

#[test]
fn all_forms_of_options_are_equal() {
    let a = parsed("--root=/r create -b=/b -pid-file=/p abc").unwrap();
    let b = parsed("-root /r create abc --bundle /b --pid-file=/p --no-pivot=false").unwrap();
    let create = |found: Arguments| match found.command {
        Command::Create(create) => (found.root, create.id, create.bundle, create.pid_file),
        other => panic!("{other:?}"),
    };
    assert_eq!(create(a), create(b));
}

#[test]
fn commands_that_would_start_a_container_otherwise_are_refused() {
    for text in ["run abc", "--root /r run -d abc", "--debug restore abc"] {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains("use create and start"), "{error}");
    }
}

#[test]
fn other_commands_are_left_to_runc() {
    for text in [
        "",
        "--version",
        "-v",
        "--help",
        "features",
        "--root /r start abc",
        "exec --process /p abc",
        "delete --new-option abc",
        "kill abc 15",
        "--root run state abc",
    ] {
        assert_eq!(parsed(text).unwrap().command, Command::Other, "{text}");
    }
    for (text, force) in [
        ("--root /r delete --force abc", true),
        ("delete -f abc", true),
        ("delete abc", false),
        ("delete --force=false abc", false),
    ] {
        let id = "abc".to_owned();
        assert_eq!(parsed(text).unwrap().command, Command::Delete { id, force });
    }
}

#[test]
fn only_the_signal_kill_is_handled() {
    let kill = Command::Kill("abc".to_owned());
    for text in [
        "kill abc 9",
        "kill --all abc KILL",
        "--root /r kill abc SIGKILL",
    ] {
        assert_eq!(parsed(text).unwrap().command, kill, "{text}");
    }
    for text in [
        "kill abc",
        "kill abc 15",
        "kill abc TERM",
        "kill ../abc 9",
        "kill --new abc 9",
    ] {
        assert_eq!(parsed(text).unwrap().command, Command::Other, "{text}");
    }
}

#[test]
fn what_cannot_be_parsed_is_refused() {
    for text in [
        "--root",
        "--new run create --pid-file p abc",
        "--new create --pid-file p abc",
        "-- create --pid-file p abc",
        "create --pid-file p",
        "create abc",
        "create --pid-file p --pid-file q abc",
        "create --pid-file p -b x --bundle y abc",
        "create --pid-file p --new abc",
        "create --pid-file p abc def",
        "create --pid-file p -- abc",
        "create --pid-file p a/b",
        "create --pid-file p ..",
        "create --pid-file p abc --bundle",
    ] {
        assert!(parsed(text).is_err(), "{text}");
    }
}

#[test]
fn the_log_is_found_although_other_arguments_are_wrong() {
    for text in [
        "--log /l --new create",
        "--root /r --log=/l run a",
        "--new --log /l",
    ] {
        assert_eq!(log_file(&args(text)), Some("/l".into()), "{text}");
    }
    assert_eq!(log_file(&args("exec --log /l")), None);
    assert_eq!(log_file(&args("--root --log /l")), None);
}

proptest! {
    /// A command line is either refused, or a `create` only if its first argument
    /// that is not an option or the value of one is `create`.
    #[test]
    fn no_start_is_left_to_runc(words in proptest::collection::vec(
        proptest::sample::select(vec!["create", "run", "restore", "--root", "--root=x", "--debug", "--log", "-b", "--pid-file", "abc", "--", "-", "--new", "start", ""]), 0..8)) {
        let args: Vec<OsString> = words.iter().map(OsString::from).collect();
        log_file(&args);
        if let Ok(Arguments { command: Command::Other, .. }) = parse(&args) {
            let mut at = 0;
            while let Some(word) = words.get(at).filter(|w| w.starts_with('-') && **w != "-") {
                at += if ["--root", "--log"].contains(word) { 2 } else { 1 };
            }
            let command = words.get(at).copied().unwrap_or_default();
            prop_assert!(!["create", "run", "restore"].contains(&command), "{words:?}");
        }
    }

    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..6)) {
        use std::os::unix::ffi::OsStringExt as _;
        let args: Vec<OsString> = bytes.into_iter().map(OsString::from_vec).collect();
        log_file(&args);
        let _ = parse(&args);
    }
}
