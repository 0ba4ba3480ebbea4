//! The points, what happens at them, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use nix::errno::Errno;
use rayon::prelude::*;

use crate::common::stack::{Node, Policies, Tree, fresh, temporary};
use crate::common::trace::{self, Act, Call, Ended, Kind, Moment};

const APPLY: &[&str] = &["apply"];
const APPLY_OTHERS: &[&str] = &["apply", "--set", "vae.tile_size=256", "--set", "threads.intra_op=8"];
const VERIFY: &[&str] = &["verify"];
const ROLLBACK: &[&str] = &["rollback"];
const FORCE: &[&str] = &["rollback", "--force"];
const JOURNAL: &str = ".wan22-policy/journal.json";

/// A command on an installation, and what may be there when it and its recovery are through.
struct Case {
    what: String,
    start: Tree,
    command: &'static [&'static str],
    /// Without times.
    clean: Vec<Tree>,
    /// Those of them that it leaves when it ends well.
    done: Vec<Tree>,
    /// Whether something is in flight when it begins.
    recovers: bool,
    /// Whether a rollback may be in flight when it ends.
    rolls_back: bool,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug)]
struct Fault {
    number: usize,
    moment: Moment,
    act: Act,
    /// Whether all later calls that change something are refused as well: a full disk, or one that the system has made
    /// read-only.
    lasts: bool,
}

/// A fault, and what it led to.
struct Struck {
    fault: String,
    tree: Tree,
}

/// What is wrong, and where it was seen.
#[derive(Default)]
struct Wrong(BTreeMap<String, Vec<String>>);

impl Wrong {
    fn add(&mut self, what: String, fault: &str) {
        self.0.entry(what).or_default().push(fault.to_owned());
    }

    fn merge(mut self, other: Self) -> Self {
        for (what, faults) in other.0 {
            self.0.entry(what).or_default().extend(faults);
        }
        self
    }
}

#[derive(Default)]
struct Count {
    points: usize,
    calls: usize,
    killed: usize,
    failed: usize,
    states: usize,
}

impl Count {
    fn report(self, of: &str, wrong: Wrong) {
        let Self { points, calls, killed, failed, states } = self;
        let runs =
            format!("{of}: {points} points of {calls} system calls, {killed} killed runs, {failed} failed calls");
        eprintln!("{runs}: {states} states of the disk");
        let shown = wrong.0.iter().map(|(what, faults)| {
            let some: Vec<&str> = faults.iter().take(4).map(String::as_str).collect();
            format!("\n{what}\n    {} times: {}\n", faults.len(), some.join("\n             "))
        });
        let shown: Vec<String> = shown.collect();
        assert!(shown.is_empty(), "{} kinds of harm\n{}", shown.len(), shown.concat());
        eprintln!("{runs}: all old or new");
    }
}

impl Struck {
    fn in_flight(&self) -> bool {
        self.tree.0.contains_key(JOURNAL)
    }
}

// All errors of each call instead of one, and recoveries of every case by every command.
fn all() -> bool {
    env::var("FAULTS").is_ok_and(|value| value == "all")
}

