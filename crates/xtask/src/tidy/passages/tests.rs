//! For each kind of file: banned words are found with their lines, and texts that people
//! do not read are not searched.

use super::documents::{banned_words, reader};

/// Words of the findings with their lines.
fn faults(path: &str, text: &str) -> Vec<(usize, String)> {
    let read = reader(path).unwrap_or_else(|| panic!("{path} is not read"));
    banned_words(path, &read(path, text))
        .into_iter()
        .map(|f| {
            (
                f.line,
                f.message.split('"').nth(1).unwrap_or_default().to_owned(),
            )
        })
        .collect()
}

fn lines(path: &str, text: &str) -> Vec<usize> {
    faults(path, text)
        .into_iter()
        .map(|(line, _)| line)
        .collect()
}

#[test]
fn files_are_chosen_by_path() {
    for path in [
        "README.md",
        "docs/adr/a.md",
        "tests/a.py",
        "x",
        ".ci/run",
        "images/lib.sh",
    ] {
        assert!(reader(path).is_some(), "{path}");
    }
    for path in [
        "images/kubernetes/etcd/go.mod",
        "tests/requirements.txt",
        "crates/a/src/b.rs",
    ] {
        assert!(reader(path).is_none(), "{path}");
    }
}

#[test]
fn the_path_is_searched() {
    assert_eq!(
        faults("tests/real/last_wish.py", ""),
        [(0, "wish".to_owned())]
    );
    assert_eq!(
        faults("docs/adr/0099-the-doomed-node.md", ""),
        [(0, "doomed".to_owned())]
    );
}

#[test]
fn prose_of_markdown_is_searched() {
    let text = "# Fates\n\nA node that\ncame up.\n\n- The server tells it.\n  It is struck.\n";
    assert_eq!(lines("docs/a.md", text), [1, 4, 6, 7]);
    assert_eq!(
        faults("docs/a.md", "It comes\nback."),
        [(1, "comes back".to_owned())]
    );
    assert_eq!(
        faults("docs/a.md", "| a | b |\n|---|---|\n| told | x |"),
        [(3, "told".to_owned())]
    );
    assert_eq!(lines("docs/a.md", "See [the told text](docs/b.md)."), [1]);
}

#[test]
fn code_of_markdown_is_not_searched() {
    for text in [
        "Run:\n\n    tell them\n\n    somebody\n\nDone.",
        "```\ntold\n\ntold\n```\n",
        "- An item:\n\n  ```sh\n  told\n  ```\n",
        "The column `doomed`, and `a name over\ntold lines`.",
        "Part of the control plane.",
        "[ADR](docs/told.md), [more](https://example.org/told)",
        "- An item:\n\n      told\n",
    ] {
        assert_eq!(lines("docs/a.md", text), [0; 0], "{text}");
    }
    // Indented text that continues an item or a paragraph is prose.
    assert_eq!(lines("docs/a.md", "- An item.\n\n    It is told.\n"), [3]);
    assert_eq!(lines("docs/a.md", "A paragraph\n    that is told.\n"), [2]);
    assert_eq!(lines("docs/a.md", "```\ntold\n```\ntold"), [4]);
}

#[test]
fn the_glossary_may_list_banned_words() {
    let text = "| term | not | meaning |\n|---|---|---|\n| node | newcomer | a server |\n";
    assert_eq!(lines("docs/glossary.md", text), [0; 0]);
    assert_eq!(lines("docs/a.md", text), [3]);
    let text = "| term | not | meaning |\n|---|---|---|\n| node | a | a newcomer |\n";
    assert_eq!(lines("docs/glossary.md", text), [3]);
}

#[test]
fn comments_docstrings_and_names_of_python_are_searched() {
    let text = "\"\"\"Tells all.\n\nNobody\ncalls it.\"\"\"\n\nimport os  # told\n\n\n\
                def tell_all(wish):\n    r'''It is struck.'''\n    # It came\n    # comes\n    # back.\n";
    assert_eq!(lines("tests/a.py", text), [1, 3, 6, 9, 9, 10, 11, 12]);
    assert_eq!(
        lines("tests/a.py", "a = f(\n    1,\n)\n\"\"\"told\"\"\"\n"),
        [4]
    );
}

#[test]
fn other_literals_of_python_are_not_searched() {
    for text in [
        "a = \"told\"",
        "a = '''told\ntold'''",
        "f(\n    \"told\",\n    f\"told {x['a']}\",\n)",
        "a = b\"told # told\"",
        "a = \"\\\"told\" + 'it\\'s told'",
        "a = 1 + \\\n    \"told\"",
        "teller = storytime",
    ] {
        assert_eq!(lines("tests/a.py", text), [0; 0], "{text}");
    }
}

#[test]
fn comments_of_shell_scripts_are_searched() {
    let text = "#!/bin/sh\n# It is told\n# to whoever\n\necho told # and told\n";
    assert_eq!(lines("x", text), [2, 3, 5]);
    assert_eq!(
        lines(
            "docs/edges.toml",
            "# It is told.\na = [] # told\nb = \"#told\"\n"
        ),
        [1, 2]
    );
    for text in [
        "echo told",
        "echo \"a # told\" 'b # told'",
        "echo ${a#told} $#told",
    ] {
        assert_eq!(lines("images/a.sh", text), [0; 0], "{text}");
    }
}
