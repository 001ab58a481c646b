//! Rules DEP: whether a container of the plan can run where customers run it.

use super::{Check, Rule, Severity};

/// What one container group of Azure Container Instances may ask for.
const CPU_MAX: f64 = 31.0;
const MEMORY_GB_MAX: f64 = 240.0;
/// What most regions have.
const CPU_COMMON: f64 = 4.0;
const MEMORY_GB_COMMON: f64 = 16.0;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "DEP-001",
        title: "a container asks for at most 31 cores and 240 GB",
        severity: Severity::Error,
        source: "ACI/container-instances-resource-and-quota-limits",
        why: "Azure Container Instances starts nothing larger.",
        fix: "ask for less, or leave `resources` out",
        check: Check::Offer(|view, judge| {
            for (place, _, plan) in view.offer.image_plans() {
                let Some(resources) = &plan.resources else { continue };
                let key = format!("plans[{place}].resources");
                if resources.cpu > CPU_MAX {
                    judge.error(&format!("{key}.cpu"), format!("{} cores", resources.cpu));
                }
                if resources.memory_gb > MEMORY_GB_MAX {
                    judge.error(&format!("{key}.memoryGb"), format!("{} GB", resources.memory_gb));
                }
            }
        }),
    },
    Rule {
        id: "DEP-002",
        title: "a container asks for what most regions have: 4 cores and 16 GB",
        severity: Severity::Warning,
        source: "ACI/container-instances-resource-and-quota-limits",
        why: "Above that, starts fail in regions that are short of capacity.",
        fix: "ask for less, or tell customers in which regions it was tried",
        check: Check::Offer(|view, judge| {
            for (place, _, plan) in view.offer.image_plans() {
                let Some(resources) = &plan.resources else { continue };
                let key = format!("plans[{place}].resources");
                if resources.cpu > CPU_COMMON && resources.cpu <= CPU_MAX {
                    judge.warning(&format!("{key}.cpu"), format!("{} cores", resources.cpu));
                }
                let memory = resources.memory_gb;
                if memory > MEMORY_GB_COMMON && memory <= MEMORY_GB_MAX {
                    judge.warning(&format!("{key}.memoryGb"), format!("{memory} GB"));
                }
            }
        }),
    },
];
