//! Certificate authorities, CSR signing, sealing of secrets at rest.
