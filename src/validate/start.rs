//! How long a stack takes to start: its own command is run until it answers, and stopped again.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks whether it answers; the most by which a time is too long, beside the answer's own.
const LOOK: Duration = Duration::from_millis(20);

/// Longest time that one answer may take before it is asked again.
const ANSWER: Duration = Duration::from_secs(2);

/// How long it must live on after it has said that it is ready.
const ALIVE: Duration = Duration::from_millis(300);

/// What it has to end after it was asked to, before it is killed: a UI saves its state.
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
    Unrunnable(#[from] io::Error),
    /// It ended before it was ready.
    #[error("the command ended ({status}) before it was ready")]
    Ended {
        /// How.
        status: ExitStatus,
        /// The last lines of its output.
        said: Vec<String>,
    },
    /// It was not ready in time.
    #[error("the command was not ready within {} s", limit.as_secs())]
    Late {
        /// The time that it had.
        limit: Duration,
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

/// Runs a command in a folder until it is ready, stops it and all that it started, and gives the time.
///
/// # Errors
/// Why there is none. Whatever was started is stopped in any case.
pub fn start(
    command: &str,
    folder: &Path,
    ready: &Ready,
    limit: Duration,
    cancel: &AtomicBool,
) -> Result<Duration, StartError> {
    if let Ready::Url(url) = ready
        && answers(url)
    {
        return Err(StartError::Answers(url.clone()));
    }
    let (sender, lines) = channel();
    let began = Instant::now();
    let mut running = Running::start(command, folder, sender)?;
    let mut said = VecDeque::new();
    loop {
        let line = next_line(&lines, &mut said);
        let is_ready = match (ready, line) {
            (Ready::Text(text), Some(line)) => line.contains(text),
            (Ready::Text(_), None) => false,
            (Ready::Url(url), _) => answers(url),
        };
        if is_ready {
            let took = began.elapsed();
            // Whoever says so with its last words is not ready.
            if matches!(ready, Ready::Text(_)) {
                thread::sleep(ALIVE);
            }
            if running.0.try_wait()?.is_none() {
                return Ok(took);
            }
        }
        if let Some(status) = running.0.try_wait()? {
            // Its last words may still be under way.
            while next_line(&lines, &mut said).is_some() {}
            return Err(StartError::Ended { status, said: said.into() });
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(StartError::Cancelled);
        }
        if began.elapsed() > limit {
            return Err(StartError::Late { limit, said: said.into() });
        }
    }
}

// A process and all that it started, which end with it.
struct Running(Child);

impl Running {
    fn start(command: &str, folder: &Path, lines: Sender<String>) -> io::Result<Self> {
        let mut shell = shell(command);
        shell.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        out.into_iter().for_each(|out| read_lines(out, lines.clone()));
        err.into_iter().for_each(|err| read_lines(err, lines.clone()));
        Ok(Self(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        ask_to_stop(&mut self.0);
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            match self.0.try_wait() {
                Ok(None) => thread::sleep(LOOK),
                _ => break,
            }
        }
        // Also what outlived its parent.
        kill(&mut self.0);
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    shell
}

#[cfg(unix)]
fn signal(child: &Child, signal: rustix::process::Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(unix)]
fn ask_to_stop(child: &mut Child) {
    signal(child, rustix::process::Signal::TERM);
}

#[cfg(unix)]
fn kill(child: &mut Child) {
    signal(child, rustix::process::Signal::KILL);
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut shell = Command::new("cmd");
    // `cmd` reads quotes in its own way.
    shell.arg("/C").raw_arg(command);
    shell
}

#[cfg(windows)]
fn ask_to_stop(child: &mut Child) {
    let tree = Command::new("taskkill").args(["/T", "/F", "/PID", &child.id().to_string()]).output();
    if tree.is_err() {
        kill(child);
    }
}

#[cfg(windows)]
fn kill(child: &mut Child) {
    let _ = child.kill();
}

fn read_lines(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match stream.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                        break;
                    }
                }
            }
        }
    });
}

// The next line within a look's time; the last ones are kept.
fn next_line(lines: &Receiver<String>, said: &mut VecDeque<String>) -> Option<String> {
    match lines.recv_timeout(LOOK) {
        Ok(line) => {
            if said.len() == KEPT {
                said.pop_front();
            }
            said.push_back(line.clone());
            Some(line)
        }
        Err(RecvTimeoutError::Disconnected) => {
            // Nothing more comes, and the process may go on without a word.
            thread::sleep(LOOK);
            None
        }
        Err(RecvTimeoutError::Timeout) => None,
    }
}

fn answers(url: &str) -> bool {
    let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).http_status_as_error(false).build();
    match ureq::Agent::from(agent).get(url).call() {
        Ok(answer) => answer.status().as_u16() < 500,
        Err(_) => false,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn run(command: &str, ready: &Ready, limit: Duration) -> Result<Duration, StartError> {
        let folder = tempfile::tempdir().unwrap();
        start(command, folder.path(), ready, limit, &AtomicBool::new(false))
    }

    fn processes_with(word: &str) -> usize {
        let lines = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
        String::from_utf8_lossy(&lines).lines().filter(|line| line.contains(word) && !line.contains("sh -c")).count()
    }

    #[test]
    fn a_text_of_the_output_is_waited_for_and_everything_is_stopped() {
        let text = Ready::parse("Running on").unwrap();
        let took =
            run("sleep 86391 & echo starting; sleep 0.3; echo 'Running on local URL' >&2; sleep 86391", &text, LIMIT);
        assert!((0.3..10.0).contains(&took.unwrap().as_secs_f64()));
        assert_eq!(processes_with("sleep 86391"), 0);
    }

    #[test]
    fn who_says_that_it_is_ready_and_ends_is_not() {
        let text = Ready::parse("Running on").unwrap();
        let error = run("echo 'cannot bind, was: Running on local URL'; exit 1", &text, LIMIT).unwrap_err();
        assert!(matches!(error, StartError::Ended { .. }), "{error}");
    }

    #[test]
    fn a_command_that_ends_says_its_last_words() {
        let text = Ready::parse("Running on").unwrap();
        let error = run("echo one; echo 'ModuleNotFoundError: torch' >&2; exit 7", &text, LIMIT).unwrap_err();
        assert!(error.to_string().contains('7'), "{error}");
        assert!(error.said().contains(&"ModuleNotFoundError: torch".to_owned()), "{:?}", error.said());
    }

    #[test]
    fn a_command_that_never_answers_is_stopped_also_when_it_will_not() {
        let text = Ready::parse("Running on").unwrap();
        let error = run("trap '' TERM; echo deaf; sleep 86392; sleep 86392", &text, Duration::from_millis(300));
        assert!(matches!(error, Err(StartError::Late { .. })), "{error:?}");
        assert_eq!(processes_with("sleep 86392"), 0);
    }

    #[test]
    fn an_address_is_asked_until_it_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let url = Ready::parse(&format!("http://{address}/")).unwrap();
        let port = address.port();
        let server = format!("sleep 0.2; exec python3 -m http.server {port} --bind 127.0.0.1");
        let took = run(&server, &url, LIMIT).unwrap();
        assert!(took.as_secs_f64() > 0.2);
        assert!(!answers(&format!("http://{address}/")));
    }

    #[test]
    fn an_address_that_answers_already_tells_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            use std::io::Write;
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        let error = run("sleep 1", &Ready::parse(&url).unwrap(), LIMIT).unwrap_err();
        assert!(matches!(error, StartError::Answers(_)), "{error}");
        assert!(Ready::parse("https://localhost").is_err());
    }
}
