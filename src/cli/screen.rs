//! Where a command prints: data to one stream, errors to the other.

use std::io::{self, Write};

use super::error::CliError;
use crate::report::paint::Paint;

/// The two streams, and whether each takes colours.
pub struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Colours of the data.
    pub paint: Paint,
    /// Colours of the errors.
    pub error_paint: Paint,
}

impl<'a> Screen<'a> {
    pub fn new(out: (&'a mut dyn Write, bool), err: (&'a mut dyn Write, bool)) -> Self {
        Self { out: out.0, err: err.0, paint: Paint { colours: out.1 }, error_paint: Paint { colours: err.1 } }
    }

    /// Prints data. A reader that has seen enough (`| head`) is no error, and changes no exit code.
    pub fn print(&mut self, text: &str) -> Result<(), CliError> {
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CliError::failed(format!("cannot write the output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Prints an error. When that fails too there is nobody left to tell.
    pub fn complain(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}
