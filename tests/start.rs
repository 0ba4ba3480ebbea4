//! `validate --start`: when a stack is ready, what is said of one that is not, and that nothing of it is left.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use common::program::{PATH, program};
use common::project::Project;
use tempfile::TempDir;
use wan22_policy::validate::start::{self, Ready, StartError};

const LIMIT: Duration = Duration::from_secs(30);

fn run_in(folder: &Path, command: &str, ready: &str, limit: Duration) -> Result<Duration, StartError> {
    let ready = Ready::parse(ready).unwrap();
    start::start(Path::new(PATH), command, folder, &ready, limit, &AtomicBool::new(false))
}

fn run(command: &str, ready: &str, limit: Duration) -> Result<Duration, StartError> {
    run_in(tempfile::tempdir().unwrap().path(), command, ready, limit)
}

// How many processes run with exactly these arguments.
fn processes(arguments: &str) -> usize {
    let lines = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
    String::from_utf8_lossy(&lines).lines().filter(|line| line.trim_end() == arguments).count()
}

// An address at which every request gets this status.
fn address_with(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    url
}

#[test]
fn a_text_of_the_output_is_waited_for_and_everything_is_stopped() {
    let command = "sleep 86391 & echo starting; sleep 0.3; echo 'Running on local URL' >&2; sleep 86391";
    let took = run(command, "Running on", LIMIT);
    assert!((0.3..10.0).contains(&took.unwrap().as_secs_f64()));
    assert_eq!(processes("sleep 86391"), 0);
}

#[test]
fn who_says_that_it_is_ready_and_ends_is_not() {
    let error = run("echo 'cannot bind, was: Running on local URL'; exit 1", "Running on", LIMIT).unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
}

#[test]
fn a_command_that_ends_says_its_last_words_and_how() {
    let error = run("echo one; echo 'ModuleNotFoundError: torch' >&2; exit 7", "Running on", LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "the command ended (exit status: 7) before it was ready");
    assert!(error.said().contains(&"ModuleNotFoundError: torch".to_owned()), "{:?}", error.said());
    let error = run("kill -9 $$", "Running on", LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "the command ended (signal: 9 (SIGKILL)) before it was ready");
}

#[test]
fn what_a_command_leaves_running_may_go_on_to_speak() {
    let error = run("yes still here & sleep 0.2; exit 3", "Running on", LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "the command ended (exit status: 3) before it was ready");
    assert_eq!(processes("yes still here"), 0);
}

#[test]
fn the_last_words_are_the_last_also_where_an_address_is_asked() {
    // It takes calls and never answers them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let command = "for i in $(seq 100); do echo $i; done; sleep 86398";
    let error = run(command, &url, Duration::from_secs(1)).unwrap_err();
    assert_eq!((error.said().len(), error.said().last().map(String::as_str)), (20, Some("100")), "{error}");
}

#[test]
fn a_line_of_python_is_heard_when_it_is_printed() {
    let command = "exec python3 -c 'import time; print(\"Running on local URL\"); time.sleep(86399)'";
    run(command, "Running on", LIMIT).unwrap();
}

#[test]
fn a_command_that_never_answers_is_stopped_also_when_it_will_not() {
    let command = "trap '' TERM; echo deaf; sleep 86392; sleep 86392";
    let error = run(command, "Running on", Duration::from_millis(1300)).unwrap_err();
    assert_eq!(error.to_string(), "the command was not ready within 1 s");
    assert_eq!(error.said(), ["deaf"]);
    assert_eq!(processes("sleep 86392"), 0);
}

#[test]
fn an_address_is_asked_until_it_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let port = address.port();
    let server = format!("sleep 0.2; exec python3 -m http.server {port} --bind 127.0.0.1");
    let took = run(&server, &format!("http://{address}/"), LIMIT).unwrap();
    assert!(took.as_secs_f64() > 0.2);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_address_that_answers_already_tells_nothing() {
    let error = run("sleep 1", &address_with("200 OK"), LIMIT).unwrap_err();
    assert!(matches!(error, StartError::Answers(_)), "{error}");
    assert!(Ready::parse("https://localhost").is_err());
}

