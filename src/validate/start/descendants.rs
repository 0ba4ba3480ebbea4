//! Which processes a process of Linux has started, and those have started, wherever they are now.

use std::collections::HashMap;
use std::fs;
use std::io;

use rustix::process::{Pid, getpid};

/// All that descend from this process, parents before their children; those that have ended and were not asked how are
/// among them.
///
/// # Errors
/// `/proc` cannot be read.
pub fn descendants() -> io::Result<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that cannot be read has ended since.
        if let Some(parent) = fs::read(format!("/proc/{process}/stat")).ok().and_then(|stat| parent(&stat)) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![getpid().as_raw_pid()];
    while let Some(process) = pending.pop() {
        // Taken out: numbers that changed hands while they were read can make no circle.
        let young = children.remove(&process).unwrap_or_default();
        found.extend(young.iter().copied().filter_map(Pid::from_raw));
        pending.extend(young);
    }
    Ok(found)
}

// The parent, the second number after the name, which stands in parentheses and may hold any byte.
fn parent(stat: &[u8]) -> Option<i32> {
    let name = stat.iter().rposition(|&byte| byte == b')')?;
    str::from_utf8(&stat[name + 1..]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_parent_stands_after_the_name() {
        assert_eq!(parent(b"4711 (sleep) S 4242 4711 1"), Some(4242));
        assert_eq!(parent(b"4711 (a) R 1 (\xff) S 4242 4711 1"), Some(4242));
        assert_eq!(parent(b"4711 (sleep"), None);
        assert_eq!(parent(b""), None);
    }

    #[test]
    fn children_of_children_descend_from_this_process_too() {
        let mut shell =
            Command::new("sh").args(["-c", "sleep 86390 & echo $!; wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
        let sleeping = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        let found = descendants().unwrap();
        rustix::process::kill_process(sleeping, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
        assert!(found.contains(&sleeping) && found.contains(&Pid::from_child(&shell)), "{found:?}");
        assert!(!found.contains(&getpid()));
        assert!(!descendants().unwrap().contains(&sleeping));
    }
}
