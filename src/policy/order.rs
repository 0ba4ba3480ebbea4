//! The order in which settings are decided, from what their expressions read.

use std::collections::{BTreeMap, BTreeSet};

use super::set::Policy;
use crate::diag::{Finding, Label, Span};
use crate::expr::runtime::MAX_CALLS;
use crate::expr::{Language, Read};
use crate::settings::SETTINGS;

// Groups of settings that one choice decides together, each after everything that it reads.
pub(super) fn order(policies: &[Policy], language: &Language) -> Result<Vec<Vec<usize>>, Box<Finding>> {
    // The group of a setting is the smallest index in it.
    let mut group: Vec<usize> = (0..SETTINGS.len()).collect();
    for choose in policies.iter().flat_map(|policy| &policy.chooses) {
        let joined: BTreeSet<usize> = choose.into.iter().map(|into| group[into.setting]).collect();
        if let Some(&first) = joined.first() {
            for entry in &mut group {
                if joined.contains(entry) {
                    *entry = first;
                }
            }
        }
    }
    // Which settings a setting reads, and the expression that does.
    let mut reads: BTreeMap<usize, BTreeMap<usize, Span>> = BTreeMap::new();
    for policy in policies {
        for setting in policy.settings() {
            let parts = policy.contributions(setting).flat_map(|contribution| policy.expressions(contribution));
            for expr in policy.when.iter().chain(parts) {
                for read in language.all_reads(expr) {
                    if let Read::Setting(name) = read
                        && let Some(other) = SETTINGS.index(&name)
                    {
                        reads.entry(setting).or_default().entry(other).or_insert_with(|| expr.span());
                    }
                }
            }
        }
    }
    let members = |root: usize| (0..group.len()).filter(|&s| group[s] == root).collect::<Vec<_>>();
    let roots: Vec<usize> = (0..group.len()).filter(|&s| group[s] == s).collect();
    let edges = |root: &usize| -> Vec<usize> {
        let read = members(*root)
            .into_iter()
            .flat_map(|s| reads.get(&s).into_iter().flat_map(|m| m.keys().copied()).collect::<Vec<_>>());
        read.map(|s| group[s]).collect()
    };
    let order = depth_first(&roots, edges).map_err(|circle| circle_finding(&circle, &group, &reads))?;
    Ok(order.into_iter().map(members).collect())
}

fn circle_finding(circle: &[usize], group: &[usize], reads: &BTreeMap<usize, BTreeMap<usize, Span>>) -> Box<Finding> {
    // For each step of the circle, the settings that really read each other.
    let mut names = Vec::new();
    let mut labels = Vec::new();
    for pair in circle.windows(2) {
        let step = reads.iter().find_map(|(from, to)| {
            let (to, span) = to.iter().find(|(to, _)| group[**to] == pair[1])?;
            (group[*from] == pair[0]).then_some((*from, *to, span))
        });
        if let Some((from, to, span)) = step {
            let (from, to) = (&SETTINGS.get(from).name, &SETTINGS.get(to).name);
            names.push(from.clone());
            labels.push(Label { span: span.clone(), text: format!("`{from}` reads `{to}`") });
        }
    }
    names.extend(names.first().cloned());
    let mut finding = Finding::error(
        "circular-settings",
        format!("settings depend on each other in a circle: {}", names.join(" → ")),
    );
    finding.labels = labels;
    Box::new(finding.help("read a fact in place of one of the settings"))
}

// Every node after those it leads to; on a circle the nodes of it, the first repeated at the end; on a path that is too
// long the path.
pub(super) fn depth_first<N: Clone + Ord>(nodes: &[N], edges: impl Fn(&N) -> Vec<N>) -> Result<Vec<N>, Vec<N>> {
    struct Walk<N, E> {
        edges: E,
        path: Vec<N>,
        done: BTreeSet<N>,
        order: Vec<N>,
    }
    impl<N: Clone + Ord, E: Fn(&N) -> Vec<N>> Walk<N, E> {
        fn visit(&mut self, node: &N) -> Result<(), Vec<N>> {
            if self.done.contains(node) {
                return Ok(());
            }
            if let Some(start) = self.path.iter().position(|n| n == node) {
                let mut circle = self.path[start..].to_vec();
                circle.push(node.clone());
                return Err(circle);
            }
            if self.path.len() >= MAX_CALLS {
                return Err(self.path.clone());
            }
            self.path.push(node.clone());
            for next in (self.edges)(node) {
                self.visit(&next)?;
            }
            self.path.pop();
            self.done.insert(node.clone());
            self.order.push(node.clone());
            Ok(())
        }
    }
    let mut walk = Walk { edges, path: Vec::new(), done: BTreeSet::new(), order: Vec::new() };
    for node in nodes {
        walk.visit(node)?;
    }
    Ok(walk.order)
}
