//! Issuing tokens for signed requests.

use std::sync::Arc;
use std::time::Duration;

use kernel::{Error, Kind, Result, Timestamp, clock};

use super::request::Signed;
use crate::errors::unauthenticated;
use crate::state::State;
use crate::token::Valid;
use crate::token::ops::issue::issue_for_key_pair;
use crate::user_credential::{UserCredential, blob, ops, table};

/// How far the date of a signed request may be from now: how long after its date it is
/// valid, and how fast the clock of its sender may be.
const LIFETIME: Duration = Duration::from_mins(15);

/// Members of a key pair that limit its tokens; no such tokens are issued.
const LIMITS: [&str; 3] = ["trust_id", "app_cred_id", "access_token_id"];

/// Issues a token for the owner and the project of the key pair that signed a request.
///
/// # Errors
/// `NotFound` for an unknown access key; `Unauthenticated` if the signature is wrong, too
/// old or from the future, or if the owner cannot use the project.
pub(super) async fn issue(
    state: &State,
    request: &Signed,
    is_valid: fn(&str, &Signed) -> bool,
    date: fn(&Signed) -> Option<String>,
) -> Result<(String, Arc<Valid>)> {
    let found = table::by_id(&state.db, &blob::id_of(&request.access)).await?;
    let pair = found
        .filter(UserCredential::is_ec2)
        .ok_or_else(|| Error::new(Kind::NotFound, "EC2 access key not found."))?;
    let stored = ops::unseal(state, &pair)?;
    let secret = blob::member(&stored, "secret").filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| unauthenticated("the key pair has no secret"))?;
    if !is_valid(&secret, request) {
        return Err(unauthenticated("wrong signature"));
    }
    check_date(date(request).as_deref(), clock::now())?;
    if LIMITS.iter().any(|name| blob::has(&stored, name)) {
        return Err(unauthenticated("the key pair is limited to a delegation"));
    }
    let project_id = pair
        .project_id
        .ok_or_else(|| unauthenticated("no project"))?;
    issue_for_key_pair(state, &pair.user_id, &project_id).await
}

/// A request that is signed without a date does not expire, as in Keystone.
fn check_date(date: Option<&str>, now: Timestamp) -> Result<()> {
    let Some(date) = date else {
        return Ok(());
    };
    let at = parse_date(date).ok_or_else(|| unauthenticated("the date is invalid"))?;
    if now > at + LIFETIME {
        return Err(unauthenticated("the signed request is too old"));
    }
    if at > now + LIFETIME {
        return Err(unauthenticated("the signed request is from the future"));
    }
    Ok(())
}

/// A time such as `2026-11-28T10:00:00Z` or `20261128T100000Z`; without a time zone it
/// is in UTC.
fn parse_date(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let is_basic = bytes.len() >= 15 && bytes[..15].is_ascii() && bytes[8] == b'T';
    let text = match is_basic {
        true => format!(
            "{}-{}-{}T{}:{}:{}{}",
            &text[..4],
            &text[4..6],
            &text[6..8],
            &text[9..11],
            &text[11..13],
            &text[13..15],
            &text[15..]
        ),
        false => text.to_owned(),
    };
    Timestamp::parse_iso(&text).or_else(|| Timestamp::parse_iso(&format!("{text}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_at_most_15_minutes_from_now() {
        let now = Timestamp::parse_iso("2026-11-28T10:00:00Z").unwrap();
        for (date, want) in [
            (None, true),
            (Some("20261128T094459Z"), false),
            (Some("20261128T094500Z"), true),
            (Some("20261128T100000Z"), true),
            (Some("20261128T101500Z"), true),
            (Some("20261128T101501Z"), false),
            (Some("20361128T100000Z"), false),
            (Some(""), false),
            (Some("now"), false),
        ] {
            assert_eq!(check_date(date, now).is_ok(), want, "{date:?}");
        }
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        let want = Timestamp::parse_iso("2026-11-28T10:00:05Z");
        assert!(want.is_some());
        for text in [
            "2026-11-28T10:00:05Z",
            "20261128T100005Z",
            "20261128T100005",
            "2026-11-28T10:00:05",
            "2026-11-28T11:00:05+01:00",
        ] {
            assert_eq!(parse_date(text), want, "{text}");
        }
        for text in [
            "",
            "now",
            "20261128",
            "20261128T1000é5Z",
            "99999999T999999Z",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
