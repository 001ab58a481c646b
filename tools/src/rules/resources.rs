//! Rules DEP about the resources of the plan's container: whether customers' clusters can run it.

use super::{Check, Rule, Severity};
use crate::deploy::limits::{CPU_COMMON, CPU_MAX, GROUP_MIN, MEMORY_GB_COMMON, MEMORY_GB_MAX};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "DEP-001",
        title: "a container asks for 1 to 31 cores and 1 to 240 GB",
        severity: Severity::Error,
        source: "ACI/container-instances-resource-and-quota-limits",
        why: "Azure Container Instances starts nothing larger, and bills one core and one gigabyte for \
              what is smaller.",
        fix: "ask for what fits, or leave `resources` out",
        check: Check::Offer(|view, judge| {
            for (place, _, plan) in view.offer.image_plans() {
                let Some(resources) = &plan.resources else { continue };
                for (field, value, most, unit) in [
                    ("cpu", resources.cpu, CPU_MAX, "cores"),
                    ("memoryGb", resources.memory_gb, MEMORY_GB_MAX, "GB"),
                ] {
                    let key = format!("plans[{place}].resources.{field}");
                    if value > most {
                        judge.error(&key, format!("{value} {unit}"));
                    } else if value < GROUP_MIN {
                        let message = format!("{value} {unit}; a group is given 1 at least");
                        judge.warning(&key, message);
                    }
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
