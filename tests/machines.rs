//! The snapshot of every machine of `tests/machines/`: what the policies say of each model. `wan22-policy test` compares
//! with the same files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use common::{AS_OF, CORPUS, POLICIES, plan, read_machine};
use wan22_policy::corpus::Answer;
use wan22_policy::corpus::compare::{changes, with};
use wan22_policy::corpus::snapshot::Snapshot;

fn snapshots() -> Vec<(String, Snapshot)> {
    assert_eq!(CORPUS.unreadable, []);
    let snapshot = |answers: &Vec<_>| Snapshot::of(answers, |_| false);
    let answers = CORPUS.answers(&POLICIES, AS_OF.parse().unwrap());
    CORPUS.machines.iter().map(|machine| machine.name.clone()).zip(answers.iter().map(snapshot)).collect()
}

#[test]
fn every_machine_has_its_snapshot() {
    let snapshots = snapshots();
    insta::with_settings!({ snapshot_path => "machines/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::glob!("machines/*.yaml", |path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let (_, snapshot) = snapshots.iter().find(|(machine, _)| machine == name).unwrap();
            insta::assert_snapshot!("plan", snapshot.render());
        });
    });
}

/// The machine that the seed report describes, with the seed's two-second video.
#[test]
fn the_reference_machine_has_the_settings_of_the_seed_report() {
    insta::glob!("machines/rtx-4080-16g-128g-5995wx-*.yaml", |path| {
        let facts = read_machine(path, "ti2v-5b:1280x704x49");
        let plan = plan(&POLICIES, &facts);
        let answer = Answer { workload: "ti2v-5b:1280x704x49".to_owned(), facts, plan };
        insta::assert_snapshot!(Snapshot::of(&[answer], |_| false).render());
    });
}

#[test]
fn a_snapshot_reads_back_as_it_was_written() {
    let snapshots = snapshots();
    for (machine, snapshot) in &snapshots {
        assert_eq!(Snapshot::parse(&snapshot.render()).as_ref(), Ok(snapshot), "{machine}");
    }
    // From each machine to the next, change by change, is the next machine.
    for pair in snapshots.windows(2) {
        let [(_, old), (machine, new)] = pair else { unreachable!() };
        let changes = changes(old, new);
        let all: Vec<_> = changes.iter().collect();
        assert_eq!(with(old, &all), *new, "{machine}");
        assert_eq!(with(old, &[]), *old);
        assert!(changes.iter().all(|change| change.before != change.after));
    }
    for broken in [
        "vae.tile_size: 512 px (vae-tile)",
        "  vae.tile_size: 512 px (vae-tile)",
        "a:1x1x1\n  vae.tile_size 512 px",
        "a:1x1x1\n  vae.tile_size: 512",
    ] {
        assert!(Snapshot::parse(broken).is_err(), "{broken}");
    }
}
