//! What fits, for people: a table, and the budget of each phase as a bar.

use serde_json::Value;

use crate::facts::units::show;
use crate::fit::{Fit, Fits, PHASES, Part, Span, Time};
use crate::report::paint::Paint;
use crate::report::table::Table;
use crate::settings::SETTINGS;

/// How wide a bar is that is as long as the budget, in characters.
const WIDTH: i64 = 48;

/// Up to so many answers are shown with their settings unasked.
const FEW: usize = 6;

/// What the parts of a bar are drawn with, in turn.
const SHADES: [char; 5] = ['█', '▓', '▒', '░', '▚'];

/// One line for each answer, with the settings that it rests on where there are few or that is asked for, and what would make the
/// others fit.
pub fn render(answers: &[Fit], with_settings: bool, paint: Paint) -> String {
    let with_settings = with_settings || answers.len() <= FEW;
    let mut table = Table::default();
    table
        .row(["model", "video", "stack", "fits", "encode", "denoise", "decode", "of", "RAM", "steps", "time", "binds"]);
    for answer in answers {
        let binds = if answer.fits() == Fits::Yes { "" } else { answer.binding() };
        table.row([
            answer.workload.model.clone(),
            video(answer),
            answer.stack.clone(),
            word(answer.fits()).to_owned(),
            gib(answer.reported(0)),
            gib(answer.reported(1)),
            gib(answer.reported(2)),
            gib(answer.budget),
            gib(answer.ram),
            answer.steps.map_or_else(String::new, |[steps, passes]| format!("{steps}x{passes}")),
            answer.time_of_run().map_or_else(String::new, time),
            binds.to_owned(),
        ]);
    }
    let lines = table.render(paint, usize::MAX);
    let mut lines = lines.lines();
    let mut text = String::from(
        "  GiB of VRAM in each phase, as the device reports it, of what may be taken; steps x passes of the transformer\n\n",
    );
    text += &format!("{}\n", paint.faint(lines.next().unwrap_or_default()));
    for (answer, line) in answers.iter().zip(lines) {
        let line = if answer.fits() == Fits::No { paint.red(line) } else { line.to_owned() };
        text += &format!("{line}\n");
        let settings = settings(answer).filter(|_| with_settings && !answer.is_refused());
        settings
            .into_iter()
            .chain(remarks(answer))
            .for_each(|remark| text += &format!("      {}\n", paint.faint(&remark)));
    }
    if !with_settings {
        text += &format!(
            "\n  {}\n",
            paint.faint("--model shows one model with the settings of each answer, --why also what lies on the card")
        );
    }
    text
}

// `with offload.dit block, dit.quant_scheme fp8`; `None` where nobody says what the stack does.
fn settings(answer: &Fit) -> Option<String> {
    // Without tiles their size is none.
    let is_tiled = answer.settings.get("vae.tiling") != Some(&Value::Bool(false));
    let settings =
        answer.settings.iter().filter(|(name, _)| is_tiled || *name != "vae.tile_size").map(|(name, value)| {
            let unit = SETTINGS.find(name).and_then(|spec| spec.unit);
            format!("{name} {}", show(value, unit))
        });
    let settings: Vec<String> = settings.collect();
    (!settings.is_empty()).then(|| format!("with {}", settings.join(", ")))
}

/// The budget of each phase as a bar, with what lies in it.
pub fn budget(answer: &Fit, paint: Paint) -> String {
    let mut text = format!("\n{} {}\n", paint.bold(&title(answer)), verdict(answer));
    for (index, phase) in PHASES.iter().enumerate() {
        let parts = answer.taken(index);
        let total: i64 = parts.iter().map(|part| part.bytes).sum();
        text += &format!("  {phase:<8} {} {}\n", bar(&parts, answer.budget, paint), with_unit(total));
        for (part, shade) in parts.iter().zip(SHADES.iter().cycle()) {
            text += &paint.faint(&format!("           {shade} {:>6} GiB  {}\n", gib(part.bytes), part.name));
        }
    }
    if let Some(known) = answer.time_of_run() {
        text += &format!("  takes {}", time(known));
        text += &known.load.map_or_else(String::new, |load| format!(", and {} to load before", range(load)));
        text.push('\n');
    }
    text
}

/// What is asked: `ti2v-5b 1280x704x121 on diffusers`.
pub fn title(answer: &Fit) -> String {
    format!("{} {} on {}", answer.workload.model, video(answer), answer.stack)
}

/// Whether it fits, in words.
pub fn verdict(answer: &Fit) -> String {
    let word = match answer.fits() {
        Fits::Yes => "fits",
        Fits::Marginal => "fits marginally",
        Fits::No => "does not fit",
    };
    format!("{word}; {} may be taken", with_unit(answer.budget))
}

// A bar in which the budget is marked; what is beyond it is red.
fn bar(parts: &[Part], budget: i64, paint: Paint) -> String {
    let scale = |bytes: i64| (bytes.saturating_mul(WIDTH) / budget.max(1)).min(2 * WIDTH);
    let mut cells = String::new();
    let mut sum = 0;
    for (part, shade) in parts.iter().zip(SHADES.iter().cycle()) {
        let from = scale(sum);
        sum += part.bytes;
        cells.extend((from..scale(sum)).map(|_| shade));
    }
    let length = cells.chars().count() as i64;
    let inside: String = cells.chars().take(WIDTH as usize).collect();
    let beyond: String = cells.chars().skip(WIDTH as usize).collect();
    let rest = " ".repeat((WIDTH - length).max(0) as usize);
    format!("{inside}{rest}│{}", paint.red(&beyond))
}

