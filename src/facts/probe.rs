//! Probes: each takes a source (a driver, kernel files, a saved dump) and gives facts.
