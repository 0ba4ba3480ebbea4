//! Random sequences of apply, edit, crash, verify and rollback against a model of what the bytes must be.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::faults::{self, Fault};
use super::*;

/// Files that a sequence is about; the second lies in a folder.
const FILES: [&str; 3] = ["a.json", "sub/b.json", "c.env"];

type Bytes = Option<Vec<u8>>;

/// What is done to an installation.
#[derive(Clone, Debug)]
enum Step {
    Apply(Apply),
    /// Somebody else writes or removes a file.
    Edit(usize, Bytes),
    Rollback(Back),
    /// The process dies in the middle; the next command recovers.
    Crash(usize, Box<Step>),
    /// One operation fails, as on a full disk.
    Fail(usize, Box<Step>),
}

/// New bytes of some files.
#[derive(Clone, Debug)]
struct Apply(Vec<(usize, Vec<u8>)>);

/// How far back, counted from the newest; all above an apply, or the newest alone.
#[derive(Clone, Debug)]
struct Back {
    above: Option<usize>,
    force: bool,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..40), (0_u8..4).prop_map(|digit| vec![b'0' + digit])]
}

fn apply() -> impl Strategy<Value = Step> {
    let files = prop::collection::btree_map(0..FILES.len(), bytes(), 1..=FILES.len());
    files.prop_map(|files| Step::Apply(Apply(files.into_iter().collect())))
}

fn back() -> impl Strategy<Value = Step> {
    let above = prop_oneof![3 => Just(None), 1 => (0_usize..4).prop_map(Some)];
    (above, any::<bool>()).prop_map(|(above, force)| Step::Rollback(Back { above, force }))
}

fn step() -> impl Strategy<Value = Step> {
    let transaction = || prop_oneof![apply(), back()].prop_map(Box::new);
    prop_oneof![
        4 => apply(),
        2 => (0..FILES.len(), prop::option::weighted(0.8, bytes())).prop_map(|(file, bytes)| Step::Edit(file, bytes)),
        2 => back(),
        3 => (1_usize..130, transaction()).prop_map(|(at, step)| Step::Crash(at, step)),
        1 => (1_usize..130, transaction()).prop_map(|(at, step)| Step::Fail(at, step)),
    ]
}

/// What the files and the history must hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    files: BTreeMap<&'static str, Vec<u8>>,
    // Of each apply: the bytes before and after, by file.
    applies: Vec<BTreeMap<&'static str, (Bytes, Vec<u8>)>>,
}

impl Model {
    fn set(&mut self, file: &'static str, bytes: Bytes) {
        match bytes {
            Some(bytes) => self.files.insert(file, bytes),
            None => self.files.remove(file),
        };
    }

    fn apply(&mut self, Apply(changes): &Apply) {
        let mut entry = BTreeMap::new();
        for (file, after) in changes {
            let before = self.files.get(FILES[*file]).cloned();
            if before.as_ref() != Some(after) {
                entry.insert(FILES[*file], (before, after.clone()));
                self.set(FILES[*file], Some(after.clone()));
            }
        }
        self.applies.extend((!entry.is_empty()).then_some(entry));
    }

    /// Whether it was done; where an edit would be lost nothing is.
    fn roll_back(&mut self, back: &Back) -> bool {
        let Some(newest) = self.applies.len().checked_sub(1) else { return false };
        let keep = back.above.map_or(newest, |above| newest.saturating_sub(above));
        let mut next = self.clone();
        for entry in next.applies.split_off(keep).into_iter().rev() {
            for (file, (before, after)) in entry {
                if next.files.get(file) != Some(&after) && !back.force {
                    return false;
                }
                next.set(file, before);
            }
        }
        *self = next;
        true
    }
}

/// An installation and its model.
struct World {
    case: Case,
    model: Model,
    runs: usize,
}

impl World {
    fn new() -> Self {
        let case = Case::new(&[("a.json", "a"), ("sub/b.json", "b"), ("other", "o")]);
        let files = BTreeMap::from([("a.json", b"a".to_vec()), ("sub/b.json", b"b".to_vec())]);
        Self { case, model: Model { files, applies: Vec::new() }, runs: 0 }
    }

    /// The transaction of a step on the disk.
    fn run(&self, step: &Step) -> Result<(), ApplyError> {
        match step {
            Step::Apply(Apply(changes)) => {
                let change = |(file, after): &(usize, Vec<u8>)| {
                    let file = FILES[*file].to_owned();
                    let before = read(&self.case.root, &file)?;
                    Ok(FileChange { file, before, after: after.clone() })
                };
                let changes: Vec<FileChange> = changes.iter().map(change).collect::<Result<_, ApplyError>>()?;
                commit(&self.case.root, &changes, &json!(self.runs)).map(drop)
            }
            Step::Rollback(back) => {
                let numbers = history::numbers(&self.case.root)?;
                let keep = |above: usize| numbers.len().saturating_sub(above + 1);
                let to = back.above.map(|above| keep(above).checked_sub(1).map_or(0, |index| numbers[index]));
                rollback(&self.case.root, to, back.force).map(drop)
            }
            _ => unreachable!("only transactions are run"),
        }
    }