#[test]
fn what_the_last_try_of_an_address_gave_is_said() {
    let url = address_with("500 Internal Server Error");
    let late = |url: &str| run("sleep 86393", url, Duration::from_secs(1)).unwrap_err().to_string();
    assert_eq!(late(&url), format!("the command was not ready within 1 s; the last try of {url}: it answered 500"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(
        late(&url),
        format!("the command was not ready within 1 s; the last try of {url}: nothing listens there")
    );
}

#[test]
fn only_what_the_command_started_is_stopped() {
    let mut other = Command::new("sleep").arg("86394").spawn().unwrap();
    run("echo Running on; sleep 86395", "Running on", LIMIT).unwrap();
    let is_left = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(is_left);
}

#[test]
fn a_command_whose_watcher_is_killed_is_stopped_and_that_is_said() {
    let error = run("kill -9 $PPID; sleep 86396", "Running on", LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "nothing would stop the command again: its watcher has ended");
    assert_eq!(processes("sleep 86396"), 0);
}

#[test]
fn a_shell_that_is_not_there_is_said() {
    let project = Project::of_example("wan22-ui");
    let validate = ["validate", "--root", ".", "--no-site", "--only", "initialisation"];
    let mut command = program();
    command.args(validate).args(["--start", "true", "--ready", "Running on"]).current_dir(project.path("app"));
    let output = command.env("PATH", "/nowhere").output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("cannot run the command: No such file or directory"), "{out}");
    assert_eq!(output.status.code(), Some(3));
}

#[cfg(target_os = "linux")]
#[test]
fn what_has_left_the_group_is_stopped_too() {
    // As a daemon does: a session of its own, and no parent.
    let daemon = "(setsid sleep 86397 >/dev/null 2>&1 &)";
    let deaf = "(setsid sh -c \"trap '' TERM; sleep 86397; sleep 86397\" &)";
    for command in [format!("{daemon}; echo Running on; sleep 86397"), format!("{deaf}; echo Running on; sleep 86397")]
    {
        run(&command, "Running on", LIMIT).unwrap();
        assert_eq!(processes("sleep 86397"), 0, "{command}");
    }
    // Also when the command has ended long before.
    let error = run(daemon, "Running on", LIMIT).unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    assert_eq!(processes("sleep 86397"), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn what_has_left_the_group_may_save_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let saves = "trap 'sleep 0.5; echo saved > state; exit' TERM; echo Running on; while :; do sleep 0.1; done";
    run_in(folder.path(), &format!("setsid sh -c \"{saves}\" & wait"), "Running on", LIMIT).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("state")).unwrap(), "saved\n");
}

#[cfg(target_os = "linux")]
fn name(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/comm")).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_when_the_program_is_killed() {
    let folder = TempDir::new().unwrap();
    let command = "(setsid sleep 86398 >/dev/null 2>&1 &); sleep 86398";
    let mut run = program()
        .args(["validate", "--root", ".", "--no-site", "--start", command, "--ready", "Running on"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("it starts", || processes("sleep 86398") == 2);
    // As `killall -9` does: all of its name.
    let main = run.id();
    let children = Command::new("ps").args(["-o", "pid=", "--ppid", &main.to_string()]).output().unwrap().stdout;
    let children = String::from_utf8(children).unwrap();
    let mut named: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(!named.is_empty());
    named.push(main);
    named.retain(|&process| name(process) == name(main));
    let named = named.iter().map(u32::to_string);
    assert!(Command::new("kill").arg("-9").args(named).status().unwrap().success());
    run.wait().unwrap();
    wait_until("nothing is left", || processes("sleep 86398") == 0);
}

#[cfg(target_os = "linux")]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(9), "not within 9 s: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
