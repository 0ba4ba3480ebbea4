//! hwloc's place in a program that is built without it.

use std::io;

use super::super::layout::Layout;

/// There is none.
#[derive(Debug)]
pub enum Hwloc {}

/// Says that hwloc cannot be asked.
///
/// # Errors
/// Always; to stand after its name.
pub fn look() -> Result<Hwloc, String> {
    Err("is no part of this program".to_owned())
}

impl Hwloc {
    /// Of none that there is.
    pub fn layout(&self) -> Layout {
        match *self {}
    }

    /// Of none that there is.
    ///
    /// # Errors
    /// None.
    pub fn to_xml(&self) -> io::Result<String> {
        match *self {}
    }
}
