//! Access rules: the requests for which a token may be used.

use serde::{Deserialize, Serialize};

/// Permits the requests with one method and matching paths of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRule {
    pub id: String,
    /// The type of the service in the catalogue.
    pub service: String,
    /// `{name}` and `*` match a segment, `**` matches anything.
    pub path: String,
    pub method: String,
}

/// Maximum length of a path that a rule permits, bytes. To match a longer one would take
/// too long.
const MAX_PATH: usize = 2048;

impl AccessRule {
    /// Whether the rule permits a request.
    #[must_use]
    pub fn allows(&self, service: &str, method: &str, path: &str) -> bool {
        self.service == service
            && self.method == method
            && path.len() <= MAX_PATH
            && matches(&self.path, path)
    }

    /// How many wildcards the path of a rule has.
    #[must_use]
    pub fn wildcards(path: &str) -> usize {
        let parts = parts(path);
        let wild = parts.iter().filter(|p| !matches!(p, Part::Literal(_)));
        wild.count()
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Literal(char),
    /// At least one character, and no slash.
    Segment,
    /// Any characters.
    Rest,
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (part, len) = match (first, rest.find('}')) {
            ('{', Some(end)) => (Part::Segment, end + 1),
            ('*', _) if rest.starts_with("**") => (Part::Rest, 2),
            ('*', _) => (Part::Segment, 1),
            _ => (Part::Literal(first), first.len_utf8()),
        };
        parts.push(part);
        rest = &rest[len..];
    }
    parts
}

/// Whether a path matches a pattern, as in keystonemiddleware. Follows all ways to match
/// at the same time, so that the time is limited by the product of the lengths.
fn matches(pattern: &str, path: &str) -> bool {
    let parts = parts(pattern);
    // Which numbers of parts match what has been read.
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    skip_rests(&parts, &mut reached);
    for c in path.chars() {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Literal(literal) if *literal == c => next[at + 1] |= reached[at],
                // The second place is for the characters after the first one.
                Part::Segment if c != '/' => next[at + 1] |= reached[at] || reached[at + 1],
                Part::Rest => next[at] |= reached[at],
                _ => {}
            }
        }
        skip_rests(&parts, &mut next);
        if !next.contains(&true) {
            return false;
        }
        reached = next;
    }
    reached[parts.len()]
}

/// `**` also matches nothing.
fn skip_rests(parts: &[Part], reached: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if *part == Part::Rest && reached[at] {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        for (pattern, path, want) in [
            ("/v1/clusters", "/v1/clusters", true),
            ("/v1/clusters", "/v1/clusters/", false),
            ("/v1/clusters", "/v1/clusters/c", false),
            ("/v1/clusters", "/v1/cluster", false),
            ("/v1/clusters/*", "/v1/clusters/c", true),
            ("/v1/clusters/*", "/v1/clusters/", false),
            ("/v1/clusters/*", "/v1/clusters/c/nodegroups", false),
            (
                "/v1/clusters/{id}/nodegroups",
                "/v1/clusters/c/nodegroups",
                true,
            ),
            (
                "/v1/clusters/{id}/nodegroups",
                "/v1/clusters//nodegroups",
                false,
            ),
            ("/v1/*/c*", "/v1/clusters/cc", true),
            ("/v1/*/c*", "/v1/clusters/dc", false),
            ("/v1/**", "/v1/clusters/c/nodegroups", true),
            ("/v1/**", "/v1/", true),
            ("/v1/**", "/v1", false),
            ("/v1/**/d", "/v1/a/b/c/d", true),
            ("/v1/**/d", "/v1/a/b/c/e", false),
            ("/**", "/", true),
            ("/v1.0", "/v1x0", false),
            ("/{", "/{", true),
            ("/é*", "/éä", true),
            ("", "", true),
            ("", "/", false),
        ] {
            assert_eq!(matches(pattern, path), want, "{pattern} {path}");
        }
    }

    #[test]
    fn the_time_to_match_is_limited() {
        let pattern = "**a".repeat(75);
        assert!(!matches(&pattern, &"a".repeat(74)));
        assert!(matches(&pattern, &"a".repeat(8000)));
    }

    #[test]
    fn a_rule_is_for_one_service_and_method() {
        let rule = AccessRule {
            id: String::new(),
            service: "container-infra".into(),
            path: "/v1/clusters".into(),
            method: "GET".into(),
        };
        assert!(rule.allows("container-infra", "GET", "/v1/clusters"));
        assert!(!rule.allows("container-infra", "POST", "/v1/clusters"));
        assert!(!rule.allows("compute", "GET", "/v1/clusters"));
        assert!(!rule.allows("container-infra", "GET", "/v1/certificates"));
    }

    #[test]
    fn a_long_path_is_not_permitted() {
        let rule = AccessRule {
            id: String::new(),
            service: "container-infra".into(),
            path: "/**".into(),
            method: "GET".into(),
        };
        let path = |length: usize| format!("/{}", "x".repeat(length - 1));
        assert!(rule.allows("container-infra", "GET", &path(MAX_PATH)));
        assert!(!rule.allows("container-infra", "GET", &path(MAX_PATH + 1)));
    }

    #[test]
    fn wildcards_are_counted() {
        for (path, want) in [
            ("/v1/clusters", 0),
            ("/v1/{", 0),
            ("/v1/*/{id}/**", 3),
            ("/v1/x*y{z*}", 2),
            ("/***", 2),
        ] {
            assert_eq!(AccessRule::wildcards(path), want, "{path}");
        }
    }
}
