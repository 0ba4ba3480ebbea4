//! Links, owners, modes and attributes, as Unix has them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

#[test]
fn links_inside_the_root_are_followed_and_others_refused() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let case = Case::new(&[("real/config.json", "old")]);
    symlink("real/config.json", case.path("config.json")).unwrap();
    symlink("real", case.path("dir")).unwrap();
    symlink(outside.path(), case.path("out")).unwrap();
    symlink(outside.path().join("secret"), case.path("secret")).unwrap();
    symlink("nowhere", case.path("dangling")).unwrap();

    for name in ["out/secret", "secret", "out/new", "out/no/new"] {
        assert!(matches!(read(&case.root, name), Err(ApplyError::OutsideRoot { .. })), "{name}");
    }
    assert!(matches!(read(&case.root, "dangling"), Err(ApplyError::DanglingLink { .. })));
    let both = [case.change("config.json", "new"), case.change("dir/config.json", "new")];
    assert!(matches!(commit(&case.root, &both, &json!(1)), Err(ApplyError::SameFile { .. })));

    case.apply(&[("config.json", "new")]);
    assert_eq!(fs::read_link(case.path("config.json")).unwrap(), Path::new("real/config.json"));
    assert_eq!(case.text("real/config.json"), "new");
    // A program that replaces the link by a file of its own has edited it.
    fs::remove_file(case.path("config.json")).unwrap();
    fs::write(case.path("config.json"), "new").unwrap();
    assert!(matches!(rollback(&case.root, None, false), Err(ApplyError::EditedSince { .. })));
    rollback(&case.root, None, true).unwrap();
    assert_eq!((case.text("real/config.json"), case.text("config.json")), ("old".into(), "new".into()));
}

#[test]
fn a_state_directory_that_leads_elsewhere_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let case = Case::new(&[("a.json", "old")]);
    symlink(outside.path(), case.path(STATE_DIR)).unwrap();
    let change = [case.change("a.json", "new")];
    assert!(matches!(commit(&case.root, &change, &json!(1)), Err(ApplyError::LinkInstead { .. })));
    fs::remove_file(case.path(STATE_DIR)).unwrap();

    // A journal that came with the files must not have others removed.
    for (link, operation) in [("rollback", "roll-back"), ("history", "apply"), ("history/0001", "apply")] {
        fs::create_dir_all(case.path(STATE_DIR).join(link).parent().unwrap()).unwrap();
        symlink(outside.path(), case.path(STATE_DIR).join(link)).unwrap();
        fs::create_dir_all(outside.path().join("0001")).unwrap();
        fs::write(outside.path().join("0001/precious"), "x").unwrap();
        let journal = json!({"schema": "wan22-policy/journal/v1", "operation": operation, "phase": "prepare",
            "entries": [1], "files": [], "record": null});
        fs::write(case.path(STATE_DIR).join("journal.json"), journal.to_string()).unwrap();
        assert!(matches!(recover(&case.root), Err(ApplyError::LinkInstead { .. })), "{link}");
        assert!(outside.path().join("precious").exists() && outside.path().join("0001/precious").exists());
        fs::remove_dir_all(case.path(STATE_DIR)).unwrap();
    }
}

#[test]
fn the_owner_is_kept_where_that_is_allowed() {
    let case = Case::new(&[("a.json", "old")]);
    // Only root may give files away; for others there is nothing to see here.
    let given = std::os::unix::fs::chown(case.path("a.json"), Some(1234), Some(1235)).is_ok();
    let owner = || fs::metadata(case.path("a.json")).map(|found| (found.uid(), found.gid())).unwrap();
    let before = owner();
    assert_eq!(given, before == (1234, 1235));
    case.apply(&[("a.json", "new")]);
    assert_eq!(owner(), before);
    rollback(&case.root, None, false).unwrap();
    assert_eq!(owner(), before);
}

/// What root writes in the folder of a user, the user can take back.
#[test]
fn what_is_made_belongs_to_the_owner_of_the_root() {
    let case = Case::new(&[("a.json", "old")]);
    for name in ["", "a.json"] {
        if std::os::unix::fs::chown(case.path(name), Some(1234), Some(1235)).is_err() {
            eprintln!("SKIPPED: only root may give files away");
            return;
        }
    }
    case.apply(&[("a.json", "new"), ("b.json", "new")]);
    let mut pending = vec![case.path("")];
    while let Some(path) = pending.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 1235), "{}", path.display());
        if found.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_file_of_several_names_is_refused() {
    let case = Case::new(&[("a.json", "old")]);
    let change = [case.change("a.json", "new")];
    fs::hard_link(case.path("a.json"), case.path("b.json")).unwrap();
    let shown = message(commit(&case.root, &change, &json!(1)));
    assert!(shown.contains("is one of 2 names of the same file (hard links)"), "{shown}");
    assert_eq!((case.text("a.json"), case.path(STATE_DIR).exists()), ("old".to_owned(), false));
    fs::remove_file(case.path("b.json")).unwrap();
    commit(&case.root, &change, &json!(1)).unwrap();
    fs::hard_link(case.path("a.json"), case.path("b.json")).unwrap();
    assert!(matches!(rollback(&case.root, None, true), Err(ApplyError::HardLinks { links: 2, .. })));
}

