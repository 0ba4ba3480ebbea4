//! The VRAM of each phase as bars against the budget and the card.

use maud::{Markup, PreEscaped, html};

use crate::fit::{Fit, PHASES};
use crate::report::dossier::Dossier;
use crate::report::human::fit::{remarks, time, title, verdict, with_unit};
use crate::report::svg::{Bars, Place};

/// The scale of a bar; the page stretches it.
const PLACE: Place = Place { x: 0.0, y: 4.0, width: 1000.0, height: 22.0 };

/// The budget, or why nobody can tell.
pub fn budget(dossier: &Dossier<'_>) -> Markup {
    let Some(fit) = &dossier.fit else {
        let facts = dossier.facts;
        let reason = match facts.value("gpu.vram.total") {
            Some(_) => "the policies say nothing of this question",
            None => facts.reason("gpu.vram.total"),
        };
        return html! { p { "Not known: " (reason) "." } };
    };
    let bars = Bars::new(fit, fit.card);
    let left = fit.budget - fit.reported(fit.largest());
    html! {
        p { strong { (title(fit)) } ": " (verdict(fit)) "." }
        @for remark in remarks(fit) { p.help { (remark) } }
        div.phases {
            @for (phase, name) in PHASES.iter().enumerate() { (self::phase(&bars, phase, name, fit)) }
        }
        ul.legend.scale {
            li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { line.budget x1="5" x2="5" y1="0" y2="10" {} } " may be taken: " b { (with_unit(fit.budget)) } }
            li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { line.card x1="5" x2="5" y1="0" y2="10" {} } " if nothing else were on the card: " b { (with_unit(fit.card)) } }
            @if let Some(free) = fit.free { li { "free when it was looked at: " b { (with_unit(free)) } } }
        }
        p.note {
            "Predicted by the model of the policies, as the device reports it; not measured. "
            @if fit.uncertainty > 0 {
                "The figures of this stack are estimates: denoising and the decode may take " (with_unit(fit.uncertainty)) " more or less. "
            }
            @if fit.fragmentation > 0 { "Fragmentation is what may be lost at worst. " }
            @if let Some(known) = fit.time_of_run() { "A run takes " (time(known)) ". " }
        }
        details {
            summary { "The same as a table" }
            div.scroll tabindex="0" role="region" aria-label="VRAM by part and phase" { (table(&bars, fit, left)) }
        }
    }
}

fn phase(bars: &Bars<'_>, phase: usize, name: &str, fit: &Fit) -> Markup {
    let total = bars.total(phase);
    let card = bars.end(fit.card, PLACE);
    let (class, says) = match total - fit.budget {
        over if over > 0 => {
            let at_worst = if fit.reported(phase) <= fit.budget { ", at worst" } else { "" };
            ("over", format!("{} more than may be taken{at_worst}", with_unit(over)))
        }
        under => ("", format!("{} left", with_unit(-under))),
    };
    // A mark at the very end of the scale stays whole.
    let view = format!("-2 0 {} {}", PLACE.width + 4.0, PLACE.height + 8.0);
    html! {
        div.phase {
            p.head { strong { (name) } " " b { (with_unit(total)) } " " span class=(class) { (says) } }
            svg.bars viewBox=(view) preserveAspectRatio="none" role="img" aria-label=(format!("{name}: {}, {says}", with_unit(total))) {
                rect.track x="0" y=(PLACE.y) width=(card) height=(PLACE.height) {}
                (PreEscaped(bars.bar(phase, PLACE).to_string()))
                line.card x1=(card) x2=(card) y1="0" y2=(PLACE.height + 8.0) {}
            }
            ul.legend {
                @for part in bars.parts(phase) {
                    li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect width="10" height="10" fill=(bars.colour(&part.name)) {} } " " (part.name) " " b { (with_unit(part.bytes)) } }
                }
            }
        }
    }
}

fn table(bars: &Bars<'_>, fit: &Fit, left: i64) -> Markup {
    let taken = |phase: usize, name: &str| {
        bars.parts(phase).iter().filter(|part| part.name == name).map(|part| part.bytes).sum::<i64>()
    };
    html! {
        table.numbers {
            thead { tr { th scope="col" { "Part" } @for phase in PHASES { th scope="col" { (phase) } } } }
            tbody {
                @for name in bars.names() {
                    tr {
                        th scope="row" { (name) }
                        @for phase in 0..PHASES.len() {
                            @let bytes = taken(phase, name);
                            td { @if bytes > 0 { (with_unit(bytes)) } @else { span.faint { "–" } } }
                        }
                    }
                }
            }
            tfoot {
                tr { th scope="row" { "all together" } @for phase in 0..PHASES.len() { td { b { (with_unit(bars.total(phase))) } } } }
                tr { th scope="row" { "may be taken" } @for _ in PHASES { td { (with_unit(fit.budget)) } } }
                tr { th scope="row" { "the card at best" } @for _ in PHASES { td { (with_unit(fit.card)) } } }
            }
        }
        p.note {
            "The largest phase without fragmentation is " (PHASES[fit.largest()]) ": "
            @if left >= 0 { (with_unit(left)) " are left." } @else { (with_unit(-left)) " are missing." }
        }
    }
}