// Where no process can be traced, CI fails.
fn skipped() -> bool {
    let Some(why) = trace::refused() else { return false };
    assert!(env::var_os("CI").is_none_or(|value| value != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
    true
}

#[test]
fn the_tracer_stops_a_program_on_either_side_of_a_call() {
    if skipped() {
        return;
    }
    let root = temporary();
    let path = |name: &str| root.path().join(name);
    let mkdir = |name: &str, moment: Moment, act: Act| {
        let mut command = Command::new("mkdir");
        command.arg(path(name)).env("LC_ALL", "C");
        trace::run(
            &command,
            root.path(),
            |_, call, now| if (call.kind, now) == (Kind::Name, moment) { act } else { Act::Go },
        )
    };
    assert_eq!((mkdir("a", Moment::Before, Act::Kill).code, path("a").exists()), (None, false));
    assert_eq!((mkdir("b", Moment::After, Act::Kill).code, path("b").exists()), (None, true));
    let refused = mkdir("c", Moment::Before, Act::Fail(Errno::EROFS));
    assert_eq!((refused.code, path("c").exists()), (Some(1), false));
    assert!(refused.err.contains("Read-only file system"), "{}", refused.err);
    // A child of the program, which names the file relative to its own directory.
    let mut command = Command::new("sh");
    command.args(["-c", "(printf 12345678 > f); true"]).current_dir(root.path());
    let mut sizes = Vec::new();
    let ended = trace::run(&command, root.path(), |_, call, moment| match (call.kind, moment) {
        (Kind::Write, Moment::Before) if sizes.is_empty() => {
            sizes.push(fs::metadata(path("f")).unwrap().len());
            Act::Half
        }
        (Kind::Write, Moment::Before) => {
            sizes.push(fs::metadata(path("f")).unwrap().len());
            Act::Go
        }
        _ => Act::Go,
    });
    assert_eq!((ended.code, sizes, fs::read_to_string(path("f")).unwrap().as_str()), (Some(0), vec![0, 4], "12345678"));
}

#[test]
fn every_kill_and_every_error_leaves_the_old_or_the_new_files() {
    if skipped() {
        return;
    }
    let policies = Policies::new();
    let mut count = Count::default();
    let mut wrong = Wrong::default();
    for case in cases(&policies) {
        let (states, found) = inject(&policies, &case, &mut count);
        wrong = wrong.merge(found);
        assert!(states.iter().any(|struck| struck.in_flight()), "{}: nothing was ever in flight", case.what);
    }
    count.report("apply and rollback", wrong);
}

#[test]
fn every_kill_and_every_error_of_a_recovery_leaves_the_old_or_the_new_files() {
    if skipped() {
        return;
    }
    let policies = Policies::new();
    let mut count = Count::default();
    let mut wrong = Wrong::default();
    let cases = cases(&policies);
    let chosen = if all() { &cases[..] } else { &cases[1..3] };
    for case in chosen {
        let calls = record(&policies, case).0;
        let kills = kills(&calls);
        let states: Vec<Struck> = kills.par_iter().map(|kill| strike(&policies, case, &calls, *kill).0).collect();
        for struck in one_of_each_kind(each_once(states)) {
            let commands: &[&'static [&'static str]] =
                if all() { &[VERIFY, ROLLBACK, case.command] } else { &[VERIFY] };
            for command in commands {
                let (_, found) = inject(&policies, &recovery(&policies, case, &struck, command), &mut count);
                wrong = wrong.merge(found);
            }
        }
    }
    count.report("recovery", wrong);
}

fn cases(policies: &Policies) -> Vec<Case> {
    let after = |start: &Tree, command: &[&str]| {
        let root = start.make();
        let output = policies.run(root.path(), command);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Tree::read(root.path())
    };
    let one = after(&fresh(), APPLY);
    let two = after(&one, APPLY_OTHERS);
    let mut edited = two.clone();
    edited.put("config.json", 0o640, "{ \"video\": { \"tile\": 512, \"fps\": 30 } }\n");
    let mut missing = fresh();
    missing.0.remove("config.json");
    let made = after(&missing, APPLY);
    let case = |what: &str, start: &Tree, command: &'static [&'static str]| {
        let done = after(start, command).timeless();
        Case {
            what: what.to_owned(),
            start: start.clone(),
            command,
            clean: vec![start.timeless(), done.clone()],
            done: vec![done],
            recovers: false,
            rolls_back: command[0] == "rollback",
        }
    };
    vec![
        case("the first apply", &fresh(), APPLY),
        case("the second apply", &one, APPLY_OTHERS),
        case("a rollback", &two, ROLLBACK),
        case("the last rollback", &one, ROLLBACK),
        case("a rollback of edits", &edited, FORCE),
        case("an apply that makes a file", &missing, APPLY),
        case("a rollback that removes a file", &made, ROLLBACK),
    ]
}

