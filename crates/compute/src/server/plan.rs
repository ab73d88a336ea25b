//! Derives the state of a server from its container: pure.

use infra::{ContainerState, ContainerView};
use std::time::Duration;

use crate::api::ServerStatus;

/// A container that exits within this time after its start has failed to start,
/// even if the engine restarts it repeatedly.
const STARTUP_TIME: Duration = Duration::from_secs(30);
/// Exit code after SIGKILL.
const EXIT_CODE_SIGKILL: i64 = 137;

/// Result of an assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assessment {
    Is(ServerStatus),
    /// It exited during startup; the text gives the reason.
    Failed(String),
}

/// Assesses the container of a server that was launched `age` ago
/// (`None`: it is being built).
pub(crate) fn assess(view: &ContainerView, age: Option<Duration>) -> Assessment {
    let starting = age.is_none_or(|a| a < STARTUP_TIME);
    // A SIGKILL that was not caused by lack of memory was sent on purpose and
    // is not a failed start.
    let intended = !view.oom_killed && view.exit_code == Some(EXIT_CODE_SIGKILL);
    let died = view.oom_killed || view.exit_code.is_some_and(|c| c != 0);
    match view.state {
        ContainerState::Running if starting && view.restarts > 0 => Assessment::Failed(why(view)),
        ContainerState::Running => Assessment::Is(ServerStatus::Active),
        ContainerState::Paused => Assessment::Is(ServerStatus::Paused),
        // During a build any exit is a failure; later only a non-zero exit
        // code.
        _ if age.is_none() || (starting && died && !intended) => Assessment::Failed(why(view)),
        _ => Assessment::Is(ServerStatus::Shutoff),
    }
}

fn why(view: &ContainerView) -> String {
    let code = view.exit_code.unwrap_or_default();
    let hint = match code {
        _ if view.oom_killed => {
            return format!(
                "was killed for lack of memory (exit code {code}); choose a larger flavor"
            );
        }
        125..=127 => "; its program could not be run: check the image",
        132 | 134 | 139 => "; its program crashed",
        137 => "; it was killed from outside",
        _ => "",
    };
    let error = view
        .error
        .as_deref()
        .map(|e| format!(" ({e})"))
        .unwrap_or_default();
    format!("exited during its start with code {code}{error}{hint}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn view(state: ContainerState, exit_code: i64, restarts: i64) -> ContainerView {
        ContainerView {
            id: String::new(),
            name: String::new(),
            state,
            exit_code: Some(exit_code),
            oom_killed: false,
            error: None,
            labels: BTreeMap::new(),
            addresses: BTreeMap::new(),
            restarts,
            isolation: None,
        }
    }

    #[test]
    fn states_mean_statuses() {
        use ContainerState as C;
        use ServerStatus as S;
        let (soon, late) = (Some(Duration::from_micros(1)), Some(STARTUP_TIME));
        let is = |v: &ContainerView, age| match assess(v, age) {
            Assessment::Is(s) => Some(s),
            Assessment::Failed(_) => None,
        };
        assert_eq!(is(&view(C::Running, 0, 0), None), Some(S::Active));
        assert_eq!(is(&view(C::Running, 0, 3), soon), None);
        assert_eq!(is(&view(C::Running, 0, 3), late), Some(S::Active));
        assert_eq!(is(&view(C::Exited, 0, 0), None), None);
        assert_eq!(is(&view(C::Exited, 0, 0), soon), Some(S::Shutoff));
        assert_eq!(is(&view(C::Restarting, 1, 1), soon), None);
        assert_eq!(is(&view(C::Exited, 137, 0), late), Some(S::Shutoff));
        assert_eq!(is(&view(C::Exited, 137, 0), soon), Some(S::Shutoff));
        assert_eq!(is(&view(C::Exited, 137, 0), None), None);
        assert_eq!(is(&view(C::Exited, 1, 0), soon), None);
        assert_eq!(is(&view(C::Paused, 0, 0), late), Some(S::Paused));
    }

    #[test]
    fn the_reason_names_the_exit_code_and_the_remedy() {
        let mut v = view(ContainerState::Exited, 137, 0);
        v.oom_killed = true;
        assert_eq!(
            assess(&v, None),
            Assessment::Failed(
                "was killed for lack of memory (exit code 137); choose a larger flavor".into()
            )
        );
        let v = view(ContainerState::Exited, 127, 0);
        assert_eq!(
            assess(&v, None),
            Assessment::Failed(
                "exited during its start with code 127; its program could not be run: check the image"
                    .into()
            )
        );
    }
}
