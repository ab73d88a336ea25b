//! URLs of endpoints with variables, such as `http://host/v1/$(project_id)s`.

use std::borrow::Cow;

use kernel::{Error, Result};

/// The values of the variables; `None` for what a token does not have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values<'a> {
    pub project_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
}

/// Why a URL cannot be rendered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not a format of Python, or has a variable that does not exist.
    Malformed,
    /// The token has no value for a variable.
    NoValue,
}

/// Checks a URL that a user gives.
///
/// # Errors
/// `Invalid` with Keystone's text.
pub(super) fn check(url: &str) -> Result<()> {
    let values = Values {
        project_id: Some(""),
        user_id: Some(""),
    };
    match expand(url, values) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid(
            "url",
            format!("Cannot create an endpoint with an invalid URL: {url}."),
        )),
    }
}

/// Replaces the variables of a URL. As in Keystone, `$(` and `%(` begin one, `)s` ends
/// it, and two percent signs are replaced by one.
pub(super) fn expand<'a>(url: &'a str, values: Values<'_>) -> Result<Cow<'a, str>, Refusal> {
    if !url.contains('%') && !url.contains("$(") {
        return Ok(url.into());
    }
    let text = url.replace("$(", "%(");
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut literal = false;
    for part in parts {
        if literal {
            // The second of two percent signs.
            out.push('%');
            out.push_str(part);
            literal = false;
            continue;
        }
        if part.is_empty() {
            literal = true;
            continue;
        }
        let variable = part
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(")s"));
        let Some((name, rest)) = variable else {
            return Err(Refusal::Malformed);
        };
        let value = match name {
            "project_id" | "tenant_id" => values.project_id,
            "user_id" => values.user_id,
            _ => return Err(Refusal::Malformed),
        };
        out.push_str(value.ok_or(Refusal::NoValue)?);
        out.push_str(rest);
    }
    if literal {
        return Err(Refusal::Malformed);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_nothing_else_is() {
        let values = Values {
            project_id: Some("p"),
            user_id: Some("u"),
        };
        let unscoped = Values {
            project_id: None,
            ..values
        };
        for (url, want, without) in [
            ("http://h/v1", Ok("http://h/v1"), Ok("http://h/v1")),
            (
                "http://h/$(project_id)s/x",
                Ok("http://h/p/x"),
                Err(Refusal::NoValue),
            ),
            (
                "http://h/%(tenant_id)s%(user_id)s",
                Ok("http://h/pu"),
                Err(Refusal::NoValue),
            ),
            ("http://h/$(user_id)s", Ok("http://h/u"), Ok("http://h/u")),
            ("http://h/%%20", Ok("http://h/%20"), Ok("http://h/%20")),
            ("http://h/a$b", Ok("http://h/a$b"), Ok("http://h/a$b")),
        ] {
            assert_eq!(expand(url, values).as_deref(), want.as_deref(), "{url}");
            assert_eq!(
                expand(url, unscoped).as_deref(),
                without.as_deref(),
                "{url}"
            );
        }
        for url in [
            "http://h/%20",
            "http://h/%",
            "http://h/%(project_id)",
            "http://h/%(project_id)d",
            "http://h/$(secret)s",
            "http://h/$(project_ids",
            "http://h/%%%",
        ] {
            assert_eq!(expand(url, values), Err(Refusal::Malformed), "{url}");
            assert!(check(url).is_err());
        }
    }
}
