//! What fits, for people: a table, and the budget of each phase as a bar.

use crate::facts::units::show;
use crate::fit::{Fit, Fits, PHASES};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// How wide a bar is that is as long as the budget, in characters.
const WIDTH: i64 = 48;

/// What the parts of a bar are drawn with, in turn.
const SHADES: [char; 5] = ['█', '▓', '▒', '░', '▚'];

/// One line for each answer, and what would make the others fit.
pub fn render(answers: &[Fit], paint: Paint) -> String {
    let mut table = Table::default();
    table.row(["model", "video", "stack", "fits", "encode", "denoise", "decode", "of", "RAM", "binds"]);
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
            binds.to_owned(),
        ]);
    }
    let lines = table.render(paint, usize::MAX);
    let mut lines = lines.lines();
    let mut text = String::from("  GiB of VRAM in each phase, as the device reports it, of what may be taken\n\n");
    text += &format!("{}\n", paint.faint(lines.next().unwrap_or_default()));
    for (answer, line) in answers.iter().zip(lines) {
        text += &match answer.fits() {
            Fits::Yes => format!("{line}\n"),
            Fits::Marginal => format!("{line}\n      {}\n", paint.faint(&advice(answer))),
            Fits::No => format!("{}\n      {}\n", paint.red(line), paint.faint(&advice(answer))),
        };
    }
    text
}

/// The budget of each phase as a bar, with what lies in it.
pub fn budget(answer: &Fit, paint: Paint) -> String {
    let title = format!("{} {} on {}", answer.workload.model, video(answer), answer.stack);
    let mut text = format!("\n{}, {} may be taken\n", paint.bold(&title), with_unit(answer.budget));
    for (index, phase) in PHASES.iter().enumerate() {
        let mut parts: Vec<(String, i64)> =
            answer.phases[index].iter().map(|part| (part.name.clone(), part.bytes)).collect();
        parts.push(("CUDA context".to_owned(), answer.context));
        if index == 2 {
            parts.push(("fragmentation, at worst".to_owned(), answer.fragmentation));
        }
        parts.retain(|(_, bytes)| *bytes > 0);
        let total: i64 = parts.iter().map(|(_, bytes)| bytes).sum();
        text += &format!("  {phase:<8} {} {}\n", bar(&parts, answer.budget, paint), with_unit(total));
        for (number, (name, bytes)) in parts.iter().enumerate() {
            let shade = SHADES[number % SHADES.len()];
            text += &paint.faint(&format!("           {shade} {:>6} GiB  {name}\n", gib(*bytes)));
        }
    }
    if !answer.settings.is_empty() {
        let settings = answer.settings.iter().map(|(name, value)| format!("{name} {}", show(value, None)));
        text += &format!("  with {}\n", settings.collect::<Vec<_>>().join(", "));
    }
    text
}

// A bar in which the budget is marked; what is beyond it is red.
fn bar(parts: &[(String, i64)], budget: i64, paint: Paint) -> String {
    let scale = |bytes: i64| (bytes.saturating_mul(WIDTH) / budget.max(1)).min(2 * WIDTH);
    let mut cells = String::new();
    let mut sum = 0;
    for (number, (_, bytes)) in parts.iter().enumerate() {
        let from = scale(sum);
        sum += bytes;
        cells.extend((from..scale(sum)).map(|_| SHADES[number % SHADES.len()]));
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

// `0.9 GiB short in decode; fits with 81 frames, or with 832x480`.
fn advice(answer: &Fit) -> String {
    let short = with_unit(answer.shortfall());
    let lacks = match (answer.fits(), answer.binding()) {
        (_, "ram") => format!("{short} short of RAM"),
        (Fits::Marginal, _) if answer.peak() <= answer.budget => {
            format!("fragmentation may take {short} more than there is")
        }
        (Fits::Marginal, _) => format!("{short} short unless the card is all its own"),
        (_, phase) => format!("{short} short in {phase}"),
    };
    match &answer.would_fit_with[..] {
        [] => format!("{lacks}; nothing that is known makes it fit"),
        changes => format!("{lacks}; fits with {}", changes.join(", or ")),
    }
}

fn gib(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / (1_i64 << 30) as f64)
}

fn with_unit(bytes: i64) -> String {
    format!("{} GiB", gib(bytes))
}
