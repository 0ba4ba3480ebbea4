//! The machine as a picture, drawn once for each width of a window, and as tables.

use maud::{Markup, html};

use super::machine::{Card, Domain, Node, View, ranges, runs};
use crate::facts::Facts;
use crate::report::human::count;

/// Widths that the picture is drawn for, px, with the class by which the style sheet shows the one that has room.
const WIDTHS: [(i64, &str); 3] = [(344, "slim"), (660, "middle"), (1072, "broad")];

/// Lengths, px.
const PAD: i64 = 12;
const GAP: i64 = 12;
const LINE: i64 = 18;
/// Least width of a node, a cache and a card.
const NODE: i64 = 240;
const CACHE: i64 = 176;
const CARD: i64 = 208;
/// A CPU and the space behind it.
const CPU: i64 = 9;
const STEP: i64 = 11;
/// Room above what is drawn in a package, and on its other sides.
const ABOVE: i64 = LINE + 12;
const AROUND: i64 = 8;
/// Room for the line from a node to its cards.
const WIRE: i64 = 24;

/// Widest letters on average, px, of the bold and of the plain text; what is longer is cut. DejaVu Sans, the widest of the
/// fonts, has 8.5 (13 px) and 7.0 (12 px) in the model of a processor.
const BOLD: f64 = 8.6;
const PLAIN: f64 = 7.1;

/// CPUs in more ranges than these are drawn in one row after the other.
const MOST_RUNS: usize = 4;

/// Cards of no known node up to this number stand beside a single node.
const FEW: usize = 4;

/// The picture, and tables with all that it shows.
pub fn machine(facts: &Facts) -> Markup {
    let view = View::new(facts);
    html! {
        div.topology { @for (width, class) in WIDTHS { (picture(&view, width, class)) } }
        ul.legend {
            li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect.cpu width="10" height="10" {} } " a logical CPU" }
            @if view.has_forbidden() {
                li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect.cpu.barred x="1" y="1" width="8" height="8" {} } " one that this process may not use" }
            }
            @if !view.strays.is_empty() && view.nodes.len() == 1 && view.strays.len() <= FEW {
                li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { line.wire.dashed x1="0" x2="10" y1="5" y2="5" {} } " near which node is unknown" }
            }
            @if view.cards().any(|(card, _)| card.is_chosen) {
                li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect.box.chosen x="1" y="1" width="8" height="8" {} } " the GPU that the workload runs on" }
            }
        }
        @if view.is_open() { p.note { "Which node lies in which package is not known." } }
        details {
            summary { "The same as tables" }
            (tables(&view))
        }
    }
}

fn picture(view: &View, width: i64, class: &str) -> Markup {
    let (drawn, height) = all(view, width);
    let id = |of: &str| format!("topology-{class}-{of}");
    html! {
        svg class=(class) viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img"
            aria-labelledby=(format!("{} {}", id("title"), id("desc"))) {
            title id=(id("title")) { "The machine: packages, NUMA nodes, L3 caches, CPUs and GPUs" }
            desc id=(id("desc")) { (described(view)) }
            (drawn)
        }
    }
}

// The picture in sentences.
fn described(view: &View) -> String {
    let mut said = vec![view.package(), view.size()];
    for node in &view.nodes {
        let cards: Vec<String> = node.cards.iter().map(|card| format!("GPU {}", card.index)).collect();
        let cards = if cards.is_empty() { String::new() } else { format!(", near {}", cards.join(", ")) };
        said.push(format!("{}: {}, CPUs {}{cards}", node.place(), node.memory, ranges(&node.cpus)));
    }
    for (card, _) in view.cards() {
        let chosen = if card.is_chosen { ", the workload runs on it" } else { "" };
        said.push(format!("GPU {}: {}, {}, {}{chosen}", card.index, card.name, card.vram, card.link));
    }
    said.extend(view.without_gpus.clone());
    said.join(". ") + "."
}

// Something drawn, and how high it is, px.
type Drawn = (Markup, i64);

