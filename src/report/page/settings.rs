//! Every setting with its value and reason, and what an apply would make of the files that hold it.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::text::{anchor, broken, path, prose, sourced};
use crate::facts::units::show;
use crate::plan::Origin;
use crate::report::human::count;
use crate::report::json::{PlanReport, SettingRecord};
use crate::target::{Change, Status};

// A key of a file that a setting goes to, and what becomes of it.
type Held<'a> = (&'a str, &'a Change);

/// The table of settings.
pub fn settings(plan: &PlanReport) -> Markup {
    let mut held: BTreeMap<&str, Vec<Held<'_>>> = BTreeMap::new();
    for target in &plan.targets {
        for change in &target.changes {
            held.entry(&change.setting).or_default().push((&target.file, change));
        }
    }
    let changes = held.values().flatten().filter(|(_, change)| change.is_due()).count();
    html! {
        p {
            (count(plan.settings.len(), "setting")) " by policies " code { (plan.policy_hash) } ", as of " (plan.as_of) ". "
            @if plan.targets.is_empty() { "No file of a known stack holds them." }
            @else if changes == 0 { "The files hold all that they can hold." }
            @else { code { "wan22-policy apply" } " would change " (count(changes, "key")) "." }
        }
        // Without the script there is nothing that filters.
        p.filter hidden {
            label for="filter" { "Filter" }
            input #filter type="search" autocomplete="off" spellcheck="false" placeholder="name, value, policy …" aria-keyshortcuts="/";
            label.check { input #due type="checkbox"; " only what changes" }
            span #filtered role="status" {}
        }
        table.settings {
            caption.hidden { "Settings, their values, what the files hold, and why" }
            thead { tr { th scope="col" { "Setting" } th scope="col" { "Value, and what the files hold" } th scope="col" { "Why" } } }
            tbody {
                @for (name, setting) in &plan.settings {
                    (row(name, setting, held.get(name.as_str()).map_or(&[], Vec::as_slice)))
                }
            }
        }
    }
}

fn row(name: &str, setting: &SettingRecord, held: &[Held<'_>]) -> Markup {
    let is_due = held.iter().any(|(_, change)| change.is_due());
    let keys: Vec<&Held<'_>> = held.iter().filter(|(_, change)| change.key.is_some()).collect();
    html! {
        tr id=(anchor("setting", name)) data-due[is_due] {
            th scope="row" { code { (broken(name, '.')) } }
            td {
                b { (show(&setting.value, setting.unit)) }
                @for (file, change) in keys { (key(file, change)) }
            }
            td { (why(setting)) }
        }
    }
}

fn key(file: &str, change: &Change) -> Markup {
    let value = |value: &Value| html! { code { (value.to_string()) } };
    html! {
        div.key {
            span.faint { (file) ": " (broken(change.key.as_deref().unwrap_or_default(), '.')) }
            div {
                @match (&change.from, &change.to) {
                    (from, Some(to)) if change.is_due() => {
                        @if let Some(from) = from { del { (value(from)) } } @else { span.faint { "not there" } }
                        " " span aria-label="becomes" { "→" } " "
                        ins { (value(to)) }
                    },
                    (_, Some(to)) => { (value(to)) " " span.faint { "already so" } },
                    (Some(from), None) => (value(from)),
                    (None, None) => {},
                }
                @if change.status == Status::Clamped { " " span.tag { "clamped by the target" } }
            }
            @if let Some(why) = &change.why { p.why { (prose(why)) } }
        }
    }
}

fn why(setting: &SettingRecord) -> Markup {
    let how = match setting.origin {
        Origin::Set => "set",
        Origin::Derive => "derived",
        Origin::Choose => "chosen",
        Origin::Otherwise => "the last resort",
        Origin::Pin => "pinned",
    };
    html! {
        @if let Some(why) = &setting.why { p { (prose(why)) } }
        p.why {
            (how)
            @if let Some(policy) = &setting.policy { " by " code { (broken(policy, '-')) } }
            @if let (Some(file), Some(line)) = (&setting.file, setting.line) { " " (path(&format!("{file}:{line}"))) }
        }
        @if let Some(moved) = &setting.moved {
            p.why {
                "moved from " b { (show(&moved.from, setting.unit)) } " by " code { (moved.policy) } " "
                (path(&format!("{}:{}", moved.file, moved.line)))
            }
        }
        @if let Some(source) = &setting.source { p.why { "Source: " (sourced(source)) } }
    }
}
