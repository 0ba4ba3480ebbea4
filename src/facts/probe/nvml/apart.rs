//! Asks the driver in a process of its own, which can be ended whatever the driver does.
//!
//! A library that hangs while it is loaded holds the C library's lock of the loader, for which the other threads of its
//! process wait, and the end of the process as well.

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::PATIENCE;
use super::answers::{Answers, Refusal};

/// The argument by which the program is started for this; no command of its users.
const ARGUMENT: &str = "ask-driver";

/// How long a process may take to begin, on a machine that is busy.
const BEGINNING: Duration = Duration::from_secs(5);

/// How long it may take to print what it heard.
const PRINTING: Duration = Duration::from_millis(500);

/// What the program prints that is started for it; all silent when the time is over.
///
/// # Errors
/// The program cannot be started.
pub fn ask(program: &Path, library: Option<&Path>) -> io::Result<Answers> {
    let mut asking = Command::new(program)
        .arg(ARGUMENT)
        .args(library)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let printed = asking.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (tell, hear) = mpsc::channel();
    thread::spawn(move || read(printed, &tell));
    let begun = hear.recv_timeout(BEGINNING);
    let answers = match begun.and_then(|_| hear.recv_timeout(PATIENCE + PRINTING)) {
        Ok(answers) => answers,
        Err(RecvTimeoutError::Timeout) => Answers::default(),
        // The library has ended it.
        Err(RecvTimeoutError::Disconnected) => Answers { refused: Some(Refusal::Unknown), ..Answers::default() },
    };
    // It is ended here and now, for this process may end first; one that the kernel does not let go is not waited for.
    let _ = asking.kill();
    thread::spawn(move || asking.wait());
    Ok(answers)
}

/// Does what [`ask`] starts the program for, when that is what its arguments say: the library follows, if one was named.
pub fn answer(arguments: &[OsString], out: &mut dyn Write) -> Option<io::Result<()>> {
    let library = match arguments {
        [_, argument, library @ ..] if argument == ARGUMENT => library.first().map(Path::new),
        _ => return None,
    };
    let mut print = |answers: Answers| {
        serde_json::to_writer(&mut *out, &answers)?;
        out.flush()
    };
    // Nothing was heard yet: the time begins.
    Some(print(Answers::default()).and_then(|()| print(super::ask(library))))
}

fn read(printed: ChildStdout, tell: &Sender<Answers>) {
    for answers in serde_json::Deserializer::from_reader(BufReader::new(printed)).into_iter().map_while(Result::ok) {
        // Nobody listens any more when the time is over.
        let _ = tell.send(answers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_asked_by_its_first_argument_alone() {
        let mut out = Vec::new();
        for arguments in [&["wan22-policy", "facts", ARGUMENT][..], &["wan22-policy"], &[]] {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            assert!(answer(&arguments, &mut out).is_none());
        }
        assert_eq!(out, b"");
        answer(&["", ARGUMENT, "/nowhere/libnvidia-ml.so.1"].map(OsString::from), &mut out).unwrap().unwrap();
        let printed: Vec<Answers> =
            serde_json::Deserializer::from_slice(&out).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(printed[0], Answers::default());
        assert_eq!(printed[1].refused, Some(Refusal::LibraryNotFound));
    }

    #[test]
    fn a_program_that_ends_without_a_word_has_met_an_error_of_the_driver() {
        assert_eq!(ask(Path::new("/bin/true"), None).unwrap().refused, Some(Refusal::Unknown));
        assert!(ask(Path::new("/nowhere/wan22-policy"), None).is_err());
    }
}