fn recovery(policies: &Policies, case: &Case, struck: &Struck, command: &'static [&'static str]) -> Case {
    let further = outcomes(policies, &case.clean, command).into_iter().map(|(_, tree)| tree);
    let clean: Vec<Tree> = case.clean.iter().cloned().chain(further).collect();
    Case {
        what: format!("{}, {}, then {}", case.what, struck.fault, command.join(" ")),
        start: struck.tree.clone(),
        command,
        done: clean.clone(),
        clean,
        recovers: true,
        rolls_back: case.rolls_back || command[0] == "rollback",
    }
}

// Of those with something in flight, one of each phase and of each set of files that are new already.
fn one_of_each_kind(mut states: Vec<Struck>) -> Vec<Struck> {
    states.retain(Struck::in_flight);
    let kind = |struck: &Struck| {
        let Some(Node::File { bytes, .. }) = struck.tree.0.get(JOURNAL) else { panic!("nothing is in flight") };
        let journal: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let targets = struck.tree.targets().map(|target| format!("{target:?}"));
        (journal["phase"].to_string(), targets)
    };
    let kinds: BTreeMap<_, Struck> = states.into_iter().map(|struck| (kind(&struck), struck)).collect();
    kinds.into_values().collect()
}

// One of those that left the disk in the same state.
fn each_once(struck: Vec<Struck>) -> Vec<Struck> {
    let mut states = BTreeMap::new();
    for struck in struck {
        states.entry(struck.tree.timeless()).or_insert(struck);
    }
    states.into_values().collect()
}

// How a command ends on each tree, and what it leaves.
fn outcomes(policies: &Policies, trees: &[Tree], command: &[&str]) -> BTreeSet<(i32, Tree)> {
    let outcome = |tree: &Tree| {
        let root = tree.make();
        let output = policies.run(root.path(), command);
        (output.status.code().unwrap(), Tree::read(root.path()).timeless())
    };
    trees.par_iter().map(outcome).collect()
}

// Strikes at every point; gives the states that the disk was left in, each once.
fn inject(policies: &Policies, case: &Case, count: &mut Count) -> (Vec<Struck>, Wrong) {
    let (calls, total) = record(policies, case);
    let faults = faults(&calls);
    count.points += calls.len();
    count.calls += total;
    count.killed += faults.iter().filter(|fault| fault.act == Act::Kill).count();
    count.failed += faults.iter().filter(|fault| fault.act != Act::Kill).count();
    let run = |fault: &Fault| strike(policies, case, &calls, *fault);
    let (struck, wrong): (Vec<Struck>, Vec<Wrong>) = faults.par_iter().map(run).unzip();
    let wrong = wrong.into_iter().fold(Wrong::default(), Wrong::merge);
    let states = each_once(struck);
    count.states += states.len();
    let apply = if case.command[0] == "apply" { case.command } else { APPLY_OTHERS };
    let mut found = wrong;
    for next in [apply, VERIFY, ROLLBACK, FORCE] {
        let mut right = outcomes(policies, &case.clean, next);
        if case.rolls_back && next[0] == "rollback" {
            // A rollback that is found and finished is the one that was asked for.
            right.extend(case.clean.iter().map(|tree| (0, tree.clone())));
        }
        let wrong = states.par_iter().map(|struck| go_on(policies, case, struck, next, &right)).collect::<Vec<_>>();
        found = wrong.into_iter().fold(found, Wrong::merge);
    }
    (states, found)
}

// The calls of an undisturbed run, and how many system calls it makes in all.
fn record(policies: &Policies, case: &Case) -> (Vec<Call>, usize) {
    let once = || {
        let root = case.start.make();
        let mut calls = Vec::new();
        let ended = trace::run(&policies.command(root.path(), case.command), root.path(), |_, call, moment| {
            if moment == Moment::Before {
                calls.push(call.clone());
            }
            Act::Go
        });
        assert_ne!(ended.code, None, "{}", ended.err);
        (calls, ended.calls)
    };
    let ((first, total), (second, _)) = (once(), once());
    assert!(same(&first, &second), "{}: two runs make different calls: {first:?} {second:?}", case.what);
    assert!(!first.is_empty());
    if env::var_os("FAULTS_SHOW").is_some() {
        eprintln!("{}", case.what);
        for (number, call) in first.iter().enumerate() {
            eprintln!("  {number:>3} {:?} {} {}", call.kind, call.name, call.path.display());
        }
    }
    (first, total)
}