    /// What a transaction that goes through makes of the model, and whether it may.
    fn after(&self, step: &Step) -> (Model, bool) {
        let mut model = self.model.clone();
        let goes = match step {
            Step::Apply(apply) => {
                model.apply(apply);
                true
            }
            Step::Rollback(back) => model.roll_back(back),
            _ => false,
        };
        (model, goes)
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.runs += 1;
        match step {
            Step::Edit(file, bytes) => {
                let path = self.case.path(FILES[*file]);
                match bytes {
                    Some(bytes) => fs::write(path, bytes).unwrap(),
                    None => drop(fs::remove_file(path)),
                }
                self.model.set(FILES[*file], bytes.clone());
            }
            Step::Apply(_) | Step::Rollback(_) => {
                let (model, goes) = self.after(step);
                let answer = self.run(step);
                prop_assert_eq!(answer.is_ok(), goes, "{:?}: {:?}", step, answer);
                self.model = model;
            }
            Step::Crash(at, inner) => {
                let _ = faults::with(Fault::Crash(*at), || self.run(inner));
                let recovered = recover(&self.case.root).map_err(|error| TestCaseError::fail(error.to_string()))?;
                self.settle(inner, recovered.map(|recovered| recovered.outcome))?;
            }
            Step::Fail(at, inner) => {
                let (wanted, _) = self.after(inner);
                let (answer, _) = faults::with(Fault::Once(*at), || self.run(inner));
                let recovered = recover(&self.case.root).map_err(|error| TestCaseError::fail(error.to_string()))?;
                self.settle(inner, recovered.map(|recovered| recovered.outcome))?;
                // Who is told that it was done finds it done.
                prop_assert!(answer.is_err() || self.model == wanted, "{:?}", inner);
            }
        }
        self.verify()
    }

    // All old or all new, as the recovery says.
    fn settle(&mut self, step: &Step, outcome: Option<Outcome>) -> Result<(), TestCaseError> {
        let (model, goes) = self.after(step);
        let is_new = match outcome {
            Some(Outcome::Finished) => true,
            Some(Outcome::Undone) => false,
            None => history::numbers(&self.case.root).unwrap().len() == model.applies.len(),
        };
        if is_new && goes {
            self.model = model;
        }
        Ok(())
    }

    // The disk against the model: bytes, history, the record of the newest apply, and nothing else.
    fn verify(&self) -> Result<(), TestCaseError> {
        let mut found = BTreeMap::new();
        collect(self.case.root.path(), self.case.root.path(), &mut found);
        let mut state = Vec::new();
        let mut files = BTreeMap::new();
        for (name, (bytes, _)) in found {
            match name.strip_prefix(".wan22-policy/") {
                Some(name) => state.push(name.to_owned()),
                None => drop(files.insert(name, bytes)),
            }
        }
        let mut wanted: BTreeMap<String, Vec<u8>> =
            self.model.files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        wanted.insert("other".to_owned(), b"o".to_vec());
        prop_assert_eq!(&files, &wanted);
        let past = history(&self.case.root).unwrap();
        prop_assert_eq!(past.len(), self.model.applies.len());
        for (apply, entry) in past.iter().rev().zip(&self.model.applies) {
            let before: BTreeMap<&str, &Bytes> =
                apply.files.iter().map(|file| (file.file.as_str(), &file.before)).collect();
            let model: BTreeMap<&str, &Bytes> = entry.iter().map(|(file, (before, _))| (*file, before)).collect();
            prop_assert_eq!(before, model);
        }
        // What `verify` would call drift.
        let record = applied(&self.case.root).unwrap();
        if let (Some(record), Some(newest)) = (&record, self.model.applies.last()) {
            for (file, (_, after)) in newest {
                prop_assert_eq!(&record.files[*file].sha256_after, &sha256(after));
            }
        }
        prop_assert!(self.model.applies.is_empty() || record.is_some());
        let is_known = |name: &String| name == "applied.json" || name == "lock" || name.starts_with("history/");
        prop_assert!(state.iter().all(is_known), "{:?}", state);
        let saved: usize =
            self.model.applies.iter().map(|entry| entry.values().filter(|(b, _)| b.is_some()).count()).sum();
        let kept = state.iter().filter(|name| name.starts_with("history/")).count();
        prop_assert_eq!(kept, saved + self.model.applies.len(), "{:?}", state);
        Ok(())
    }
}

/// 300 sequences, or as many as `SOAK` says: `SOAK=10000 cargo nextest run --release --lib soak`.
#[test]
fn random_sequences_leave_the_bytes_that_they_must() {
    let cases = std::env::var("SOAK").map_or(300, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&prop::collection::vec(step(), 1..24), |sequence| {
            let mut world = World::new();
            sequence.iter().try_for_each(|step| world.step(step))?;
            // Whatever happened, everything can be taken back.
            while rollback(&world.case.root, None, true).is_ok() {}
            let first =
                |file: &str| world.model.applies.iter().find_map(|entry| entry.get(file)).map(|(before, _)| before);
            for file in FILES {
                let bytes = fs::read(world.case.path(file)).ok();
                let wanted = first(file).unwrap_or(&None);
                let untouched = world.model.files.get(file);
                prop_assert_eq!(bytes.as_ref(), if first(file).is_some() { wanted.as_ref() } else { untouched });
            }
            Ok(())
        })
        .unwrap();
    eprintln!("{cases} random sequences of apply, edit, crash, failure and rollback: no difference");
}
