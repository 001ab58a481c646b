//! The API's words for units (`systemMeterPricing.priceInputOption`).

use crate::offer::model::PriceUnit;

/// The word of a unit.
pub(super) const fn unit(unit: PriceUnit) -> &'static str {
    match unit {
        PriceUnit::PerCore => "perCore",
        PriceUnit::PerEveryCoreInCluster => "perEveryCoreInCluster",
        PriceUnit::PerNode => "perNode",
        PriceUnit::PerEveryNodeInCluster => "perEveryNodeInCluster",
        PriceUnit::PerPod => "perPod",
        PriceUnit::PerCluster => "perCluster",
    }
}
