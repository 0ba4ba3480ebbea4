//! `docs/facts.md`: every fact by family.

use super::{head, row};
use crate::facts::Origin;
use crate::facts::vocabulary::{FACTS, FAMILIES, FactSpec, Stability};

pub fn body() -> String {
    let mut page = String::from(
        "# Facts\n\n\
         A fact has a value and an origin, or is unknown for a reason that `wan22-policy facts` shows. Expressions read \
         it by its name; `known(NAME)` asks whether there is a value. Sizes are bytes inside, and GiB for people.\n\n\
         Settings may read the **stable** facts. The **volatile** ones change while the machine runs, so only checks \
         read them. `gpus[]` stands for each GPU (`gpus[0]`, `gpus[1]`, …), and every name below it stands below `gpu` \
         too, the GPU that the workload runs on.\n\n\
         Beside the origins named here, any fact may come from a facts file (`--facts`, origin `file`) or from the user \
         (`--fact NAME=VALUE`, origin `user`). Where a source is missing altogether (no driver, no hwloc, a machine \
         known from a saved dump alone), all that only it knows is unknown.\n",
    );
    for (family, title) in FAMILIES {
        page += &format!("\n## {title}\n\n");
        page += &head(["fact", "type", "unit", "stability", "origin", "meaning", "unknown when"]);
        page.extend(FACTS.iter().filter(|spec| spec.family() == *family).map(fact));
    }
    page
}

fn fact(spec: &FactSpec) -> String {
    let unit = spec.unit.map_or_else(String::new, |unit| unit.to_string());
    let stability = match spec.stability {
        Stability::Stable => "stable",
        Stability::Volatile => "volatile",
    };
    let origins: Vec<String> = spec.origins.iter().map(Origin::to_string).collect();
    let (name, ty) = (format!("`{}`", spec.name), spec.ty.describe());
    row([&name, ty, &unit, stability, &origins.join(", "), spec.doc, spec.absent])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_on_the_page() {
        let page = body();
        for spec in FACTS {
            assert!(page.contains(&format!("| `{}` |", spec.name)), "{}", spec.name);
        }
    }
}
