//! Others at work in the same installation: several applies at once, a stack that rewrites its config, a network file system
//! without locks, a folder that is swapped for a link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::path::Path;
use std::process::{Output, Stdio};

use common::stack::{Policies, Tree, fresh};

const APPLY: &[&str] = &["apply"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// A pin for each of many applies, which changes both files.
fn pinned(number: usize) -> [String; 5] {
    let (tile, threads) = (128 + 32 * number, 1 + number);
    let (tile, threads) = (format!("vae.tile_size={tile}"), format!("threads.intra_op={threads}"));
    ["apply".to_owned(), "--set".to_owned(), tile, "--set".to_owned(), threads]
}

fn as_strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

// Only the lock, and a file that changed, are reasons to refuse; tells whether it was applied.
#[track_caller]
fn applied_or_locked_out(code: Option<i32>, out: &str, err: &str) -> bool {
    match code {
        Some(0) => true,
        Some(1) if err.contains("another process holds the lock") => false,
        Some(1) if err.contains("changed while the change was prepared") => false,
        code => panic!("{code:?}\n{out}\n{err}"),
    }
}

// What each of several applies alone makes of the fresh installation.
fn alone(policies: &Policies, numbers: std::ops::Range<usize>) -> Vec<Tree> {
    let one = |number| {
        let root = fresh().make();
        let output = policies.run(root.path(), &as_strs(&pinned(number)));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        Tree::read(root.path())
    };
    numbers.map(one).collect()
}

// The files are those of one apply, `verify` is content with them, and as many rollbacks as there were applies bring the
// first ones back.
#[track_caller]
fn consistent(policies: &Policies, root: &Path, applied: usize, alone: &[Tree]) {
    let tree = Tree::read(root);
    assert!(alone.iter().any(|one| one.targets() == tree.targets()), "the files are not those of one apply: {tree:?}");
    let run = |arguments: &[&str]| policies.run(root, arguments);
    let verified = run(&["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
    for left in (0..applied).rev() {
        let output = run(&["rollback"]);
        assert_eq!(output.status.code(), Some(0), "{left} left: {}", text(&output.stderr));
    }
    assert_eq!(fresh().differences(&Tree::read(root)), [] as [&str; 0]);
}

#[test]
fn two_and_eight_applies_at_once() {
    let policies = Policies::new();
    let alone = alone(&policies, 0..8);
    let mut held_up = 0;
    for number in [2, 2, 2, 8, 8, 8] {
        let root = fresh().make();
        let start = |number| {
            let mut command = policies.command(root.path(), &as_strs(&pinned(number)));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let running: Vec<_> = (0..number).map(start).collect();
        let ended: Vec<Output> = running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let applied = ended
            .iter()
            .filter(|output| applied_or_locked_out(output.status.code(), &text(&output.stdout), &text(&output.stderr)));
        let applied = applied.count();
        assert!(applied >= 1);
        held_up += number - applied;
        consistent(&policies, root.path(), applied, &alone);
    }
    eprintln!("30 applies, 2 or 8 at once: {held_up} of them were held up by another");
}

#[test]
fn what_a_stack_rewrites_after_an_apply_is_named() {
    let policies = Policies::new();
    let root = fresh().make();
    assert_eq!(policies.run(root.path(), APPLY).status.code(), Some(0));
    let config = root.path().join("config.json");
    // As a UI saves its settings: anew, in its own order.
    std::fs::write(&config, "{\"watch\": {\"seconds\": 2}, \"video\": {\"fps\": 24, \"tile\": 100}}").unwrap();
    let output = policies.run(root.path(), &["verify"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("video.tile is 100, the plan says 384"), "{}", text(&output.stdout));
    assert!(!text(&output.stdout).contains("watch.seconds is"), "{}", text(&output.stdout));
    assert_eq!(policies.run(root.path(), APPLY).status.code(), Some(0));
    assert_eq!(policies.run(root.path(), &["verify"]).status.code(), Some(0));
}

/// With the program stopped at its system calls.
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod traced {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use nix::errno::Errno;
    use rayon::prelude::*;

    use super::*;
    use crate::common::stack::{Node, temporary};
    use crate::common::trace::{self, Act, Call, Ended, Kind, Moment};

    // Where no process can be traced, CI fails.
    fn skipped() -> bool {
        let Some(why) = trace::refused() else { return false };
        assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{why}");
        eprintln!("SKIPPED: {why}");
        true
    }

    fn points(policies: &Policies, start: &Tree, arguments: &[&str]) -> Vec<Call> {
        let root = start.make();
        let mut calls = Vec::new();
        trace::run(&policies.command(root.path(), arguments), root.path(), |_, call, moment| {
            if moment == Moment::Before {
                calls.push(call.clone());
            }
            Act::Go
        });
        assert!(!calls.is_empty());
        calls
    }

    // Runs a command, and does something at one of its points.
    fn interrupted(
        policies: &Policies,
        root: &Path,
        arguments: &[&str],
        point: (usize, Moment),
        mut what: impl FnMut(),
    ) -> Ended {
        let mut done = false;
        let ended = trace::run(&policies.command(root, arguments), root, |number, _, moment| {
            if (number, moment) == point && !done {
                done = true;
                what();
            }
            Act::Go
        });
        assert!(done, "the run has no point {point:?}: {}", ended.err);
        ended
    }

    #[test]
    fn another_apply_at_every_point_of_an_apply() {
        if skipped() {
            return;
        }
        let policies = Policies::new();
        let alone = alone(&policies, 0..2);
        let (first, second) = (pinned(0), pinned(1));
        let calls = points(&policies, &fresh(), &as_strs(&first));
        let counts = (0..calls.len()).into_par_iter().map(|number| {
            let root = fresh().make();
            let mut other = false;
            let ended = interrupted(&policies, root.path(), &as_strs(&first), (number, Moment::Before), || {
                let output = policies.run(root.path(), &as_strs(&second));
                other = applied_or_locked_out(output.status.code(), &text(&output.stdout), &text(&output.stderr));
            });
            let this = applied_or_locked_out(ended.code, &ended.out, &ended.err);
            assert!(this || other, "each gave way to the other at {number}: {:?}", calls[number]);
            consistent(&policies, root.path(), usize::from(this) + usize::from(other), &alone);
            [usize::from(this && other), usize::from(this && !other), usize::from(other && !this)]
        });
        let [both, first, second] = counts.reduce(|| [0; 3], |a, b| std::array::from_fn(|i| a[i] + b[i]));
        eprintln!(
            "a second apply at {} points: {both} times both, {first} the first, {second} the second",
            calls.len()
        );
    }

    #[test]
    fn a_config_that_is_rewritten_before_the_lock_is_refused() {
        if skipped() {
            return;
        }
        let policies = Policies::new();
        let calls = points(&policies, &fresh(), APPLY);
        let lock = calls.iter().position(|call| call.kind == Kind::Lock).unwrap();
        for file in crate::common::stack::TARGETS {
            let path = Path::new(file);
            let read = calls[..lock].iter().rposition(|call| call.kind == Kind::Read && call.path == path).unwrap();
            for (number, call) in calls.iter().enumerate().take(lock + 1).skip(read + 1) {
                let root = fresh().make();
                let before = fs::read_to_string(root.path().join(file)).unwrap();
                let rewritten = before.replace("24", "30").replace("\"x\"", "\"y\"");
                assert_ne!(before, rewritten);
                let ended = interrupted(&policies, root.path(), APPLY, (number, Moment::Before), || {
                    fs::write(root.path().join(file), &rewritten).unwrap();
                });
                let at = format!("{file} at {call:?}: {}", ended.err);
                assert_eq!(ended.code, Some(1), "{at}");
                assert!(ended.err.contains("changed while the change was prepared"), "{at}");
                assert!(ended.err.contains(file), "{at}");
                let removed = before.lines().find(|line| !rewritten.contains(line)).unwrap();
                let added = rewritten.lines().find(|line| !before.contains(line)).unwrap();
                assert!(ended.err.contains(&format!("-{removed}")), "{at}");
                assert!(ended.err.contains(&format!("+{added}")), "{at}");
                let mut kept = fresh();
                let Node::File { mode, .. } = kept.0[file] else { panic!() };
                kept.put(file, mode, &rewritten);
                assert_eq!(kept.differences(&Tree::read(root.path())), [] as [&str; 0], "{at}");
            }
        }
    }

    // Both kinds of edit at each moment, and every kill after one.
    fn all() -> bool {
        std::env::var("RACES").is_ok_and(|value| value == "all")
    }

    // Other bytes for a file, as an editor writes them.
    const EDIT: &str = "{ \"edited\": true }\n";

    // Editors write a new file and rename it; scripts write into the old one.
    fn edit(path: &Path, renames: bool) {
        if !renames {
            return fs::write(path, EDIT).unwrap();
        }
        let beside = path.with_extension("json.swp");
        fs::write(&beside, EDIT).unwrap();
        fs::rename(beside, path).unwrap();
    }

    /// An edit at any moment of a transaction is there when it is over: the transaction was refused, or came before it.
    /// So it is when the program is killed right after the edit, or at any later point until what came back is put right.
    #[test]
    fn an_edit_at_any_moment_is_kept() {
        if skipped() {
            return;
        }
        let policies = Policies::new();
        let mut lost = BTreeMap::new();
        let (mut moments, mut kills) = (0, 0);
        let step = if all() { 1 } else { 3 };
        for (start, arguments) in [(fresh(), APPLY), (applied(&policies), &["rollback"])] {
            let calls = points(&policies, &start, arguments);
            for file in crate::common::stack::TARGETS {
                // Between two calls that neither see the file nor change any, one moment is like the other.
                let matters = |number: &usize| {
                    let name = calls[*number].path.to_string_lossy();
                    calls[*number].kind.changes() || name == file
                };
                let numbers: Vec<usize> = (0..calls.len()).filter(matters).collect();
                let runs = numbers.into_par_iter().map(|number| {
                    let survives = |renames: bool, kill: Option<usize>| {
                        let root = start.make();
                        let mut is_edited = false;
                        let command = policies.command(root.path(), arguments);
                        let ended = trace::run(&command, root.path(), |at, _, moment| {
                            if (at, moment) == (number, Moment::Before) && !is_edited {
                                is_edited = true;
                                edit(&root.path().join(file), renames);
                            }
                            if kill == Some(at) && moment == Moment::After { Act::Kill } else { Act::Go }
                        });
                        policies.run(root.path(), &["verify"]);
                        let tree = Tree::read(root.path());
                        let is_kept =
                            fs::read_to_string(root.path().join(file)).is_ok_and(|text| text.contains("edited"));
                        let strays: Vec<&String> =
                            tree.0.keys().filter(|name| name.contains("wan22-policy-")).collect();
                        let what = format!("{file}: {:?}, {strays:?}, {}", ended.code, ended.err);
                        if is_kept && strays.is_empty() { None } else { Some(what) }
                    };
                    // From a call that gives a target its bytes to the end of putting it right.
                    let is_swap = calls[number].kind == Kind::Name && calls[number].path == Path::new(file);
                    let mut ways = vec![(number % 2 == 0, None)];
                    if all() {
                        ways.push((number % 2 != 0, None));
                    }
                    let edits = ways.len();
                    if is_swap {
                        ways.extend((number..number + 40).step_by(step).map(|at| (true, Some(at))));
                    }
                    let harm = ways.iter().filter_map(|(renames, kill)| {
                        let at =
                            format!("{} at {:?} (point {number}), killed at {kill:?}", arguments[0], calls[number]);
                        survives(*renames, *kill).map(|harm| (harm, at))
                    });
                    (harm.collect::<Vec<_>>(), edits, ways.len() - edits)
                });
                for (harm, edits, killed) in runs.collect::<Vec<_>>() {
                    moments += edits;
                    kills += killed;
                    for (what, at) in harm {
                        lost.entry(what).or_insert_with(Vec::new).push(at);
                    }
                }
            }
        }
        assert!(lost.is_empty(), "{lost:#?}");
        eprintln!("an edit at {moments} moments, and {kills} kills after one at the last: none was lost");
    }

    #[test]
    fn a_file_system_without_locks_is_a_warning() {
        if skipped() {
            return;
        }
        let policies = Policies::new();
        for errno in [Errno::ENOLCK, Errno::EOPNOTSUPP, Errno::ENOSYS] {
            let root = fresh().make();
            let run = |arguments: &[&str]| {
                let command = policies.command(root.path(), arguments);
                let ended = trace::run(&command, root.path(), |_, call, moment| match (call.kind, moment) {
                    (Kind::Lock, Moment::Before) => Act::Fail(errno),
                    _ => Act::Go,
                });
                assert_eq!(ended.code, Some(0), "{errno}: {arguments:?}: {}", ended.err);
                let warned = ended.out.contains("warning[no-locks]") || ended.err.contains("warning[no-locks]");
                assert!(warned, "{errno}: {arguments:?}: {}{}", ended.out, ended.err);
            };
            run(APPLY);
            assert_eq!(Tree::read(root.path()).targets(), applied(&policies).targets());
            run(&["rollback"]);
            assert_eq!(fresh().differences(&Tree::read(root.path())), [] as [&str; 0]);
        }
    }

    fn applied(policies: &Policies) -> Tree {
        let root = fresh().make();
        assert_eq!(policies.run(root.path(), APPLY).status.code(), Some(0));
        Tree::read(root.path())
    }

    // A file beside the root, which is to be neither read nor written.
    const OUTSIDE: &str = "{ \"cpu\": { \"threads\": 5 }, \"outside\": true }\n";

    #[test]
    fn a_folder_that_is_swapped_for_a_link_leads_nowhere() {
        if skipped() {
            return;
        }
        let policies = Policies::new();
        let after = applied(&policies);
        let clean = [fresh(), after.clone()];
        let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut count = 0;
        for (start, arguments) in [(fresh(), APPLY), (after, &["rollback"])] {
            let calls = points(&policies, &start, arguments);
            let moments = (0..calls.len()).flat_map(|number| [(number, Moment::Before), (number, Moment::After)]);
            let moments: Vec<_> = moments.collect();
            let swap = |point: &(usize, Moment)| swapped(&policies, &start, arguments, *point, &clean);
            let harm: Vec<Vec<String>> = moments.par_iter().map(swap).collect();
            count += moments.len();
            for ((number, moment), harm) in moments.into_iter().zip(harm) {
                let Call { name, path, .. } = &calls[number];
                for what in harm {
                    let at = format!("{}: {moment:?} {name} `{}` (point {number})", arguments[0], path.display());
                    kinds.entry(what).or_default().push(at);
                }
            }
        }
        assert!(kinds.is_empty(), "{kinds:#?}");
        eprintln!("a folder swapped for a link at {count} moments: nothing outside was read or written");
    }

    // What is wrong when the folder is swapped at one moment of a run.
    fn swapped(
        policies: &Policies,
        start: &Tree,
        arguments: &[&str],
        point: (usize, Moment),
        clean: &[Tree],
    ) -> Vec<String> {
        let world = temporary();
        let (root, outside) = (world.path().join("root"), world.path().join("outside"));
        fs::create_dir(&root).unwrap();
        start.write(&root);
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("config.json"), OUTSIDE).unwrap();
        let times = || -> Vec<SystemTime> {
            let paths = [outside.clone(), outside.join("config.json")];
            paths.iter().map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect()
        };
        let before = (Tree::read(&outside), times());
        let (engine, away) = (root.join("engine"), root.join("engine.away"));
        let ended = interrupted(policies, &root, arguments, point, || {
            fs::rename(&engine, &away).unwrap();
            symlink(&outside, &engine).unwrap();
        });
        let mut harm = Vec::new();
        if !matches!(ended.code, Some(0 | 1 | 3)) {
            harm.push(format!("it ended with {:?}", ended.code));
        }
        let now = (Tree::read(&outside), times());
        if now != before {
            let names = before.0.differences(&now.0);
            harm.push(format!("something was written outside the root: {names:?}"));
        }
        for (name, node) in &Tree::read(&root).0 {
            if matches!(node, Node::File { bytes, .. } if text(bytes).contains("outside")) {
                harm.push(format!("{name} holds what stands outside the root"));
            }
        }
        // Once it is put right, nothing of the run is left.
        fs::remove_file(&engine).unwrap();
        fs::rename(&away, &engine).unwrap();
        let verified = policies.run(&root, &["verify"]);
        if !matches!(verified.status.code(), Some(0 | 1)) {
            harm.push(format!("`verify` then ended with {:?}", verified.status.code()));
        }
        let tree = Tree::read(&root).timeless();
        let near = clean.iter().map(|clean| clean.timeless().differences(&tree)).min_by_key(Vec::len).unwrap();
        if !near.is_empty() {
            let (code, says) = (ended.code, text(&verified.stderr));
            harm.push(format!("it ended with {code:?}; once the folder is back, {near:?}; `verify` says {says:?}"));
        }
        harm.iter().map(|what| what.replace(world.path().to_str().unwrap(), "WORLD")).collect()
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[test]
fn no_tracer() {
    eprintln!("SKIPPED: only Linux on x86-64 or ARM64, with the GNU library, has the tracer of most of these tests");
}
