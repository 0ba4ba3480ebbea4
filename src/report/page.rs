//! The page of a validation: one HTML file with all that was found, which needs no network and no other file.

use base64::prelude::{BASE64_STANDARD, Engine};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::report::dossier::Dossier;

mod budget;
mod findings;
mod machine;
mod rules;
mod settings;
mod text;
mod topology;
mod verdict;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The parts below the verdict: the anchor of each, and its heading.
const PARTS: [(&str, &str); 7] = [
    ("next", "What to do next"),
    ("rules", "Rules"),
    ("machine", "Machine"),
    ("vram", "VRAM"),
    ("settings", "Settings"),
    ("findings", "Findings"),
    ("repairs", "Repairs"),
];

/// The page of a validation.
///
/// What comes from files, policies and the machine is escaped; what cannot be shown or would turn the text around it is
/// replaced by a sign.
pub fn page(dossier: &Dossier<'_>) -> String {
    let [next, rules, machine, vram, settings, findings, repairs] = [
        verdict::next(dossier.validation),
        rules::rules(dossier.validation),
        topology::machine(dossier.facts),
        budget::budget(dossier),
        settings::settings(&dossier.plan),
        findings::findings(dossier.validation),
        findings::repairs(dossier.validation),
    ];
    let parts = [next, rules, machine, vram, settings, findings, repairs];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&verdict::title(dossier)))
            body {
                a.skip href="#verdict" { "Skip to the verdict" }
                (bar())
                main {
                    (verdict::verdict(dossier))
                    @for ((anchor, heading), part) in PARTS.iter().zip(parts) {
                        section id=(anchor) aria-labelledby=(format!("{anchor}-heading")) {
                            h2 id=(format!("{anchor}-heading")) tabindex="-1" { (heading) }
                            (part)
                        }
                    }
                }
                footer {
                    p {
                        "Written by wan22-policy " (env!("CARGO_PKG_VERSION")) " at " (dossier.time) ". The same, for programs: "
                        code { "validation.json" } "."
                    }
                }
            }
        }
    };
    text::printable(&page.into_string())
}

fn head(title: &str) -> Markup {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (title) }
            style { (PreEscaped(STYLE)) }
            script { (PreEscaped(SCRIPT)) }
        }
    }
}

fn bar() -> Markup {
    html! {
        header.bar {
            nav aria-label="Parts of this page" {
                ul {
                    @for (anchor, heading) in PARTS {
                        li { a href=(format!("#{anchor}")) { (heading) } }
                    }
                }
            }
            // Without the script it would do nothing.
            button #theme type="button" hidden {}
        }
    }
}
