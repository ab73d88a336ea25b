//! Which role assignments a request selects.

use kernel::{DomainId, Error, Result, Scope, Target};

use super::objects::Objects;
use crate::assignment::Actor;
use crate::call::{Call, IdentityCall, flag};
use crate::policy;

/// The query of a request.
pub(super) struct Filters<'a> {
    user: Option<&'a str>,
    group: Option<&'a str>,
    role: Option<&'a str>,
    project: Option<&'a str>,
    domain: Option<&'a str>,
    system: bool,
    inherited: Option<bool>,
    /// Also the projects below the project.
    subtree: bool,
    pub(super) effective: bool,
    /// The domain to which the answer is limited.
    only_in: Option<DomainId>,
}

impl<'a> Filters<'a> {
    /// # Errors
    /// `Forbidden`; `Invalid` for filters that cannot be combined.
    pub(super) fn read(call: &'a Call, objects: &Objects) -> Result<Self> {
        let inherited = call.asked("scope.OS-INHERIT:inherited_to");
        let filters = Self {
            user: call.asked("user.id"),
            group: call.asked("group.id"),
            role: call.asked("role.id"),
            project: call.asked("scope.project.id"),
            domain: call.asked("scope.domain.id"),
            system: call.asked("scope.system") == Some("all"),
            inherited: inherited.map(|to| to == "projects"),
            subtree: flag(call, "include_subtree"),
            effective: flag(call, "effective"),
            only_in: permitted_domain(call, objects)?,
        };
        filters.check(call.asked("scope.system").is_some())?;
        Ok(filters)
    }

    fn check(&self, has_system: bool) -> Result<()> {
        let (project, domain) = (self.project.is_some(), self.domain.is_some());
        let inherited = self.inherited == Some(true);
        for (refused, field, text) in [
            (
                self.subtree && !project,
                "include_subtree",
                "scope.project.id must be specified if include_subtree is also specified",
            ),
            (
                project && domain,
                "scope",
                "Specify a domain or project, not both",
            ),
            (
                has_system && domain,
                "scope",
                "Specify system or domain, not both",
            ),
            (
                has_system && project,
                "scope",
                "Specify system or project, not both",
            ),
            (
                self.user.is_some() && self.group.is_some(),
                "user.id",
                "Specify a user or group, not both",
            ),
            (
                self.effective && self.group.is_some(),
                "group.id",
                "Combining effective and group filter will always result in an empty list.",
            ),
            (
                self.effective && inherited && domain,
                "scope.domain.id",
                "Combining effective, domain and inherited filters will always result in an empty list.",
            ),
        ] {
            if refused {
                return Err(Error::invalid(field, text));
            }
        }
        Ok(())
    }

    /// Whether a grant can give a selected assignment.
    pub(super) fn wants_inherited(&self, inherited: bool) -> bool {
        self.inherited.is_none_or(|wanted| wanted == inherited)
    }

    /// Whether assignments on a target are selected. `kind` is `project`, `domain` or
    /// `system`.
    pub(super) fn wants_target(&self, objects: &Objects, kind: &str, id: &str) -> bool {
        let tree = &objects.tree;
        let is_project =
            |top: &str| kind == "project" && (id == top || self.subtree && tree.is_below(id, top));
        let is_in = |domain: &DomainId| match kind {
            "system" => false,
            "domain" => *domain == *id,
            _ => tree.get(id).is_some_and(|p| p.domain() == *domain),
        };
        self.project.is_none_or(is_project)
            && self.domain.is_none_or(|d| kind == "domain" && id == d)
            && (!self.system || kind == "system")
            && self.only_in.as_ref().is_none_or(is_in)
    }

    pub(super) fn wants_actor(&self, actor: &Actor) -> bool {
        let user = |wanted| matches!(actor, Actor::User(id) if *id == wanted);
        let group = |wanted| matches!(actor, Actor::Group(id) if *id == wanted);
        self.user.is_none_or(user) && self.group.is_none_or(group)
    }

    pub(super) fn wants_role(&self, id: &str) -> bool {
        self.role.is_none_or(|wanted| wanted == id)
    }
}

/// The domain to which the answer is limited: that of the token, as in Keystone, also for an
/// administrator. What is below a project of another domain is refused, and of no project
/// too, so that the answer does not show which projects exist.
fn permitted_domain(call: &Call, objects: &Objects) -> Result<Option<DomainId>> {
    let rule = &policy::LIST_ROLE_ASSIGNMENTS;
    let Scope::Domain { id: own, .. } = &call.ctx()?.scope else {
        return call.allow(rule, &Target::default()).map(|()| None);
    };
    let top = call.asked("scope.project.id");
    let top = top.filter(|_| flag(call, "include_subtree"));
    let is_own = |id| objects.tree.get(id).is_some_and(|p| p.domain() == *own);
    let target = Target {
        domain_id: top.is_none_or(is_own).then(|| own.clone()),
        ..Target::default()
    };
    call.allow(rule, &target).map(|()| Some(own.clone()))
}
