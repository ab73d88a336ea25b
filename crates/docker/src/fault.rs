//! Engine errors with texts that name host, step, cause and fix.

use bollard::errors::Error as Engine;
use kernel::{Error, Kind};

/// Converts a failed call of the engine at `url`; `step` completes "could not …".
pub(crate) fn fault(url: &str, step: &str, e: &Engine) -> Error {
    match e {
        Engine::DockerResponseServerError {
            status_code,
            message,
        } => refused(url, step, *status_code, message),
        Engine::RequestTimeoutError => Error::timeout(format!(
            "Docker Engine at {}: no answer in time to '{step}'; look at its log and its load",
            url
        )),
        Engine::SocketNotFoundError(_)
        | Engine::IOError { .. }
        | Engine::HyperResponseError { .. }
        | Engine::HyperLegacyError { .. } => Error::unavailable(format!(
            "Docker Engine at {} does not answer; start it with `systemctl start docker` or `dockerd`",
            url
        ))
        .context(e),
        _ => Error::new(
            Kind::Internal,
            format!("Docker Engine at {}: could not {step}: {e}", url),
        ),
    }
}

fn refused(url: &str, step: &str, status: u16, message: &str) -> Error {
    let kind = match status {
        404 => Kind::NotFound,
        409 | 403 => Kind::Conflict,
        503 => Kind::Unavailable { retry_after: 1 },
        _ => Kind::Internal,
    };
    let fix = hint(message).map(|f| format!("; {f}")).unwrap_or_default();
    Error::new(
        kind,
        format!(
            "Docker Engine at {}: could not {step}: {}{fix}",
            url,
            message.trim()
        ),
    )
    .context(format!("HTTP {status}"))
}

/// The HTTP status of the engine's answer, if any.
pub(crate) fn status(e: &Engine) -> Option<u16> {
    match e {
        Engine::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Whether the message of the engine contains the text.
pub(crate) fn message_contains(e: &Engine, text: &str) -> bool {
    matches!(e, Engine::DockerResponseServerError { message, .. } if message.contains(text))
}

/// Hints for common refusals.
fn hint(message: &str) -> Option<&'static str> {
    let known = [
        (
            "unable to apply caps",
            "this machine lacks a capability that the container asks for",
        ),
        (
            "Pool overlaps",
            "choose another cidr, or leave it out to get a free one",
        ),
        (
            "Address already in use",
            "another container holds this address: see `jeroboam leaks`",
        ),
        ("no space left", "free disk space on the host"),
        (
            "could not find an available",
            "remove unused networks with `docker network prune`",
        ),
        (
            "executable file not found",
            "the image has no such program: check its command",
        ),
    ];
    known
        .iter()
        .find(|(part, _)| message.contains(part))
        .map(|(_, fix)| *fix)
}

/// The text for an image that is missing on a host.
pub(crate) fn no_image(image: &str, host: &str) -> Error {
    let name = ["swarm", "kubernetes"]
        .into_iter()
        .find(|n| image.contains(n))
        .unwrap_or("NAME");
    Error::new(
        Kind::NotFound,
        format!("image {image} is not on host {host}; run `jeroboam image build {name}`"),
    )
}
