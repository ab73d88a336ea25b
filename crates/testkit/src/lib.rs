//! A private world for a test.