// A temporary file may have another name.
fn same(one: &[Call], other: &[Call]) -> bool {
    let calls = |calls: &[Call]| calls.iter().map(|call| (call.name, call.kind)).collect::<Vec<_>>();
    calls(one) == calls(other)
}

fn kills(calls: &[Call]) -> Vec<Fault> {
    let numbered = calls.iter().enumerate();
    // Otherwise it is the kill at the call before.
    let counts = |call: &Call| call.kind.changes() || call.kind == Kind::Lock;
    let kill =
        |number| [Moment::Before, Moment::After].map(|moment| Fault { number, moment, act: Act::Kill, lasts: false });
    numbered.filter(|(_, call)| counts(call)).flat_map(|(number, _)| kill(number)).collect()
}

fn faults(calls: &[Call]) -> Vec<Fault> {
    let mut faults = kills(calls);
    for (number, call) in calls.iter().enumerate() {
        // Calls that only look are most of them.
        if matches!(call.kind, Kind::Look | Kind::Open) && number % 3 != 0 && !all() {
            continue;
        }
        let errors = errors(call);
        let chosen = if all() { errors.clone() } else { vec![errors[number % errors.len()]] };
        let mut acts: Vec<Act> = chosen.into_iter().map(Act::Fail).collect();
        if call.length.is_some_and(|length| length > 1) {
            acts.push(Act::Half);
        }
        let mut add = |act, lasts| faults.push(Fault { number, moment: Moment::Before, act, lasts });
        acts.into_iter().for_each(|act| add(act, false));
        if call.kind.changes() {
            let errors: &[Errno] = if all() { &[Errno::EROFS, Errno::ENOSPC, Errno::EIO] } else { &[Errno::EROFS] };
            errors.iter().for_each(|errno| add(Act::Fail(*errno), true));
        }
    }
    faults
}

// What the system may answer to a call.
fn errors(call: &Call) -> Vec<Errno> {
    match call.kind {
        Kind::Look | Kind::Open => vec![Errno::EIO, Errno::EACCES],
        Kind::Create | Kind::Name => vec![Errno::EACCES, Errno::EROFS, Errno::ENOSPC, Errno::EIO],
        Kind::Read | Kind::Sync | Kind::Run => vec![Errno::EIO],
        Kind::Write => vec![Errno::ENOSPC, Errno::EIO],
        Kind::Attributes => vec![Errno::EIO, Errno::EROFS, Errno::EACCES, Errno::ENOSPC],
        Kind::Lock => vec![Errno::EIO],
    }
}

fn strike(policies: &Policies, case: &Case, calls: &[Call], fault: Fault) -> (Struck, Wrong) {
    let root = case.start.make();
    let call = &calls[fault.number];
    let mut reached = None;
    let ended = trace::run(&policies.command(root.path(), case.command), root.path(), |number, call, moment| {
        if (number, moment) == (fault.number, fault.moment) {
            reached = Some(call.clone());
            fault.act
        } else if fault.lasts && number > fault.number && moment == Moment::Before && call.kind.changes() {
            fault.act
        } else {
            Act::Go
        }
    });
    let how = match fault.act {
        Act::Kill => format!("killed {}", if fault.moment == Moment::Before { "before" } else { "after" }),
        Act::Fail(errno) => format!("{errno:?} {}", if fault.lasts { "from" } else { "at" }),
        act => format!("{act:?} of"),
    };
    let shown = format!("{how} {} `{}` (point {})", call.name, call.path.display(), fault.number);
    let reached = reached.unwrap_or_else(|| panic!("{}: {shown} was not reached: {}", case.what, ended.err));
    assert!(same(&[reached], std::slice::from_ref(call)), "{}: {shown} is another call", case.what);
    let tree = Tree::read(root.path());
    let mut wrong = Wrong::default();
    let at = format!("{}: {shown}", case.what);
    for say in harm(case, fault, call, &ended, &tree, root.path()) {
        wrong.add(say, &at);
    }
    (Struck { fault: shown, tree }, wrong)
}

