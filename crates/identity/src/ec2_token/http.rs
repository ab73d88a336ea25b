//! Routes of tokens for signed requests.

use kernel::{Result, Target};
use rest::{Json, Route, With, post};

use super::request::Signed;
use super::{ops, s3, signature};
use crate::call::{Call, IdentityCall};
use crate::policy;
use crate::state::State;
use crate::token::http::{rendered_catalog, subject};
use crate::token::wire::TokenBody;

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        post(
            "/v3/ec2tokens",
            &policy::VALIDATE_EC2,
            "Issue a token for a request that is signed with an EC2 key pair.",
            ec2,
        ),
        post(
            "/v3/s3tokens",
            &policy::VALIDATE_S3,
            "Show the token of the owner of the key pair that signed a request to S3.",
            s3,
        ),
    ]
}

async fn ec2(call: Call<Signed>) -> Result<With<Json<TokenBody>>> {
    call.allow(&policy::VALIDATE_EC2, &Target::default())?;
    let signed = call.body()?;
    let (token, valid) =
        ops::issue(&call.state, &signed, signature::is_valid, signature::date).await?;
    let body = TokenBody::new(&valid, rendered_catalog(&call, &valid).await?);
    Ok(subject(Json(body), token))
}

/// Without the token itself, as in Keystone.
async fn s3(call: Call<Signed>) -> Result<Json<TokenBody>> {
    call.allow(&policy::VALIDATE_S3, &Target::default())?;
    let signed = call.body()?;
    let (_, valid) = ops::issue(&call.state, &signed, s3::is_valid, s3::date).await?;
    let catalog = rendered_catalog(&call, &valid).await?;
    Ok(Json(TokenBody::new(&valid, catalog)))
}
