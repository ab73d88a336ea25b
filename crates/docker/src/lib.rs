//! The infrastructure ports over the Docker Engine API.
