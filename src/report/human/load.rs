//! What became of a load, for people.

use crate::facts::units::Unit;
use crate::fit::Fits;
use crate::report::load::{AlternativeRecord, LoadReport, LoadResult};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// Less than this in the cache is not spoken of, bytes.
const HEADERS: u64 = 4 << 20;

/// The parts with what of them is in the cache, and how that went.
pub fn loaded(report: &LoadReport, paint: Paint) -> String {
    let mut table = Table::default();
    for part in &report.parts {
        let of = match part.loaded_bytes == part.bytes {
            true => bytes(part.bytes),
            false => format!("{} of {}", bytes(part.loaded_bytes), bytes(part.bytes)),
        };
        let what = [part.name.as_deref(), part.dtype.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        table.row([part.what.clone(), what, of, part.file.clone()]);
    }
    let mut text = format!("{}\n{}", paint.bold(&report.models.join(", ")), table.render(paint, 3));
    text += &format!("\n  {}\n", how(report));
    if report.result == LoadResult::Cancelled {
        text += "  cancelled: the same command goes on from here\n";
    }
    if let (Some(meets), goal) = (report.meets_goal, report.goal_seconds / 60.0) {
        let word = if meets { paint.green("within") } else { paint.red("not within") };
        text += &format!("  {word} the {goal:.0} min in which a model is to be loaded\n");
    }
    if let Some(root) = &report.recorded_in {
        text +=
            &format!("  {}\n", paint.faint(&format!("recorded in {root}: `fit` reckons with this rate from now on")));
    }
    text
}

// `9.1 GiB are in the page cache: 2 GiB were there before, 7.1 GiB came from the disk in 3.1 s (2.5 GB/s)`.
fn how(report: &LoadReport) -> String {
    let all = match report.loaded_bytes == report.bytes {
        true => format!("{} are in the page cache", bytes(report.bytes)),
        false => format!("{} of {} are in the page cache", bytes(report.loaded_bytes), bytes(report.bytes)),
    };
    let seconds = seconds(report.seconds);
    match (report.cached_before_bytes, report.read_bytes, report.bytes_per_second) {
        (_, Some(0), _) if report.loaded_bytes > 0 => format!("{all}: they were there before, and nothing was read"),
        (Some(before), Some(read), Some(rate)) => {
            // The headers have just been read.
            let before =
                if before < HEADERS { String::new() } else { format!("{} were there before, ", bytes(before)) };
            let rate = Unit::BytesPerSecond.show(&rate.into());
            format!("{all}: {before}{} came from the disk in {seconds} ({rate})", bytes(read))
        }
        _ if report.loaded_bytes == 0 => all,
        _ => format!("{all}, in {seconds}; the system does not say what of them came from the disk"),
    }
}

/// What else would do, best first.
pub fn instead(report: &LoadReport, paint: Paint) -> String {
    let mut text = match report.instead.len() {
        0 => "nothing else on the disk would do\n".to_owned(),
        1 => format!("{}\n", paint.bold("in its place would do")),
        _ => format!("{}\n", paint.bold("in its place would do, best first")),
    };
    for one in &report.instead {
        text += &format!("  {}\n      {}\n", alternative(one), one.command);
    }
    if report.too_large > 0 {
        let more = if report.instead.is_empty() { "" } else { "more " };
        let (noun, verb) = if report.too_large == 1 { ("model", "does") } else { ("models", "do") };
        text += &format!("  {} {more}{noun} on the disk {verb} not fit this machine\n", report.too_large);
    }
    if let Some(why) = &report.fit_unknown {
        text += &format!("  nobody can tell what fits, so they are ordered by quality alone: {why}\n");
    }
    text
}

fn alternative(one: &AlternativeRecord) -> String {
    let name = [Some(one.name.as_str()), one.dtype.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let fits = match (one.fits, &one.stack, one.size) {
        (Some(fits), Some(stack), Some([width, height, frames])) => {
            let how = if fits == Fits::Marginal { "fits marginally" } else { "fits" };
            format!(": {how} at {width}x{height}x{frames} on {stack}")
        }
        _ => String::new(),
    };
    format!("{name}, {}{fits}", bytes(one.bytes))
}

fn bytes(bytes: u64) -> String {
    Unit::Bytes.show(&bytes.into())
}

fn seconds(seconds: f64) -> String {
    match seconds {
        long if long >= 120.0 => format!("{:.1} min", long / 60.0),
        short => format!("{short:.1} s"),
    }
}
