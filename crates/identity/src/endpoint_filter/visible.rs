//! The endpoints in the catalogues of projects.

use db::Db;
use kernel::{ProjectId, Result};

use super::{EndpointGroup, Linked, table};
use crate::catalog::{Endpoint, Visible};
use crate::ids::EndpointId;

/// For each project that is associated with endpoints, those among `all`.
///
/// # Errors
/// Same errors as [`Db::query`].
pub(crate) async fn load(db: &Db, all: &[Endpoint]) -> Result<Visible> {
    let links = table::links(db).await?;
    if links.is_empty() {
        return Ok(Visible::new());
    }
    Ok(resolve(all, &table::list(db).await?, &links))
}

fn resolve(
    all: &[Endpoint],
    groups: &[EndpointGroup],
    links: &[(ProjectId, Linked, String)],
) -> Visible {
    let mut visible = Visible::new();
    for (project_id, kind, id) in links {
        let group = groups.iter().find(|g| g.id == **id);
        let is_linked = |e: &&Endpoint| match kind {
            Linked::Endpoint => e.id == **id,
            Linked::Group => group.is_some_and(|g| g.includes(e)),
        };
        let ids: Vec<EndpointId> = all.iter().filter(is_linked).map(|e| e.id.clone()).collect();
        // A project without any endpoint sees all.
        if !ids.is_empty() {
            visible.entry(project_id.clone()).or_default().extend(ids);
        }
    }
    visible
}

/// The endpoints that a project is associated with.
///
/// # Errors
/// Same errors as [`Db::query`].
pub(crate) async fn endpoints_of(db: &Db, project_id: &str) -> Result<Vec<Endpoint>> {
    let mut all = crate::catalog::table::endpoints(db).await?;
    let visible = load(db, &all).await?;
    let own = visible.get(project_id);
    all.retain(|e| own.is_some_and(|ids| ids.contains(&e.id)));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::attributes::Attributes;

    fn endpoint(id: &str, region: Option<&str>) -> Endpoint {
        Endpoint {
            id: id.into(),
            service_id: "s".into(),
            region_id: region.map(str::to_owned),
            interface: "public".into(),
            url: String::new(),
            enabled: true,
            extra: Attributes::default(),
        }
    }

    fn group(id: &str, filters: &Value) -> EndpointGroup {
        EndpointGroup {
            id: id.into(),
            name: id.to_owned(),
            description: None,
            filters: filters.as_object().cloned().unwrap_or_else(Map::new),
        }
    }

    #[test]
    fn a_project_sees_linked_endpoints_and_those_of_its_groups() {
        let all = [
            endpoint("a", Some("east")),
            endpoint("b", None),
            endpoint("c", None),
        ];
        let groups = [
            group("east", &json!({"region_id": "east", "service_id": "s"})),
            group(
                "nowhere",
                &json!({"region_id": null, "interface": "public"}),
            ),
            group("none", &json!({"interface": "admin"})),
        ];
        let link = |project: &str, kind, id: &str| (ProjectId::from(project), kind, id.to_owned());
        let links = [
            link("p", Linked::Endpoint, "b"),
            link("p", Linked::Group, "east"),
            link("q", Linked::Group, "nowhere"),
            link("r", Linked::Group, "none"),
            link("r", Linked::Endpoint, "deleted"),
        ];
        let visible = resolve(&all, &groups, &links);
        let ids = |project: &str| {
            let ids = visible.get(project)?.iter().map(EndpointId::as_str);
            Some(ids.collect::<Vec<_>>())
        };
        assert_eq!(ids("p"), Some(vec!["a", "b"]));
        assert_eq!(ids("q"), Some(vec!["b", "c"]));
        assert_eq!(ids("r"), None);
    }
}