fn video(answer: &Fit) -> String {
    let [width, height, frames] = answer.workload.size.unwrap_or_default();
    format!("{width}x{height}x{frames}")
}

fn word(fits: Fits) -> &'static str {
    match fits {
        Fits::Yes => "yes",
        Fits::Marginal => "marginal",
        Fits::No => "no",
    }
}

/// What is to be said beside an answer: what is short, what makes it fit, what is not so now.
pub fn remarks(answer: &Fit) -> impl Iterator<Item = String> {
    let is_short_of_vram = answer.fits() != Fits::Yes && answer.binding() != "ram";
    let spill = "Windows moves what is too much into the RAM without an error, and the run slows to a crawl";
    let others = answer.taken_by_others();
    let now = format!("not now: others use the card, and {} more must be free", with_unit(others));
    let is_tight = answer.ram_budget.is_some_and(|budget| answer.ram_to_load > budget && answer.ram <= budget);
    let loading = format!(
        "loaded as one pipeline it takes {} of RAM, more than there is: load, use and release the text encoder first",
        with_unit(answer.ram_to_load)
    );
    let otherwise = answer.ignored.iter().map(|name| match answer.settings.get(name) {
        Some(value) => format!("{} takes {name} {}, whatever --set says", answer.stack, show(value, None)),
        None => format!("{} has no {name}, whatever --set says", answer.stack),
    });
    let otherwise: Vec<String> = otherwise.collect();
    let said = [
        (answer.fits() != Fits::Yes).then(|| advice(answer)),
        (!otherwise.is_empty()).then(|| otherwise.join("; ")),
        (answer.spills && is_short_of_vram).then(|| spill.to_owned()),
        (is_tight && answer.fits() != Fits::No).then_some(loading),
        (others > 0).then_some(now),
    ];
    said.into_iter().flatten()
}

// `0.9 GiB short in decode; fits with 81 frames, or with 832x480`.
fn advice(answer: &Fit) -> String {
    let short = with_unit(answer.shortfall());
    let lacks = match (answer.fits(), answer.binding()) {
        (_, "stack") => format!("{} cannot run it: {}", answer.stack, answer.refused.as_deref().unwrap_or_default()),
        (_, "size") => {
            let sizes: Vec<String> = answer.sizes.iter().map(|[width, height]| format!("{width}x{height}")).collect();
            format!("{} takes only {}", answer.stack, sizes.join(", "))
        }
        (Fits::Marginal, "ram") if answer.ram_at_best.is_some_and(|ram| answer.ram > ram) => {
            format!("{short} short of RAM, so weights are read from the disk again and again")
        }
        (Fits::Marginal, "ram") => format!("{short} short of RAM unless nothing else is in it"),
        (_, "ram") => format!("{short} short of RAM"),
        (Fits::Marginal, _) if answer.uncertainty > 0 => {
            let range = with_unit(answer.uncertainty);
            format!("the figures of this stack are estimates, and {range} more or less decide")
        }
        (Fits::Marginal, _) if answer.peak() <= answer.budget => {
            format!("fragmentation may take {short} more than there is")
        }
        (Fits::Marginal, _) => format!("{short} short unless the card is all its own"),
        (_, phase) => format!("{short} short in {phase}"),
    };
    match &answer.would_fit_with[..] {
        [] if answer.is_refused() => lacks,
        [] => format!("{lacks}; nothing that is known makes it fit"),
        changes => format!("{lacks}; fits with {}", changes.join(", or ")),
    }
}

/// How long a run takes: `17–18 min`, and a word where it rests on no published run.
pub fn time(time: &Time) -> String {
    format!("{}{}", range(time.run), if time.is_published { "" } else { ", estimate" })
}

// In the unit of the longer one, unless that makes too little of the shorter; one number where both are the same.
fn range(span: Span) -> String {
    let unit_of = |seconds: f64| match seconds {
        hours if hours >= 2.0 * 3_600.0 => ("h", 3_600.0),
        minutes if minutes >= 2.0 * 60.0 => ("min", 60.0),
        _ => ("s", 1.0),
    };
    let shown = |seconds: f64, step: f64| match seconds / step {
        few if few < 10.0 && step > 1.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    };
    let (unit, step) = unit_of(span.high);
    if span.low / step < 0.5 {
        let (short, shorter) = unit_of(span.low);
        return format!("{} {short}–{} {unit}", shown(span.low, shorter), shown(span.high, step));
    }
    match (shown(span.low, step), shown(span.high, step)) {
        (low, high) if low == high => format!("{low} {unit}"),
        (low, high) => format!("{low}–{high} {unit}"),
    }
}

fn gib(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / (1_i64 << 30) as f64)
}

/// Bytes as GiB with a digit after the point.
pub fn with_unit(bytes: i64) -> String {
    format!("{} GiB", gib(bytes))
}