fn all(view: &View, width: i64) -> Drawn {
    let is_beside = view.nodes.len() == 1 && view.strays.len() <= FEW;
    let beside: &[Card] = if is_beside { &view.strays } else { &[] };
    let (nodes, mut height) = packages(view, beside, width);
    let mut parts = vec![nodes];
    if !is_beside && !view.strays.is_empty() {
        let top = height + 2 * GAP + LINE;
        // Room for the frame of the chosen one.
        let (cards, high) = grid(&view.strays, 2, top, width - 4);
        parts.push(html! {
            (text(2, top - GAP, "bold", "GPUs, near which node is unknown", width))
            (cards)
        });
        height = top + high + 2;
    }
    if let Some(without) = &view.without_gpus {
        height += GAP;
        parts.push(html! {
            rect.box.dashed x="1" y=(height) width=(width - 2) height="40" rx="8" {}
            (text(PAD, height + 25, "plain", without, width - 2 * PAD))
        });
        height += 41;
    }
    (html! { @for part in parts { (part) } }, height)
}

// The frame around all nodes, and in it those around the nodes of each package.
fn packages(view: &View, beside: &[Card], width: i64) -> Drawn {
    let inner = width - 2 * PAD;
    // What is too long for one line stands in two.
    let size =
        if fits(&view.size(), PLAIN, inner) { vec![view.size()] } else { vec![view.cores.clone(), view.ram.clone()] };
    let top = PAD + (1 + size.len() as i64) * LINE + 4;
    let mut parts = Vec::new();
    let mut y = top;
    for nodes in view.parts() {
        let raster = |place, width| self::nodes(view, nodes, beside, place, width);
        let shared = nodes.first().filter(|node| view.is_shared(node)).and_then(|node| view.package_of(node));
        let (drawn, high) = match shared {
            Some(name) => package(&name, (PAD, y), inner, raster),
            None => raster((PAD, y), inner),
        };
        y += high + GAP;
        parts.push(drawn);
    }
    let height = y - GAP + PAD;
    let drawn = html! {
        rect.frame x="1" y="1" width=(width - 2) height=(height - 2) rx="12" {}
        (text(PAD, PAD + 12, "bold", &view.package(), inner))
        @for (line, says) in (1..).zip(&size) { (text(PAD, PAD + 12 + line * LINE, "plain", says, inner)) }
        @for part in parts { (part) }
    };
    (drawn, height)
}

// Nodes in as many columns as there is room for.
fn nodes(view: &View, nodes: &[Node], beside: &[Card], (left, top): (i64, i64), width: i64) -> Drawn {
    let columns = columns(nodes.len() as i64, (width + GAP) / (NODE + GAP));
    let each = (width - (columns - 1) * GAP) / columns;
    let mut parts = Vec::new();
    let mut y = top;
    for row in nodes.chunks(usize::try_from(columns).unwrap_or(1).max(1)) {
        let drawn = |least: i64| -> Vec<Drawn> {
            let x = (0..).map(|column| left + column * (each + GAP));
            row.iter().zip(x).map(|(node, x)| unit(view, node, beside, (x, y), each, least)).collect()
        };
        // The nodes of a row are as high as the highest of them.
        let least = row.iter().map(|node| house(view, node, (0, 0), each, 0).1).max().unwrap_or_default();
        let units = drawn(if columns > 1 { least } else { 0 });
        y += units.iter().map(|(_, height)| *height).max().unwrap_or_default() + GAP;
        parts.extend(units.into_iter().map(|(unit, _)| unit));
    }
    (html! { @for part in parts { (part) } }, y - GAP - top)
}

// A package around what is drawn at the place and in the width that it leaves.
fn package(name: &str, (x, y): (i64, i64), width: i64, draw: impl FnOnce((i64, i64), i64) -> Drawn) -> Drawn {
    let (drawn, high) = draw((x + AROUND, y + ABOVE), width - 2 * AROUND);
    let height = high + ABOVE + AROUND;
    let drawn = html! {
        g {
            rect.package x=(x) y=(y) width=(width) height=(height) rx="10" {}
            (text(x + PAD, y + 20, "plain", name, width - 2 * PAD))
            (drawn)
        }
    };
    (drawn, height)
}

