//! Generated names, used if the caller gives none.

use kernel::ids;

const GREEK: &[&str] = &[
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi",
    "psi", "omega",
];

/// `<greek letter>-<1..24>-<what>`, as in `theta-7-template`.
pub(crate) fn random(what: &str) -> String {
    let draw = |n: usize| {
        let hex = ids::secret_hex(4);
        usize::from_str_radix(&hex, 16).unwrap_or(0) % n
    };
    let letter = GREEK.get(draw(GREEK.len())).copied().unwrap_or("omega");
    format!("{letter}-{}-{what}", draw(24) + 1)
}

/// A cluster's name as part of a host or stack name: lower case, letters,
/// digits and dashes, at most `max` characters.
pub(crate) fn sanitised(name: &str, max: usize) -> String {
    let mut out: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(max)
        .collect();
    while out.ends_with('-') {
        out.pop();
    }
    if out.is_empty() {
        "cluster".into()
    } else {
        out
    }
}
