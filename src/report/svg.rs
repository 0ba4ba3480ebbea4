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

/// The phases of an answer as bars on one scale.
#[derive(Debug)]
pub struct Bars<'a> {
    answer: &'a Fit,
    phases: [Vec<Part>; 3],
    longest: i64,
    names: IndexSet<String>,
}

/// Where a bar lies, px: its left and upper edge, the width of the whole scale, and its height.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width of a bar that fills the scale.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl<'a> Bars<'a> {
    /// The bars of an answer, on a scale that holds the longest, the budget, and at least so many bytes.
    pub fn new(answer: &'a Fit, least: i64) -> Self {
        let phases = [0, 1, 2].map(|phase| answer.taken(phase));
        // A part has one colour in all phases.
        let names = phases.iter().flatten().map(|part| part.name.clone()).collect();
        let longest =
            phases.iter().map(|parts| sum(parts)).max().unwrap_or_default().max(answer.budget).max(least).max(1);
        Self { answer, phases, longest, names }
    }

    /// What a phase takes, part by part.
    pub fn parts(&self, phase: usize) -> &[Part] {
        &self.phases[phase]
    }

    /// All that a phase takes, bytes.
    pub fn total(&self, phase: usize) -> i64 {
        sum(&self.phases[phase])
    }

    /// The names of all parts, in the order in which the phases have them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The colour of a part, by its name.
    pub fn colour(&self, name: &str) -> &'static str {
        COLOURS[self.names.get_index_of(name).unwrap_or_default() % COLOURS.len()]
    }

    /// Where so many bytes end on the scale of a place.
    pub fn end(&self, bytes: i64, place: Place) -> f64 {
        place.x + bytes as f64 / self.longest as f64 * place.width
    }

    /// The bar of a phase: its parts side by side, a frame around what is beyond the budget, and a mark where that ends.
    pub fn bar(&self, phase: usize, place: Place) -> Group {
        let Place { x: left, y: top, height, .. } = place;
        let budget = self.end(self.answer.budget, place);
        let mut group = Group::new();
        let mut x = left;
        for part in self.parts(phase) {
            let label = format!("{}: {}", part.name, with_unit(part.bytes));
            let width = self.end(part.bytes, place) - left;
            let bar = rectangle(x, top, width, height).set("fill", self.colour(&part.name)).add(Title::new(label));
            group = group.add(bar);
            x += width;
        }
        if self.total(phase) > self.answer.budget {
            group = group.add(rectangle(budget, top, x - budget, height).set("class", "beyond"));
        }
        let line = Line::new().set("class", "budget").set("x1", budget).set("x2", budget);
        group.add(line.set("y1", top - 4.0).set("y2", top + height + 4.0))
    }
}

fn sum(parts: &[Part]) -> i64 {
    parts.iter().map(|part| part.bytes).sum()
}

fn block(answer: &Fit) -> (Group, f64) {
    let bars = Bars::new(answer, 0);
    let left = MARGIN + NAMES;
    let mut group = Group::new()
        .add(text(&title(answer), MARGIN, LINE).set("class", "title"))
        .add(text(&verdict(answer), MARGIN, 2.0 * LINE).set("class", "faint"));
    let mut top = 2.5 * LINE;
    for (phase, name) in PHASES.iter().enumerate() {
        let total = bars.total(phase);
        let place = Place { x: left, y: top, width: WIDTH - 2.0 * MARGIN - NAMES - SUMS, height: BAR };
        let end = bars.end(total.max(answer.budget), place);
        group = group.add(text(name, MARGIN, top + BAR - 6.0)).add(bars.bar(phase, place)).add(text(
            &with_unit(total),
            end + 8.0,
            top + BAR - 6.0,
        ));
        top += BAR + LINE;
        let mut x = left;
        for part in bars.parts(phase) {
            let label = format!("{} {}", part.name, with_unit(part.bytes));
            // A little more than the widest letters of the font.
            let width = 14.0 + 7.0 * label.chars().count() as f64 + 14.0;
            if x + width > WIDTH - MARGIN {
                (x, top) = (left, top + LINE);
            }
            group = group
                .add(rectangle(x, top - 10.0, 10.0, 10.0).set("fill", bars.colour(&part.name)))
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