/// Access for user 1234 besides the owner's, as `setfacl -m u:1234:rw` writes it.
const LIST: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 210, 4, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0,
    255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
];

#[test]
fn access_lists_and_attributes_are_kept() {
    let case = Case::new(&[("a.json", "old"), ("b.json", "old")]);
    let given = [("user.note", &b"mine"[..]), ("system.posix_acl_access", &LIST[..])];
    for (name, value) in given {
        if let Err(error) = xattr::set(case.path("a.json"), name, value) {
            eprintln!("skipped: the file system has no `{name}`: {error}");
            return;
        }
    }
    let found = |file: &str| given.map(|(name, _)| xattr::get(case.path(file), name).unwrap());
    let [all, none] = [given.map(|(_, value)| Some(value.to_vec())), [None, None]];
    // A folder that gives its new files a list must not give it to what had none.
    xattr::set(case.root.path(), "system.posix_acl_default", &LIST).unwrap();
    case.apply(&[("a.json", "new"), ("b.json", "new")]);
    assert_eq!((found("a.json"), found("b.json")), (all.clone(), none.clone()));
    // A program that writes its config anew loses them; they come back with the old bytes.
    fs::remove_file(case.path("a.json")).unwrap();
    fs::write(case.path("a.json"), "new").unwrap();
    xattr::remove(case.path("a.json"), "system.posix_acl_access").unwrap();
    rollback(&case.root, None, false).unwrap();
    assert_eq!((found("a.json"), found("b.json")), (all, none));
    assert_eq!((case.text("a.json"), case.text("b.json")), ("old".to_owned(), "old".to_owned()));
}

#[test]
fn a_folder_that_became_a_link_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("b.json"), "b0").unwrap();
    let swap = |case: &Case| {
        fs::rename(case.path("sub"), case.path("aside")).unwrap();
        symlink(outside.path(), case.path("sub")).unwrap();
    };
    let case = crash_case();
    swap(&case);
    assert!(matches!(rollback(&case.root, None, true), Err(ApplyError::LinkInstead { .. })));
    // And with an interrupted run behind it, until the folder is back.
    let case = crash_case();
    faults::with(Fault::Crash(40), || second_apply(&case).map(drop)).0.unwrap_err();
    swap(&case);
    assert!(matches!(recover(&case.root), Err(ApplyError::LinkInstead { .. })));
    fs::remove_file(case.path("sub")).unwrap();
    fs::rename(case.path("aside"), case.path("sub")).unwrap();
    recover(&case.root).unwrap().unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read(outside.path().join("b.json")).unwrap(), b"b0");
}

#[test]
fn nobody_waits_for_the_other_end_of_a_pipe() {
    let case = Case::new(&[]);
    let made = std::process::Command::new("mkfifo").arg(case.path("a.json")).status().unwrap();
    assert!(made.success());
    assert!(matches!(read(&case.root, "a.json"), Err(ApplyError::NotAFile { .. })));
    let place = case.root.place("a.json").unwrap().unwrap();
    assert!(matches!(disk::read(&place), Err(ApplyError::NotAFile { .. })));
}

#[test]
fn modes_are_kept_and_saved_bytes_are_private() {
    let case = Case::new(&[("a.json", "old"), ("run.sh", "old")]);
    let mode = |name: &str| fs::metadata(case.path(name)).unwrap().permissions().mode() & 0o7777;
    fs::set_permissions(case.path("a.json"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(case.path("run.sh"), fs::Permissions::from_mode(0o751)).unwrap();
    case.apply(&[("a.json", "new"), ("run.sh", "new")]);
    assert_eq!((mode("a.json"), mode("run.sh")), (0o600, 0o751));
    assert_eq!(mode(".wan22-policy/history"), 0o700);
    assert_eq!(mode(".wan22-policy/history/0001/0.before"), 0o600);
    fs::set_permissions(case.path("run.sh"), fs::Permissions::from_mode(0o600)).unwrap();
    rollback(&case.root, None, false).unwrap();
    assert_eq!((mode("a.json"), mode("run.sh")), (0o600, 0o751));
}
