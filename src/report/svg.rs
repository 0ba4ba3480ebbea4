//! The budget of each phase as a picture: bars of what lies on the card, against what may be taken.

use indexmap::IndexSet;
use svg::Document;
use svg::node::element::{Group, Line, Rectangle, Style, Text, Title};

use crate::fit::{Fit, PHASES, Part};
use crate::report::human::fit::{title, verdict, with_unit};

/// Lengths in the picture, px.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
const NAMES: f64 = 80.0;
const SUMS: f64 = 90.0;
const BAR: f64 = 22.0;
const LINE: f64 = 18.0;

/// Colours that people with any colour vision tell apart, on light and on dark ground; black is a grey here.
/// Source: Okabe and Ito, "Color Universal Design", <https://jfly.uni-koeln.de/color/>.
const COLOURS: [&str; 8] = ["#0072b2", "#999999", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#f0e442", "#d55e00"];

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328 } \
.title { font-weight: 600 } .faint { fill: #59636e } .ground { fill: #ffffff } \
.budget { stroke: #1f2328; stroke-dasharray: 4 3 } .beyond { fill: none; stroke: #cf222e; stroke-width: 2 } \
@media (prefers-color-scheme: dark) { \
text { fill: #f0f6fc } .faint { fill: #9198a1 } .ground { fill: #0d1117 } .budget { stroke: #f0f6fc } }";

/// One block of three bars for each answer; the same scale within a block.
pub fn budgets(machine: &str, answers: &[Fit]) -> String {
    let mut top = MARGIN + LINE;
    let mut blocks = Vec::new();
    for answer in answers {
        let (block, height) = block(answer);
        blocks.push(block.set("transform", format!("translate(0 {top})")));
        top += height + LINE;
    }
    let document = Document::new()
        .set("viewBox", (0, 0, WIDTH, top))
        .set("width", WIDTH)
        .set("height", top)
        .set("role", "img")
        .add(Title::new(format!("VRAM of each phase on {machine}")))
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("class", "ground").set("width", WIDTH).set("height", top))
        .add(text(machine, MARGIN, MARGIN).set("class", "title"));
    blocks.into_iter().fold(document, Document::add).to_string() + "\n"
}

fn block(answer: &Fit) -> (Group, f64) {
    let phases: Vec<Vec<Part>> = (0..PHASES.len()).map(|phase| answer.taken(phase)).collect();
    let sum = |parts: &[Part]| parts.iter().map(|part| part.bytes).sum::<i64>();
    let longest = phases.iter().map(|parts| sum(parts)).max().unwrap_or_default().max(answer.budget).max(1);
    let scale = |bytes: i64| bytes as f64 / longest as f64 * (WIDTH - 2.0 * MARGIN - NAMES - SUMS);
    let left = MARGIN + NAMES;
    let budget = left + scale(answer.budget);
    // A part has one colour in all phases.
    let names: IndexSet<&str> = phases.iter().flatten().map(|part| part.name.as_str()).collect();
    let colour = |part: &Part| COLOURS[names.get_index_of(part.name.as_str()).unwrap_or_default() % COLOURS.len()];
    let mut group = Group::new()
        .add(text(&title(answer), MARGIN, LINE).set("class", "title"))
        .add(text(&verdict(answer), MARGIN, 2.0 * LINE).set("class", "faint"));
    let mut top = 2.5 * LINE;
    for (phase, parts) in PHASES.iter().zip(&phases) {
        let total = sum(parts);
        group = group.add(text(phase, MARGIN, top + BAR - 6.0));
        let mut x = left;
        for part in parts {
            let label = format!("{}: {}", part.name, with_unit(part.bytes));
            let bar = rectangle(x, top, scale(part.bytes), BAR).set("fill", colour(part)).add(Title::new(label));
            group = group.add(bar);
            x += scale(part.bytes);
        }
        if total > answer.budget {
            group = group.add(rectangle(budget, top, x - budget, BAR).set("class", "beyond"));
        }
        let line = Line::new().set("class", "budget").set("x1", budget).set("x2", budget);
        group = group.add(line.set("y1", top - 4.0).set("y2", top + BAR + 4.0)).add(text(
            &with_unit(total),
            x.max(budget) + 8.0,
            top + BAR - 6.0,
        ));
        top += BAR + LINE;
        let mut x = left;
        for part in parts {
            let label = format!("{} {}", part.name, with_unit(part.bytes));
            // A little more than the widest letters of the font.
            let width = 14.0 + 7.0 * label.chars().count() as f64 + 14.0;
            if x + width > WIDTH - MARGIN {
                (x, top) = (left, top + LINE);
            }
            group = group
                .add(rectangle(x, top - 10.0, 10.0, 10.0).set("fill", colour(part)))
                .add(text(&label, x + 14.0, top).set("class", "faint"));
            x += width;
        }
        top += LINE;
    }
    (group, top)
}

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(content).set("x", x).set("y", y)
}

fn rectangle(x: f64, y: f64, width: f64, height: f64) -> Rectangle {
    Rectangle::new().set("x", x).set("y", y).set("width", width).set("height", height)
}
