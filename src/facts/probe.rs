//! Probes: each takes a source (a driver, kernel files, a saved dump) and gives facts.

pub mod cgroup;
pub mod nvidia_smi;
pub mod os;
mod sanity;
pub mod topology;