// As many columns as make the rows alike, and at most so many; at least one.
fn columns(things: i64, most: i64) -> i64 {
    let (things, most) = (things.max(1), most.max(1));
    let rows = (things + most - 1) / most;
    (things + rows - 1) / rows
}

// CPUs in rows that are alike.
fn even(cpus: &[i64], most: i64) -> std::slice::Chunks<'_, i64> {
    cpus.chunks(usize::try_from(columns(cpus.len() as i64, most)).unwrap_or(1).max(1))
}

// A node with its cards: beside it where there is room, else below.
fn unit(view: &View, node: &Node, beside: &[Card], (x, y): (i64, i64), width: i64, least: i64) -> Drawn {
    let is_near = beside.is_empty();
    let cards = if is_near { &node.cards[..] } else { beside };
    let wire = if is_near { "wire" } else { "wire dashed" };
    if cards.is_empty() {
        return house(view, node, (x, y), width, least);
    }
    let room = if cards.len() > 2 { 2 * CARD + GAP } else { CARD + 40 };
    if width >= NODE + WIRE + room + 100 {
        let left = width - WIRE - room;
        let (grid, cards_high) = grid(cards, x + left + WIRE, y, room);
        let (drawn, high) = house(view, node, (x, y), left, least.max(cards_high));
        let rows = rows(cards.len(), x + left + WIRE, y, room);
        let (first, last) = (rows.first().map_or(y, |row| row.0), rows.last().map_or(y, |row| row.0));
        let bus = x + left + WIRE / 2;
        let lines = html! {
            line class=(wire) x1=(x + left) x2=(bus) y1=(first) y2=(first) {}
            (wires(wire, bus, first, last, &rows))
        };
        return (html! { (lines) (drawn) (grid) }, high.max(cards_high));
    }
    let (drawn, high) = house(view, node, (x, y), width, least);
    let (room, below) = (width - WIRE, y + high + GAP);
    let (grid, cards_high) = grid(cards, x + WIRE, below, room);
    let rows = rows(cards.len(), x + WIRE, below, room);
    let last = rows.last().map_or(below, |row| row.0);
    let lines = wires(wire, x + WIRE / 2, y + high, last, &rows);
    (html! { (lines) (drawn) (grid) }, high + GAP + cards_high)
}

// A node, within its package where it has one for itself.
fn house(view: &View, node: &Node, (x, y): (i64, i64), width: i64, least: i64) -> Drawn {
    match view.package_of(node).filter(|_| !view.is_shared(node)) {
        Some(name) => {
            package(&name, (x, y), width, |place, width| self::node(view, node, place, width, least - ABOVE - AROUND))
        }
        None => self::node(view, node, (x, y), width, least),
    }
}

fn node(view: &View, node: &Node, (x, y): (i64, i64), width: i64, least: i64) -> Drawn {
    let inner = width - 2 * PAD;
    let most = ((inner + 8) / (CACHE + 8)).max(1);
    let columns = columns(node.domains.len() as i64, most);
    let each = (inner - (columns - 1) * 8) / columns;
    let mut height = PAD + 2 * LINE + 2;
    let mut caches = Vec::new();
    for row in node.domains.chunks(usize::try_from(columns).unwrap_or(1).max(1)) {
        let tall = row.iter().map(|domain| cache(view, domain, (0, 0), each, 0).1).max().unwrap_or_default();
        for (domain, column) in row.iter().zip(0..) {
            let place = (x + PAD + column * (each + 8), y + height);
            caches.push(cache(view, domain, place, each, tall).0);
        }
        height += tall + 8;
    }
    height += if node.domains.is_empty() { 0 } else { PAD - 8 };
    let height = height.max(least);
    let cpus = match (node.cpus.is_empty(), node.is_known) {
        // Those of each cache stand in its box.
        (false, _) if node.domains.len() == 1 => count(node.cpus.len(), "CPU"),
        (false, _) => format!("CPUs {}", ranges(&node.cpus)),
        (true, true) => "no CPUs".to_owned(),
        (true, false) => "CPUs unknown".to_owned(),
    };
    let drawn = html! {
        g {
            title { (node.place()) ": " (node.memory) ", " (cpus) }
            rect.box x=(x) y=(y) width=(width) height=(height) rx="8" {}
            (text(x + PAD, y + PAD + 12, "bold", &node.name, inner))
            (text(x + PAD, y + PAD + 12 + LINE, "plain", &format!("{} · {cpus}", node.memory), inner))
            @for cache in caches { (cache) }
        }
    };
    (drawn, height)
}

