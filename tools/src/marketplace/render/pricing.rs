//! The price of an application's plan, in the form of `price-and-availability-plan`. The names are
//! those of a publisher's SDK (§0a of the facts); `free` and `usd` are INFERENCE from other kinds
//! of offers.

use crate::marketplace::model::{
    CustomMeterPricing, IncludedQuantity, MeterPrice, Pricing, SystemMeterPricing, Term,
};
use crate::marketplace::units::unit;
use crate::offer::model::{CustomMeter, KubernetesPlan, Licence, Prices};

pub(super) fn pricing(licence: Licence, plan: &KubernetesPlan) -> Pricing {
    match licence {
        Licence::Byol => {
            Pricing { license_model: "byol", system_meter_pricing: None, custom_meters: None }
        }
        Licence::Free => Pricing {
            license_model: "payAsYouGo",
            system_meter_pricing: Some(SystemMeterPricing {
                price_input_option: "free",
                price: None,
            }),
            custom_meters: None,
        },
        Licence::PayAsYouGo => {
            let prices = plan.prices.as_ref();
            Pricing {
                license_model: "payAsYouGo",
                system_meter_pricing: prices.and_then(counted_by_microsoft),
                custom_meters: prices.and_then(counted_by_application),
            }
        }
    }
}

fn counted_by_microsoft(prices: &Prices) -> Option<SystemMeterPricing> {
    let price_input_option = prices.unit.map(unit)?;
    Some(SystemMeterPricing { price_input_option, price: prices.usd_per_hour })
}

fn counted_by_application(prices: &Prices) -> Option<CustomMeterPricing> {
    let meters = prices.meters.iter().map(|meter| (meter.id.clone(), meter_price(meter)));
    (!prices.meters.is_empty())
        .then(|| CustomMeterPricing { price_input_option: "usd", meters: meters.collect() })
}

fn meter_price(meter: &CustomMeter) -> MeterPrice {
    let billing_term = Term { kind: "month", value: 1 };
    let included = IncludedQuantity { billing_term, quantity: meter.included, is_infinite: false };
    MeterPrice { price_per_payment_in_usd: meter.usd_per_unit, included_quantities: vec![included] }
}
