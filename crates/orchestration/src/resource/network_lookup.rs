//! Finds the networks that properties refer to.

use kernel::Ctx;
use network::NetworkId;
use network::api::NetworkApi;

use super::step::StepError;

/// The id of a network given by id or name.
pub(super) async fn network_id(
    api: &NetworkApi,
    ctx: &Ctx,
    given: &str,
) -> Result<NetworkId, StepError> {
    if kernel::ids::is_uuid_like(given) {
        return Ok(given.into());
    }
    Ok(api.networks.find(ctx, given).await?.id)
}
