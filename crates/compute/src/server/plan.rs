//! What a container's state means for its server: pure.

use infra::{ContainerState, ContainerView};

use crate::face::ServerStatus;

/// A container that dies so soon after its start has failed to start, even
/// where the engine starts it again and again (microseconds).
const START: i64 = 30_000_000;
/// Exit code after SIGKILL.
const KILLED: i64 = 137;

/// What an observation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Is(ServerStatus),
    /// It died while starting; why.
    Failed(String),
}

/// Judges a container of a server that was launched `age` microseconds ago
/// (`None`: is being built).
pub(crate) fn judge(view: &ContainerView, age: Option<i64>) -> Verdict {
    let starting = age.is_none_or(|a| a < START);
    // A KILL that the kernel did not send for lack of memory is somebody's
    // wish, not a failure of the start.
    let wished = !view.oom_killed && view.exit_code == Some(KILLED);
    let died = view.oom_killed || view.exit_code.is_some_and(|c| c != 0);
    match view.state {
        ContainerState::Running if starting && view.restarts > 0 => Verdict::Failed(why(view)),
        ContainerState::Running => Verdict::Is(ServerStatus::Active),
        ContainerState::Paused => Verdict::Is(ServerStatus::Paused),
        // While it is being built any end is a failure; later only a bad one.
        _ if age.is_none() || (starting && died && !wished) => Verdict::Failed(why(view)),
        _ => Verdict::Is(ServerStatus::Shutoff),
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
    let said = view
        .error
        .as_deref()
        .map(|e| format!(" ({e})"))
        .unwrap_or_default();
    format!("exited during its start with code {code}{said}{hint}")
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
        }
    }

    #[test]
    fn states_mean_statuses() {
        use ContainerState as C;
        use ServerStatus as S;
        let late = Some(START);
        let is = |v: &ContainerView, age| match judge(v, age) {
            Verdict::Is(s) => Some(s),
            Verdict::Failed(_) => None,
        };
        assert_eq!(is(&view(C::Running, 0, 0), None), Some(S::Active));
        assert_eq!(is(&view(C::Running, 0, 3), Some(1)), None);
        assert_eq!(is(&view(C::Running, 0, 3), late), Some(S::Active));
        assert_eq!(is(&view(C::Exited, 0, 0), None), None);
        assert_eq!(is(&view(C::Exited, 0, 0), Some(1)), Some(S::Shutoff));
        assert_eq!(is(&view(C::Restarting, 1, 1), Some(1)), None);
        assert_eq!(is(&view(C::Exited, 137, 0), late), Some(S::Shutoff));
        assert_eq!(is(&view(C::Exited, 137, 0), Some(1)), Some(S::Shutoff));
        assert_eq!(is(&view(C::Exited, 137, 0), None), None);
        assert_eq!(is(&view(C::Exited, 1, 0), Some(1)), None);
        assert_eq!(is(&view(C::Paused, 0, 0), late), Some(S::Paused));
    }

    #[test]
    fn the_reason_names_code_and_cure() {
        let mut v = view(ContainerState::Exited, 137, 0);
        v.oom_killed = true;
        assert_eq!(
            judge(&v, None),
            Verdict::Failed(
                "was killed for lack of memory (exit code 137); choose a larger flavor".into()
            )
        );
        let v = view(ContainerState::Exited, 127, 0);
        assert_eq!(
            judge(&v, None),
            Verdict::Failed(
                "exited during its start with code 127; its program could not be run: check the image"
                    .into()
            )
        );
    }
}
