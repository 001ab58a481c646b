//! Real clients log in to `wharfd` with what the upstream knows, and push and pull.