fn cache(view: &View, domain: &Domain, (x, y): (i64, i64), width: i64, least: i64) -> Drawn {
    let inner = width - 16;
    let per_row = inner / STEP;
    let runs = runs(&domain.cpus);
    let rows: Vec<&[i64]> = if runs.len() > MOST_RUNS {
        even(&domain.cpus, per_row).collect()
    } else {
        runs.into_iter().flat_map(|run| even(run, per_row)).collect()
    };
    let top = 2 * LINE + 8;
    let cells = |wanted: bool| -> String {
        let mut path = String::new();
        for (row, cpus) in (0..).zip(&rows) {
            for (column, cpu) in (0..).zip(*cpus) {
                if view.is_allowed(*cpu) == wanted {
                    path += &format!("M{} {}h{CPU}v{CPU}h-{CPU}z", x + 8 + column * STEP, y + top + row * STEP);
                }
            }
        }
        path
    };
    let (free, barred) = (cells(true), cells(false));
    let height = (top + rows.len() as i64 * STEP + 6).max(least);
    let cpus = format!("CPUs {}", ranges(&domain.cpus));
    let drawn = html! {
        g {
            title { (domain.name) ": " (count(domain.cpus.len(), "CPU")) ", " (ranges(&domain.cpus)) }
            rect.cache x=(x) y=(y) width=(width) height=(height) rx="5" {}
            (text(x + 8, y + 18, "plain", &format!("{} · {}", domain.name, count(domain.cpus.len(), "CPU")), inner))
            (text(x + 8, y + 18 + LINE - 2, "plain faint", &cpus, inner))
            @if !free.is_empty() { path.cpu d=(free) {} }
            @if !barred.is_empty() { path.cpu.barred d=(barred) {} }
        }
    };
    (drawn, height)
}

// Cards in as many columns as there is room for.
fn grid(cards: &[Card], x: i64, y: i64, width: i64) -> Drawn {
    let (columns, each, high) = raster(cards.len(), width);
    let rows = (cards.len() as i64 + columns - 1) / columns;
    let drawn = html! {
        @for (index, card) in (0..).zip(cards) {
            (self::card(card, (x + index % columns * (each + GAP), y + index / columns * (high + GAP)), each, high))
        }
    };
    (drawn, rows * (high + GAP) - GAP)
}

// Columns, and width and height of each card.
fn raster(cards: usize, width: i64) -> (i64, i64, i64) {
    let columns = columns(cards as i64, (width + GAP) / (CARD + GAP));
    (columns, (width - (columns - 1) * GAP) / columns, PAD + 4 * LINE + 8)
}

// Of each row of cards: where its middle is, and where its last card begins.
fn rows(cards: usize, x: i64, y: i64, width: i64) -> Vec<(i64, i64)> {
    let (columns, each, high) = raster(cards, width);
    let cards = cards as i64;
    let rows = (cards + columns - 1) / columns;
    let last = |row: i64| columns.min(cards - row * columns) - 1;
    (0..rows).map(|row| (y + row * (high + GAP) + high / 2, x + last(row) * (each + GAP))).collect()
}

// A line down, and from it one along each row, behind the cards.
fn wires(class: &str, x: i64, top: i64, bottom: i64, rows: &[(i64, i64)]) -> Markup {
    html! {
        @if bottom > top { line class=(class) x1=(x) x2=(x) y1=(top) y2=(bottom) {} }
        @for (middle, last) in rows { line class=(class) x1=(x) x2=(last + 8) y1=(middle) y2=(middle) {} }
    }
}

