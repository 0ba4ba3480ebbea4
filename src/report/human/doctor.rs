//! What `doctor` says, for people.

use super::count;
use crate::report::doctor::{BundleRecord, DoctorReport};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// The summary, without the findings.
pub fn render(report: &DoctorReport, paint: Paint) -> String {
    let mut table = Table::default();
    let built = if report.hwloc { "with hwloc" } else { "without hwloc" };
    table.row(["program".to_owned(), format!("{}, for {}, {built}", report.version, report.build)]);
    table.row(["system", &report.system]);
    table.row(["gpu", &report.gpu]);
    let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    table.row(["facts".to_owned(), format!("{}; {} unknown", or(&report.fingerprint), report.unknown.len())]);
    table.row(["policies".to_owned(), or(&report.policy_hash)]);
    for folder in &report.policies {
        let files = if folder.files.is_empty() { "nothing".to_owned() } else { folder.files.join(", ") };
        table.row([String::new(), format!("{}: {files}", folder.folder)]);
    }
    let installation = &report.installation;
    let stack = installation.target.clone().unwrap_or_else(|| "no known stack".to_owned());
    let applies = match installation.applies {
        1 => "1 apply".to_owned(),
        applies => format!("{applies} applies"),
    };
    table.row(["installation".to_owned(), format!("{}: {stack}, {applies} can be taken back", installation.root)]);
    let in_flight = match &installation.in_flight {
        Some(found) => format!("{} of {}", found.operation, found.files.join(", ")),
        None => "nothing".to_owned(),
    };
    table.row(["in flight".to_owned(), in_flight]);
    for run in &report.running {
        table.row([String::new(), format!("{} (since {})", run.arguments, run.time)]);
    }
    let log = match &report.log.folder {
        Some(folder) => {
            format!("{folder}: {}, {} KiB", count(report.log.files.len(), "file"), report.log.bytes.div_ceil(1024))
        }
        None => "none: switched off, or nobody says where the files of this user lie".to_owned(),
    };
    let unwritten = report.log.unwritten.as_ref().map(|why| {
        let cannot = paint.red("nothing can be written there");
        format!("; {cannot}: {why}")
    });
    table.row(["log".to_owned(), format!("{log}{}", unwritten.unwrap_or_default())]);
    let mut text = table.render(paint, usize::MAX);
    if !report.failed.is_empty() {
        text += &format!("\n{}\n", paint.bold("the last runs that failed"));
        let mut table = Table::default();
        for run in &report.failed {
            let exit = run.exit.map_or_else(|| "no end".to_owned(), |exit| format!("exit {exit}"));
            let why: Vec<String> = run.error.iter().cloned().chain([run.codes.join(", ")]).collect();
            let why = why.into_iter().filter(|why| !why.is_empty()).collect::<Vec<_>>().join("; ");
            table.row([run.time.clone(), exit, run.arguments.clone(), why]);
        }
        text += &table.render(paint, 3);
    }
    if !report.unknown.is_empty() {
        text += &format!("\n{}\n", paint.bold("unknown facts"));
        let mut table = Table::default();
        report.unknown.iter().for_each(|(name, reason)| table.row([name, reason]));
        text += &table.render(paint, 1);
    }
    if !report.problems.is_empty() {
        text += &format!("\n{}\n", paint.bold("not looked at"));
        report.problems.iter().for_each(|problem| text += &format!("  {problem}\n"));
    }
    text
}

/// What an archive holds.
pub fn bundle(bundle: &BundleRecord, paint: Paint) -> String {
    let mut table = Table::default();
    for file in &bundle.files {
        table.row([file.name.clone(), format!("{} B", file.bytes), file.what.clone()]);
    }
    let mut text = format!("{} holds\n{}", paint.bold(&bundle.file), table.render(paint, 2));
    bundle.absent.iter().for_each(|line| text += &format!("  not in it: {line}\n"));
    text + "look into it before you send it\n"
}