// What must not be, right after the run.
fn harm(case: &Case, fault: Fault, call: &Call, ended: &Ended, tree: &Tree, root: &Path) -> Vec<String> {
    let mut harm = Vec::new();
    let may: Vec<_> = case.clean.iter().chain([&case.start]).map(Tree::targets).collect();
    let whole = |file: usize| may.iter().any(|targets| targets[file] == tree.targets()[file]);
    if !whole(0) || !whole(1) {
        harm.push("a file is neither the old nor the new one".to_owned());
    }
    let Act::Fail(errno) = fault.act else {
        match (fault.act, ended.code) {
            (Act::Kill, None) | (Act::Half, Some(0)) => {}
            (_, code) => {
                harm.push(format!("it ended with {code:?}: {}", ended.err.replace(root.to_str().unwrap(), "ROOT")))
            }
        }
        return harm;
    };
    // Where nothing can be undone, and in a recovery, the next one goes on between two files.
    if !fault.lasts && !case.recovers && !may.contains(&tree.targets()) {
        harm.push("some files are old and some new after a call that failed".to_owned());
    }
    let error = io::Error::from_raw_os_error(errno as i32).to_string();
    let name = call.path.file_name().unwrap_or_default().to_string_lossy();
    let named = ended.err.contains(root.to_str().unwrap()) || (!name.is_empty() && ended.err.contains(&*name));
    let says = ended.err.replace(root.to_str().unwrap(), "ROOT");
    let says = format!("{} of `{}`: {}", call.name, call.path.display(), says.lines().next().unwrap_or_default());
    match ended.code {
        // What did not come down to the disk may be gone after a loss of power.
        Some(0) if matches!(call.kind, Kind::Write | Kind::Sync) => {
            harm.push(format!(
                "it ended well, though something was not written: {} of `{}`",
                call.name,
                call.path.display()
            ));
        }
        Some(0) if case.done.iter().any(|done| done.targets() == tree.targets()) => {}
        Some(0) => {
            harm.push(format!("it ended well, and not all was done: {} of `{}`", call.name, call.path.display()));
        }
        Some(1) if named && ended.err.contains(&error) => {}
        Some(1) => harm.push(format!("the message does not say «{error}», or of which file: {says}")),
        code => harm.push(format!("exit code {code:?}: {says}")),
    }
    harm
}

// What is wrong after the next command.
fn go_on(policies: &Policies, case: &Case, struck: &Struck, next: &[&str], right: &BTreeSet<(i32, Tree)>) -> Wrong {
    let mut wrong = Wrong::default();
    let root = struck.tree.make();
    let output = policies.run(root.path(), next);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(root.path().to_str().unwrap(), "ROOT");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let at = format!("{}: {}", case.what, struck.fault);
    let then = next.join(" ");
    if struck.in_flight() && !out.contains("apply-in-flight") && !err.contains("apply-in-flight") {
        wrong.add(format!("`{then}` does not say what was in flight; it says {err:?}"), &at);
    }
    let tree = Tree::read(root.path()).timeless();
    let code = output.status.code();
    if !right.iter().any(|(right, clean)| Some(*right) == code && *clean == tree) {
        let near = right.iter().map(|(code, clean)| (clean.differences(&tree), code)).min_by_key(|(d, _)| d.len());
        wrong.add(format!("`{then}` ends with {code:?}, not well or with something left over: {near:?}; {err:?}"), &at);
    }
    wrong
}
