//! Drives an HTTP connection concurrently with the exchange on it, without a
//! task that could outlive both.

/// Runs `work` to its end; polls `connection` as long as it lives.
pub(crate) async fn run_with_connection<T>(
    connection: impl Future,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(connection, work);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = &mut connection, if open => open = false,
        }
    }
}
