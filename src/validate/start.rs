//! How long a stack takes to start: its own command is run until it answers, and stopped again.
//!
//! A process of its own runs the command, the watcher: the program, started again by its first argument. It ends what the
//! command has started, also when this process is killed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
mod descendants;
#[cfg(windows)]
mod job;
#[cfg(unix)]
#[path = "start/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "start/windows.rs"]
mod system;

use self::system::Running;

/// The argument by which the program is started as the watcher; no command of its users.
const ARGUMENT: &str = "watch-stack";

/// Between two looks whether it answers; the most by which a time is too long, beside the answer's own.
const LOOK: Duration = Duration::from_millis(20);

/// Longest time that one answer may take before it is asked again.
const ANSWER: Duration = Duration::from_secs(2);

/// How long it must live on after it has said that it is ready.
const ALIVE: Duration = Duration::from_millis(300);

/// How long its last words are waited for when it has ended: what it leaves running may go on to speak.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What it has to end after it was asked to, before it is killed: a UI saves its state.
#[cfg(unix)]
const STOP: Duration = Duration::from_secs(10);

/// Lines of its output that are kept for who asks why it did not start.
const KEPT: usize = 20;

/// Longest line that is kept, in bytes.
const LINE: u64 = 4096;

/// By what a stack shows that it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// An answer at this `http://` address that is no error of the server.
    Url(String),
    /// A line of its output that contains this text.
    Text(String),
}

impl Ready {
    /// As the user says it: an address, or a text.
    ///
    /// # Errors
    /// An address that is not asked.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("http", _)) => Ok(Self::Url(text.to_owned())),
            Some(("https", _)) => Err("only http:// addresses are asked; name a text of its output instead".to_owned()),
            _ if text.trim().is_empty() => Err("name an address or a text".to_owned()),
            _ => Ok(Self::Text(text.to_owned())),
        }
    }
}

/// Why there is no time.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something answered before it was started.
    #[error("something answers at {0} already, so nobody could tell when the stack does")]
    Answers(String),
    /// The command cannot be run.
    #[error("cannot run the command: {0}")]
    Unrunnable(io::Error),
    /// The process that is to stop it again cannot be started, or was ended.
    #[error("nothing would stop the command again: {0}")]
    Unwatched(io::Error),
    /// It ended before it was ready.
    #[error("the command ended ({status}) before it was ready")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The last lines of its output.
        said: Vec<String>,
    },
    /// It was not ready in time.
    #[error("the command was not ready within {} s{}", limit.as_secs(), tried(last.as_ref()))]
    Late {
        /// The time that it had.
        limit: Duration,
        /// The address, and what its last try gave; `None` where a text was waited for.
        last: Option<(String, String)>,
        /// The last lines of its output.
        said: Vec<String>,
    },
    /// The user has stopped it.
    #[error("stopped before it was ready")]
    Cancelled,
}

impl StartError {
    /// The last lines that the command printed.
    pub fn said(&self) -> &[String] {
        match self {
            Self::Ended { said, .. } | Self::Late { said, .. } => said,
            _ => &[],
        }
    }
}

fn tried(last: Option<&(String, String)>) -> String {
    last.map(|(url, what)| format!("; the last try of {url}: {what}")).unwrap_or_default()
}

/// Runs a command in a folder until it is ready, stops it and all that it started, and gives the time. `program` is where
/// `wan22-policy` itself lies, an absolute path.
///
/// On Unix it is asked to end, and killed 10 s later. On Linux and Windows that includes what has left its process group,
/// elsewhere it does not.
///
/// # Errors
/// Why there is none. Whatever was started is stopped in any case.
pub fn start(
    program: &Path,
    command: &str,
    folder: &Path,
    ready: &Ready,
    limit: Duration,
    cancel: &AtomicBool,
) -> Result<Duration, StartError> {
    if let Ready::Url(url) = ready
        && ask(url).is_ok()
    {
        return Err(StartError::Answers(url.clone()));
    }
    let mut running = Running::start(program, command, folder)?;
    // The watcher has said that the command runs; its own start is none of the stack's.
    let began = Instant::now();
    let output = Arc::new(Output::until(match ready {
        Ready::Text(text) => Some(text.clone()),
        Ready::Url(_) => None,
    }));
    running.watcher.stdout.take().into_iter().for_each(|out| output.follow(out));
    running.watcher.stderr.take().into_iter().for_each(|err| output.follow(err));
    let mut last = None;
    loop {
        let is_ready_at = match ready {
            Ready::Text(_) => output.seen.get().copied(),
            Ready::Url(url) => {
                last = ask(url).err().map(|what| (url.clone(), what));
                last.is_none().then(Instant::now)
            }
        };
        if let Some(moment) = is_ready_at {
            // Whoever says so with its last words is not ready.
            if matches!(ready, Ready::Text(_)) {
                thread::sleep(ALIVE);
            }
            if running.ended()?.is_none() {
                return Ok(moment.duration_since(began));
            }
        }
        if let Some(status) = running.ended()? {
            let until = Instant::now() + LAST_WORDS;
            while Arc::strong_count(&output) > 1 && Instant::now() < until {
                thread::sleep(LOOK);
            }
            return Err(StartError::Ended { status, said: output.said() });
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(StartError::Cancelled);
        }
        if began.elapsed() > limit {
            return Err(StartError::Late { limit, last, said: output.said() });
        }
        thread::sleep(LOOK);
    }
}

/// Does what [`start`] starts the program for, when that is what its arguments say.
pub(crate) fn answer(arguments: &[OsString]) -> Option<io::Result<()>> {
    match arguments {
        [_, argument, command] if argument == ARGUMENT => Some(system::watch(command)),
        _ => None,
    }
}

// The program as the process that runs the command in the folder. Python would keep what it prints into a pipe to itself.
fn watcher(program: &Path, command: &str, folder: &Path) -> Command {
    let mut watcher = Command::new(program);
    watcher.args([ARGUMENT, command]).current_dir(folder).env("PYTHONUNBUFFERED", "1");
    watcher.stdout(Stdio::piped()).stderr(Stdio::piped());
    watcher
}

// What a command prints.
struct Output {
    // The text that is waited for.
    text: Option<String>,
    // When it was first seen.
    seen: OnceLock<Instant>,
    // The last lines.
    said: Mutex<VecDeque<String>>,
}

impl Output {
    fn until(text: Option<String>) -> Self {
        Self { text, seen: OnceLock::new(), said: Mutex::default() }
    }

    // Reads one of its streams as fast as it comes, until it is closed.
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                output.add(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
    }

    fn add(&self, line: String) {
        if self.text.as_ref().is_some_and(|text| line.contains(text)) {
            self.seen.get_or_init(Instant::now);
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == KEPT {
            said.pop_front();
        }
        said.push_back(line);
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

// Whether it answers; if not, what the try gave instead.
fn ask(url: &str) -> Result<(), String> {
    // A proxy knows nothing of this machine's own addresses.
    let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).http_status_as_error(false).proxy(None);
    match ureq::Agent::from(agent.build()).get(url).call() {
        Ok(answer) if answer.status().as_u16() < 500 => Ok(()),
        Ok(answer) => Err(format!("it answered {}", answer.status().as_u16())),
        Err(ureq::Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err("nothing listens there".to_owned())
        }
        Err(ureq::Error::Timeout(_)) => Err(format!("no answer in {} s", ANSWER.as_secs())),
        Err(error) => Err(error.to_string()),
    }
}