fn card(card: &Card, (x, y): (i64, i64), width: i64, height: i64) -> Markup {
    let inner = width - 2 * PAD;
    let line = |number: i64| y + PAD + 12 + (number * LINE);
    let name = card.name.strip_prefix("NVIDIA ").unwrap_or(&card.name);
    let vram = match &card.slices {
        Some(slices) => format!("{}, {slices}", card.vram),
        None => card.vram.clone(),
    };
    html! {
        g {
            title { "GPU " (card.index) ": " (card.name) ", " (vram) ", " (card.link) @if card.is_chosen { "; the workload runs on it" } }
            rect.box.card.chosen[card.is_chosen] x=(x) y=(y) width=(width) height=(height) rx="8" {}
            (text(x + PAD, line(0), "plain faint", &format!("GPU {}", card.index), inner))
            @if card.is_chosen {
                rect.flag x=(x + width - PAD - 58) y=(y + PAD - 3) width="58" height="20" rx="10" {}
                text.flag-text x=(x + width - PAD - 29) y=(line(0) - 1) text-anchor="middle" { "chosen" }
            }
            (text(x + PAD, line(1), "bold", name, inner))
            (text(x + PAD, line(2), "plain", &vram, inner))
            (text(x + PAD, line(3), "plain", &card.link, inner))
        }
    }
}

// Whether a text of such letters has room.
fn fits(content: &str, letter: f64, room: i64) -> bool {
    content.chars().count() as f64 * letter <= room as f64
}

// A line of text, cut where it would leave its box.
fn text(x: i64, y: i64, class: &str, content: &str, room: i64) -> Markup {
    let letter = if class.starts_with("bold") { BOLD } else { PLAIN };
    let short = if fits(content, letter, room) {
        content.to_owned()
    } else {
        let most = (room as f64 / letter) as usize;
        let start: String = content.chars().take(most.saturating_sub(1)).collect();
        start.trim_end_matches([' ', ',']).to_owned() + "…"
    };
    html! { text class=(class) x=(x) y=(y) { (short) } }
}

fn tables(view: &View) -> Markup {
    html! {
        p { (view.package()) ". " (view.size()) "." @if let Some(without) = &view.without_gpus { " " (without) "." } }
        div.scroll tabindex="0" role="region" aria-label="NUMA nodes" {
            table {
                thead { tr { th scope="col" { "Node" } th scope="col" { "Memory" } th scope="col" { "CPUs" } th scope="col" { "L3 caches" } th scope="col" { "GPUs" } } }
                tbody {
                    @for node in &view.nodes {
                        tr {
                            th scope="row" { (node.place()) }
                            td { (node.memory) }
                            td { (ranges(&node.cpus)) }
                            td {
                                @if node.domains.is_empty() { "none" }
                                @for domain in &node.domains { div { (domain.name) ": " (ranges(&domain.cpus)) } }
                            }
                            td {
                                @if node.cards.is_empty() { "none" }
                                (node.cards.iter().map(|card| card.index.to_string()).collect::<Vec<_>>().join(", "))
                            }
                        }
                    }
                }
            }
        }
        @if view.without_gpus.is_none() {
            div.scroll tabindex="0" role="region" aria-label="GPUs" {
                table {
                    thead { tr { th scope="col" { "GPU" } th scope="col" { "Name" } th scope="col" { "Memory" } th scope="col" { "Link" } th scope="col" { "Node" } } }
                    tbody {
                        @for (card, node) in view.cards() {
                            tr {
                                th scope="row" { (card.index) @if card.is_chosen { " " span.tag { "chosen" } } }
                                td { (card.name) @if let Some(slices) = &card.slices { ", " (slices) } }
                                td { (card.vram) }
                                td { (card.link) }
                                td { (node.map_or_else(|| "unknown".to_owned(), Node::place)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
