//! The transaction on real directories, stopped at every step.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Stops the file operations of this thread.
pub(super) mod faults {
    use std::cell::Cell;

    #[derive(Clone, Copy, Debug)]
    pub enum Fault {
        /// The n-th operation and all after it fail: the process died.
        Crash(usize),
        /// Only the n-th fails: a full disk, say.
        Once(usize),
    }

    thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    /// Runs something under a fault; gives its answer and whether the fault struck.
    pub fn with<T>(fault: Fault, run: impl FnOnce() -> T) -> (T, bool) {
        FAULT.set(Some(fault));
        COUNT.set(0);
        let answer = run();
        let (Fault::Crash(at) | Fault::Once(at)) = fault;
        FAULT.set(None);
        (answer, COUNT.get() >= at)
    }

    pub fn strike() -> bool {
        let count = COUNT.get() + 1;
        COUNT.set(count);
        match FAULT.get() {
            Some(Fault::Crash(at)) => count >= at,
            Some(Fault::Once(at)) => count == at,
            None => false,
        }
    }
}

use faults::Fault;

mod soak;
#[cfg(unix)]
mod unix;

/// A folder on a file system that waits for no disk, where there is one; these tests fsync thousands of times.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

struct Case {
    _dir: TempDir,
    root: Root,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = in_memory();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        Self { _dir: dir, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn change(&self, file: &str, after: &str) -> FileChange {
        let before = read(&self.root, file).unwrap();
        FileChange { file: file.to_owned(), before, after: after.as_bytes().to_vec() }
    }

    fn apply(&self, files: &[(&str, &str)]) -> Applied {
        let changes: Vec<_> = files.iter().map(|(file, after)| self.change(file, after)).collect();
        commit(&self.root, &changes, &json!({"files": files.len()})).unwrap()
    }

    // Every file with its bytes and mode; of the state only the names, because it holds the time.
    fn snapshot(&self) -> BTreeMap<String, (Vec<u8>, u32)> {
        let mut out = BTreeMap::new();
        collect(self.root.path(), self.root.path(), &mut out);
        out.remove(".wan22-policy/lock");
        out
    }
}

fn collect(root: &Path, dir: &Path, out: &mut BTreeMap<String, (Vec<u8>, u32)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && !path.is_symlink() {
            collect(root, &path, out);
        } else {
            let ours = name.ends_with("applied.json") || name.ends_with("entry.json");
            let bytes = if ours { Vec::new() } else { fs::read(&path).unwrap_or_default() };
            out.insert(name, (bytes, mode(&path)));
        }
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> u32 {
    0
}

fn message<T>(result: Result<T, ApplyError>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn applies_stack_up_and_come_off_byte_for_byte() {
    let case = Case::new(&[("config.json", "{\r\n \"a\": 1}"), ("sub/b.env", "x\0\u{fe}")]);
    let start = case.snapshot();
    let first = case.apply(&[("config.json", "one"), ("sub/b.env", "one")]);
    assert_eq!((first.entry, first.files), (Some(1), vec!["config.json".to_owned(), "sub/b.env".to_owned()]));
    let one = case.snapshot();
    let record = applied(&case.root).unwrap().unwrap();
    assert_eq!(record.inputs, json!({"files": 2}));
    assert_eq!(record.files["config.json"].sha256_before, Some(sha256(b"{\r\n \"a\": 1}")));
    assert_eq!(record.files["config.json"].sha256_after, sha256(b"one"));
    assert!(record.time.ends_with('Z') && record.time.parse::<jiff::Timestamp>().is_ok());

    case.apply(&[("config.json", "two"), ("new.json", "two")]);
    assert_eq!(applied(&case.root).unwrap().unwrap().files["new.json"].sha256_before, None);
    case.apply(&[("new.json", "three")]);
    assert_eq!(rollback(&case.root, None, false).unwrap().restored, ["new.json"]);
    assert_eq!(case.text("new.json"), "two");
    let second = rollback(&case.root, None, false).unwrap();
    assert_eq!(
        (second.entries, second.restored, second.removed),
        (vec![2], vec!["config.json".into()], vec!["new.json".into()])
    );
    assert_eq!(case.snapshot(), one);
    assert_eq!(applied(&case.root).unwrap(), Some(record));
    rollback(&case.root, None, false).unwrap();
    assert_eq!(case.snapshot(), start);
    assert!(!case.path(STATE_DIR).exists());
    assert!(message(rollback(&case.root, None, false)).starts_with("nothing was applied in `"));
    assert!(!case.path(STATE_DIR).exists());
}

#[test]
fn nothing_to_change_makes_no_entry_and_keeps_the_inputs_current() {
    let case = Case::new(&[("a.json", "same")]);
    let same = [case.change("a.json", "same")];
    assert_eq!(commit(&case.root, &same, &json!(1)).unwrap().entry, None);
    assert_eq!(applied(&case.root).unwrap().unwrap().inputs, json!(1));
    assert!(!case.path(".wan22-policy/history").exists());
    assert!(matches!(rollback(&case.root, None, false), Err(ApplyError::NothingToRollBack { .. })));

    commit(&case.root, &[case.change("a.json", "other")], &json!(2)).unwrap();
    let file = case.path(".wan22-policy/applied.json");
    let before = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    commit(&case.root, &[], &json!(2)).unwrap();
    assert_eq!(before, (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap()));
    commit(&case.root, &[], &json!(3)).unwrap();
    let record = applied(&case.root).unwrap().unwrap();
    assert_eq!((record.inputs, record.files["a.json"].sha256_after.clone()), (json!(3), sha256(b"other")));
    rollback(&case.root, None, false).unwrap();
    assert_eq!(applied(&case.root).unwrap(), None);
}

#[test]
fn a_file_that_changed_meanwhile_is_not_overwritten() {
    let case = Case::new(&[("a.json", "old"), ("b.json", "old")]);
    let changes = [case.change("a.json", "new"), case.change("b.json", "new"), case.change("c.json", "new")];
    fs::write(case.path("b.json"), "edited").unwrap();
    fs::write(case.path("c.json"), "made").unwrap();
    let shown = message(commit(&case.root, &changes, &json!(null)));
    assert!(shown.starts_with("`b.json`, `c.json` changed while the change was prepared (in `"), "{shown}");
    assert_eq!((case.text("a.json"), case.text("b.json")), ("old".to_owned(), "edited".to_owned()));
    assert!(!case.path(STATE_DIR).exists());
}

#[test]
fn a_rollback_does_not_lose_edits_unless_told_to() {
    let case = Case::new(&[("a.json", "old"), ("b.json", "old")]);
    case.apply(&[("a.json", "new"), ("b.json", "new"), ("c.json", "new")]);
    fs::write(case.path("b.json"), "edited").unwrap();
    fs::remove_file(case.path("c.json")).unwrap();
    let shown = message(rollback(&case.root, None, false));
    assert!(shown.starts_with("`b.json`, `c.json` changed since the apply"), "{shown}");
    assert_eq!((case.text("a.json"), case.text("b.json")), ("new".to_owned(), "edited".to_owned()));
    rollback(&case.root, None, true).unwrap();
    assert_eq!((case.text("a.json"), case.text("b.json")), ("old".to_owned(), "old".to_owned()));
    assert!(!case.path("c.json").exists() && !case.path(STATE_DIR).exists());
}

#[test]
fn names_that_leave_the_root_are_refused() {
    let case = Case::new(&[("a.json", "a"), ("dir/x", "")]);
    let names = ["", "/etc/passwd", "../a", "dir/../a.json", "./a.json", ".wan22-policy/lock", ".WAN22-policy/x"];
    // What Windows reads otherwise than it is written.
    let others =
        ["C:a", "a.json:stream", "dir\\x", "NUL", "con.json", "lpt1.txt", "a.json.", "a.json ", "a\0", "a\n", "a?"];
    for name in names.into_iter().chain(others) {
        assert!(matches!(read(&case.root, name), Err(ApplyError::BadName { .. })), "{name}");
    }
    assert!(matches!(read(&case.root, "dir"), Err(ApplyError::NotAFile { .. })));
    assert_eq!(read(&case.root, "a.json/b").unwrap(), None);
    assert_eq!(read(&case.root, "missing").unwrap(), None);
    assert_eq!(read(&case.root, "missing/too").unwrap(), None);
    let change = [case.change("missing/too", "x")];
    assert!(matches!(commit(&case.root, &change, &json!(1)), Err(ApplyError::NoDirectory { .. })));
    assert!(matches!(Root::open(case.path("a.json")), Err(ApplyError::NotADirectory { .. })));
    assert!(matches!(Root::open(case.path("missing")), Err(ApplyError::Io { .. })));
}

#[test]
fn saved_bytes_have_names_that_no_stack_loads() {
    let case = Case::new(&[("a.json", "old"), ("b.py", "old"), ("c.safetensors", "old")]);
    case.apply(&[("a.json", "new"), ("b.py", "new"), ("c.safetensors", "new")]);
    let names: Vec<_> = case.snapshot().into_keys().filter(|name| name.contains("history")).collect();
    let want =
        ["0.before", "1.before", "2.before", "entry.json"].map(|name| format!(".wan22-policy/history/0001/{name}"));
    assert_eq!(names, want);
}

#[test]
fn only_one_at_a_time() {
    let case = Case::new(&[("a.json", "0")]);
    let change = [case.change("a.json", "1")];
    let held = Lock::take(&case.root).unwrap();
    let root = case.root.clone();
    let shown = std::thread::spawn(move || message(commit(&root, &change, &json!(1)))).join().unwrap();
    assert_eq!(shown, format!("another process holds the lock `{}`", case.path(".wan22-policy/lock").display()));
    drop(held);
    assert_eq!(case.snapshot().len(), 1);

    // Many at once: each commit that says it was made is on the stack, and the file always holds a whole one.
    let mut threads = Vec::new();
    for thread in 0..4 {
        let root = case.root.clone();
        threads.push(std::thread::spawn(move || {
            let mut made = 0_i32;
            for turn in 0..25 {
                let before = read(&root, "a.json").unwrap();
                let after = format!("{thread} {turn}").into_bytes();
                let change = FileChange { file: "a.json".to_owned(), before, after };
                match commit(&root, &[change], &json!(turn)) {
                    Ok(_) => made += 1,
                    Err(ApplyError::Locked { .. } | ApplyError::Changed { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                match rollback(&root, None, false) {
                    Ok(_) => made -= 1,
                    Err(ApplyError::Locked { .. } | ApplyError::NothingToRollBack { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            made
        }));
    }
    let made: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(i32::try_from(history::numbers(&case.root).unwrap().len()).unwrap(), made);
    while rollback(&case.root, None, false).is_ok() {}
    assert_eq!(
        case.snapshot().into_iter().map(|(name, (bytes, _))| (name, bytes)).collect::<Vec<_>>(),
        [("a.json".to_owned(), b"0".to_vec())]
    );
}

// Two applies' worth of files: one to change in each of two directories, one to make, one to leave alone.
fn crash_case() -> Case {
    let case = Case::new(&[("a.json", "a0"), ("sub/b.json", "b0"), ("other", "o")]);
    case.apply(&[("a.json", "a1"), ("sub/b.json", "b1")]);
    case
}

fn second_apply(case: &Case) -> Result<Applied, ApplyError> {
    let changes = [case.change("a.json", "a2"), case.change("sub/b.json", "b2"), case.change("c.json", "c2")];
    commit(&case.root, &changes, &json!("second"))
}

// What is to be interrupted: its name, how the case is made ready, and the run.
type Run = (&'static str, fn() -> Case, fn(&Case) -> Result<(), ApplyError>);

fn runs() -> [Run; 4] {
    fn applied_twice() -> Case {
        let case = crash_case();
        second_apply(&case).unwrap();
        case
    }
    fn untouched() -> Case {
        Case::new(&[("a.json", "a1"), ("sub/b.json", "b1")])
    }
    fn applied_once() -> Case {
        let case = untouched();
        second_apply(&case).unwrap();
        case
    }
    [
        ("first apply", untouched, |case| second_apply(case).map(drop)),
        ("second apply", crash_case, |case| second_apply(case).map(drop)),
        ("rollback of the second", applied_twice, |case| rollback(&case.root, None, false).map(drop)),
        ("rollback of the first", applied_once, |case| rollback(&case.root, None, false).map(drop)),
    ]
}

#[test]
fn after_a_crash_at_any_step_all_files_are_old_or_all_are_new() {
    for (name, ready, run) in runs() {
        let case = ready();
        let old = case.snapshot();
        run(&case).unwrap();
        let new = case.snapshot();
        let (mut undone, mut finished) = (0, 0);
        for at in 1.. {
            let case = ready();
            let (answer, struck) = faults::with(Fault::Crash(at), || run(&case));
            let recovered = recover(&case.root).unwrap();
            assert_eq!(recover(&case.root).unwrap(), None);
            let now = case.snapshot();
            match recovered.as_ref().map(|recovered| recovered.outcome) {
                Some(Outcome::Undone) => assert_eq!(now, old, "{name}, step {at}"),
                Some(Outcome::Finished) => assert_eq!(now, new, "{name}, step {at}"),
                None => assert!(now == old || now == new, "{name}, step {at}: {now:?}"),
            }
            undone += usize::from(now == old);
            finished += usize::from(now == new);
            if !struck {
                answer.unwrap();
                assert_eq!(now, new);
                break;
            }
        }
        assert!(undone > 10 && finished > 3, "{name}: {undone} undone, {finished} finished");
    }
}

#[test]
fn a_crash_while_recovering_is_recovered_too() {
    let [apply, _, _, roll_back] = runs();
    for (name, ready, run) in [apply, roll_back] {
        let case = ready();
        let old = case.snapshot();
        run(&case).unwrap();
        let new = case.snapshot();
        for at in 1.. {
            let mut again = 1;
            let mut outcomes = Vec::new();
            let struck = loop {
                let case = ready();
                let (_, struck) = faults::with(Fault::Crash(at), || run(&case));
                let (_, struck_again) = faults::with(Fault::Crash(again), || recover(&case.root));
                recover(&case.root).unwrap();
                let now = case.snapshot();
                assert!(now == old || now == new, "{name}, steps {at} and {again}: {now:?}");
                outcomes.push(now == new);
                if !struck_again {
                    break struck;
                }
                again += 1;
            };
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{name}, step {at}: {outcomes:?}");
            if !struck {
                break;
            }
        }
    }
}

#[test]
fn one_failing_step_leaves_all_files_old_or_new() {
    for (name, ready, run) in runs() {
        let case = ready();
        let old = case.snapshot();
        run(&case).unwrap();
        let new = case.snapshot();
        for at in 1.. {
            let case = ready();
            let (answer, struck) = faults::with(Fault::Once(at), || run(&case));
            let at_once = case.snapshot();
            recover(&case.root).unwrap();
            let now = case.snapshot();
            assert!(now == old || now == new, "{name}, step {at}: {now:?}");
            if answer.is_err() && now == old {
                assert_eq!(at_once, old, "{name}, step {at}: undone at once");
            }
            if !struck {
                break;
            }
        }
    }
}

#[test]
fn an_edit_between_crash_and_recovery_is_kept() {
    for ((name, ready, run), edited) in runs().into_iter().flat_map(|run| [(run, "sub/b.json"), (run, "c.json")]) {
        let without = |case: &Case| {
            let mut snapshot = case.snapshot();
            snapshot.remove(edited);
            snapshot
        };
        let case = ready();
        let old = without(&case);
        run(&case).unwrap();
        let new = without(&case);
        for at in 1.. {
            let case = ready();
            let (_, struck) = faults::with(Fault::Crash(at), || run(&case));
            fs::write(case.path(edited), "edited").unwrap();
            recover(&case.root).unwrap();
            assert_eq!(case.text(edited), "edited", "{name}, step {at}");
            let now = without(&case);
            assert!(now == old || now == new, "{name}, step {at}, {edited}: {now:?}");
            if !struck {
                break;
            }
        }
    }
}

#[test]
fn a_rollback_that_was_interrupted_is_not_done_twice() {
    let interrupted = |at| {
        let case = crash_case();
        second_apply(&case).unwrap();
        faults::with(Fault::Crash(at), || rollback(&case.root, None, false).map(drop)).0.unwrap_err();
        case
    };
    let case = (1..).map(interrupted).find(|case| case.text("a.json") == "a1").unwrap();
    let done = rollback(&case.root, None, false).unwrap();
    assert_eq!((done.entries, done.removed), (vec![2], vec!["c.json".to_owned()]));
    assert_eq!(done.recovered.unwrap().operation, Operation::RollBack);
    assert_eq!(case.text("a.json"), "a1");
    assert_eq!(history::numbers(&case.root).unwrap(), [1]);
}

#[test]
fn a_new_apply_recovers_first() {
    let interrupted = |at| {
        let case = crash_case();
        faults::with(Fault::Crash(at), || second_apply(&case).map(drop)).0.unwrap_err();
        case
    };
    let case = (1..).map(interrupted).find(|case| case.text("a.json") == "a2").unwrap();
    // The rest of the interrupted apply is done before this one looks at the files.
    let change = FileChange { file: "sub/b.json".to_owned(), before: Some(b"b2".to_vec()), after: b"b3".to_vec() };
    let applied = commit(&case.root, &[change], &json!("third")).unwrap();
    let recovered = applied.recovered.unwrap();
    assert_eq!(
        (recovered.operation, recovered.outcome, recovered.entries),
        (Operation::Apply, Outcome::Finished, vec![2])
    );
    assert_eq!((applied.entry, case.text("c.json"), case.text("sub/b.json")), (Some(3), "c2".into(), "b3".into()));
}

#[test]
fn damage_in_the_state_directory_is_named() {
    let case = crash_case();
    fs::write(case.path(".wan22-policy/history/0001/0.before"), "broken").unwrap();
    let shown = message(rollback(&case.root, None, true));
    assert!(shown.contains("0.before` is damaged: it does not hold the bytes that were saved"), "{shown}");
    fs::write(case.path(".wan22-policy/journal.json"), "{").unwrap();
    assert!(message(recover(&case.root)).contains("journal.json` is damaged: EOF"));
    fs::write(case.path(".wan22-policy/applied.json"), "{}").unwrap();
    assert!(message(applied(&case.root)).contains("missing field `schema`"));
}

const CHILD_ROOT: &str = "WAN22_POLICY_TEST_ROOT";

#[test]
#[ignore = "the process that `a_killed_process_is_recovered` starts"]
fn child() {
    let Some(path) = std::env::var_os(CHILD_ROOT) else { return };
    let root = Root::open(path).unwrap();
    for turn in 1.. {
        recover(&root).unwrap();
        let change = |file: &str| FileChange {
            file: file.to_owned(),
            before: read(&root, file).unwrap(),
            after: turn.to_string().into_bytes(),
        };
        commit(&root, &[change("a.json"), change("b.json")], &json!(turn)).unwrap();
        if turn % 3 == 0 {
            rollback(&root, if turn % 2 == 1 { Some(0) } else { None }, false).unwrap();
        }
    }
}

#[test]
fn a_killed_process_is_recovered() {
    let case = Case::new(&[("a.json", "0"), ("b.json", "0")]);
    let mut recovered = 0;
    for turn in 0..40_u64 {
        let before = fs::read(case.path(".wan22-policy/applied.json")).ok();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "apply::tests::child", "--ignored"])
            .env(CHILD_ROOT, case.root.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while fs::read(case.path(".wan22-policy/applied.json")).ok() == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_micros(turn * 677));
        child.kill().unwrap();
        child.wait().unwrap();
        recovered += usize::from(recover(&case.root).unwrap().is_some());
        assert_eq!(case.text("a.json"), case.text("b.json"));
        let record = applied(&case.root).unwrap();
        let hash = record.map(|record| record.files["a.json"].sha256_after.clone());
        assert!(hash.is_none_or(|hash| hash == sha256(case.text("a.json").as_bytes())));
        // The history keeps no more than `KEPT`.
        if history::numbers(&case.root).unwrap().len() > 20 {
            rollback(&case.root, Some(0), false).unwrap();
            assert_eq!(case.text("a.json"), "0");
        }
    }
    assert!(recovered > 0);
    while rollback(&case.root, None, false).is_ok() {}
    let left: Vec<_> = case.snapshot().into_iter().map(|(name, (bytes, _))| (name, bytes)).collect();
    assert_eq!(left, [("a.json".to_owned(), b"0".to_vec()), ("b.json".to_owned(), b"0".to_vec())]);
}

#[test]
fn a_rollback_goes_back_to_any_apply() {
    let case = Case::new(&[("a.json", "0"), ("b.json", "0")]);
    for turn in 1..=4 {
        let text = turn.to_string();
        case.apply(&[("a.json", &text), (["b.json", "c.json"][turn % 2], &text)]);
    }
    let shown = message(rollback(&case.root, Some(4), false));
    assert_eq!(shown, "no apply after number 4 can be taken back; the history has 1 to 4");
    let done = rollback(&case.root, Some(2), false).unwrap();
    assert_eq!((done.entries, done.restored), (vec![4, 3], vec!["a.json".into(), "b.json".into(), "c.json".into()]));
    assert_eq!(["a.json", "b.json", "c.json"].map(|name| case.text(name)), ["2", "2", "1"]);
    assert_eq!(applied(&case.root).unwrap().unwrap().files["a.json"].sha256_after, sha256(b"2"));
    // An edit between two applies is not what the older one wrote.
    fs::write(case.path("b.json"), "edited").unwrap();
    case.apply(&[("b.json", "3")]);
    assert!(
        matches!(rollback(&case.root, Some(0), false), Err(ApplyError::EditedSince { files, .. }) if files == ["b.json"])
    );
    assert_eq!(case.text("b.json"), "3");
    let done = rollback(&case.root, Some(0), true).unwrap();
    assert_eq!((done.entries, done.removed), (vec![3, 2, 1], vec!["c.json".to_owned()]));
    assert_eq!(["a.json", "b.json"].map(|name| case.text(name)), ["0", "0"]);
    assert!(!case.path(STATE_DIR).exists());
}

#[test]
fn the_history_keeps_the_newest_and_says_what_each_changed() {
    let case = Case::new(&[("a.json", "0")]);
    let applies = KEPT + 3;
    for turn in 1..=applies {
        case.apply(&[("a.json", &turn.to_string())]);
    }
    let past = history(&case.root).unwrap();
    assert_eq!((past.len(), past[0].number as usize, past[KEPT - 1].number), (KEPT, applies, 4));
    for apply in &past {
        let text = |turn: u32| Some(turn.to_string().into_bytes());
        let file = PastFile { file: "a.json".to_owned(), before: text(apply.number - 1), after: text(apply.number) };
        assert_eq!(apply.files, [file]);
    }
    assert!(matches!(rollback(&case.root, Some(2), false), Err(ApplyError::NoSuchApply { to: 2, .. })));
    assert_eq!(rollback(&case.root, Some(3), false).unwrap().entries.len(), KEPT);
    assert_eq!(case.text("a.json"), "3");
    // The oldest that is left below is still what was applied.
    assert_eq!(applied(&case.root).unwrap().unwrap().files["a.json"].sha256_after, sha256(b"3"));
    fs::write(case.path("a.json"), "edited").unwrap();
    case.apply(&[("a.json", "again")]);
    fs::write(case.path("a.json"), "edited too").unwrap();
    assert_eq!(history(&case.root).unwrap()[0].files[0].after, None, "nobody has it any more");
}
